// Saves what the reviewer fills in: as review.json, or as this very file with the review in it. Sends nothing anywhere.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const store = at("review-data");
  const say = (text) => { at("review-message").textContent = text; };
  let saved = "";

  function today() {
    const now = new Date();
    const two = (n) => String(n).padStart(2, "0");
    return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  }

  function filledIn() {
    const chosen = document.querySelector("input[name='decision']:checked");
    const { run_sha256, limits } = JSON.parse(store.textContent);
    return {
      reviewer: at("reviewer").value.trim(),
      date: at("date").value,
      decision: chosen ? chosen.value : "",
      comment: at("comment").value.trim(),
      run_sha256,
      limits,
    };
  }

  function lacking(review) {
    if (!review.reviewer) return ["reviewer", "Fill in the reviewer's name."];
    if (!review.date) return ["date", "Fill in the date."];
    if (!review.decision) return ["accept", "Choose accept or reject."];
    return null;
  }

  function addRow(review) {
    const row = document.createElement("tr");
    const decided = { accept: "accepted", reject: "rejected" }[review.decision];
    for (const text of [review.reviewer, review.date, decided, "as above", review.comment]) {
      row.appendChild(document.createElement("td")).textContent = text;
    }
    at("reviews").tBodies[0].appendChild(row);
    at("reviews").hidden = false;
    at("review-state").textContent = `${decided}, ${review.date}`;
    at("reviews").parentElement.classList.add("reviewed");
  }

  // The review goes into the page once, however often it is saved.
  function keep() {
    const review = filledIn();
    const lacks = lacking(review);
    if (lacks) {
      say(lacks[1]);
      at(lacks[0]).focus();
      return false;
    }
    const text = JSON.stringify(review);
    if (text === saved) return true;
    const data = JSON.parse(store.textContent);
    data.reviews.push(review);
    store.textContent = JSON.stringify(data).replace(/</g, "\\u003c");
    addRow(review);
    saved = text;
    return true;
  }

  function download(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${name} was saved by your browser, as a rule into its folder of downloads.`);
  }

  at("save-review").addEventListener("click", () => {
    if (!keep()) return;
    const { format, reviews } = JSON.parse(store.textContent);
    download("review.json", "application/json", JSON.stringify({ format, reviews }, null, 2) + "\n");
  });

  at("save-report").addEventListener("click", () => {
    if (!keep()) return;
    const page = document.documentElement.cloneNode(true);
    page.querySelector("#review-message").textContent = "";
    download("report.html", "text/html", "<!DOCTYPE html>\n" + page.outerHTML + "\n");
  });

  at("review-form").addEventListener("input", () => { at("date").value ||= today(); }, { once: true });
})();
