"""Reviews grow, count for the run they are of and for no other, and show in the report."""

import json
import shutil
from datetime import date

import pytest

from report_cases import HOSTILE, QUICK, make_run, parsed, words
from RobustDIRLib.cli import main
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import DEFAULTS
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.report.pair import page as pair_page
from RobustDIRLib.report.pair.gather import gather
from RobustDIRLib.report.pair.review import FORMAT, Review, add_reviews, as_json, read_reviews

RUN = "ab" * 32


def a_review(**changes) -> Review:
    return Review(**{"reviewer": "A. Physicist", "date": "2026-02-01", "decision": "accept", "comment": "c", **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return make_run(folder, labels=False, landmarks=False, options=QUICK)


@pytest.fixture
def a_run(made, tmp_path, monkeypatch):
    monkeypatch.setattr(pair_page, "_pictures", lambda *_: {"images": [], "transform": [], "landmarks": []})
    return shutil.copytree(made, tmp_path / "run")


def page_of(folder) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class TestFile:
    def test_reviews_come_back_as_they_were_in_their_order(self, tmp_path):
        reviews = [a_review(run_sha256=RUN, comment="é\n" + HOSTILE), a_review(run_sha256=RUN, decision="reject")]
        for one in reviews:
            add_reviews(tmp_path, [one], RUN)
        assert read_reviews(tmp_path / "review.json") == tuple(reviews)
        assert [path.name for path in tmp_path.iterdir()] == ["review.json"]

    def test_the_same_review_is_not_added_twice(self, tmp_path):
        for _ in range(2):
            add_reviews(tmp_path, [a_review(run_sha256=RUN)] * 2, RUN)
        assert len(read_reviews(tmp_path / "review.json")) == 1

    def test_a_review_of_another_run_is_refused_and_nothing_written(self, tmp_path):
        with pytest.raises(InputError, match="of another run"):
            add_reviews(tmp_path, [a_review(run_sha256="cd" * 32)], RUN)
        assert list(tmp_path.iterdir()) == []

    def test_a_write_that_fails_leaves_the_old_file(self, tmp_path, monkeypatch):
        add_reviews(tmp_path, [a_review(run_sha256=RUN)], RUN)
        before = (tmp_path / "review.json").read_bytes()
        monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(InputError, match="No space left"):
            add_reviews(tmp_path, [a_review(run_sha256=RUN, comment="more")], RUN)
        assert (tmp_path / "review.json").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["review.json"]

    @pytest.mark.parametrize(
        "content", [[], {}, {"format": "other", "reviews": []}, {"format": FORMAT, "reviews": {}}, "no JSON"]
    )
    def test_another_file_is_refused_and_left_alone(self, tmp_path, content):
        path = tmp_path / "review.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(InputError, match="review.json"):
            add_reviews(tmp_path, [a_review(run_sha256=RUN)], RUN)
        assert json.dumps(content) == path.read_text(encoding="utf-8") or content == path.read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"decision": "maybe"}, "accept or reject"),
            ({"reviewer": " "}, "name"),
            ({"date": "2026-13-01"}, "YYYY-MM-DD"),
            ({"date": "20260101"}, "YYYY-MM-DD"),
            ({"comment": 3}, "must be of type str"),
            ({"limits": {"dice": 2}}, "the limit 2.0 of dice cannot be"),
            ({"limits": [1]}, "must be an object with named values"),
        ],
    )
    def test_a_review_that_cannot_be_is_refused_by_its_number(self, tmp_path, change, message):
        content = as_json([a_review(run_sha256=RUN)])
        content["reviews"].append(content["reviews"][0] | change)
        (tmp_path / "review.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=message) as refused:
            read_reviews(tmp_path / "review.json")
        assert "review 2" in str(refused.value)


class TestCommand:
    def test_a_review_goes_into_file_and_report(self, a_run):
        command = ["report", str(a_run), "--reviewer", "Dr. <b>B</b>", "--decision", "reject", "--comment", HOSTILE]
        assert main(command) == 0
        (review,) = read_reviews(a_run / "review.json")
        assert (review.reviewer, review.decision, review.comment) == ("Dr. <b>B</b>", "reject", HOSTILE)
        assert (review.date, review.run_sha256) == (date.today().isoformat(), sha256(a_run / "run.json"))
        tree = parsed(page_of(a_run))
        assert HOSTILE in words(tree.find(".//table[@id='reviews']"))
        assert tree.find(".//dd[@id='review-state']").text == f"rejected, {review.date}"
        assert "Dr. <b>B</b>" in words(tree)
        assert json.loads((a_run / "report.json").read_text(encoding="utf-8"))["reviews"][0]["comment"] == HOSTILE
        assert list(tree.iter("b")) == []

    def test_the_page_carries_its_reviews_for_the_browser_to_add_to(self, a_run):
        main(["report", str(a_run), "--reviewer", "A", "--decision", "accept", "--comment", "</script><i>"])
        data = parsed(page_of(a_run)).find(".//script[@id='review-data']").text
        content = json.loads(data)
        assert content.pop("run_sha256") == sha256(a_run / "run.json")
        assert content.pop("limits") == DEFAULTS.to_json()
        assert content == as_json(read_reviews(a_run / "review.json"))

    def test_a_file_that_the_browser_saved_is_taken_in(self, a_run, tmp_path):
        main(["report", str(a_run), "--reviewer", "A", "--decision", "accept"])
        saved = as_json([*read_reviews(a_run / "review.json"), a_review(run_sha256=sha256(a_run / "run.json"))])
        (tmp_path / "saved.json").write_text(json.dumps(saved))
        assert main(["report", str(a_run), "--review", str(tmp_path / "saved.json")]) == 0
        assert [one.reviewer for one in read_reviews(a_run / "review.json")] == ["A", "A. Physicist"]

    def test_a_review_of_another_run_is_not_taken_in(self, a_run, tmp_path, capsys):
        (tmp_path / "saved.json").write_text(json.dumps(as_json([a_review(run_sha256=RUN)])))
        assert main(["report", str(a_run), "--review", str(tmp_path / "saved.json")]) == 2
        assert "of another run" in capsys.readouterr().err
        assert not (a_run / "review.json").exists()


def test_a_review_does_not_count_for_the_next_run_in_the_folder(a_run):
    add_reviews(a_run, [a_review(run_sha256=sha256(a_run / "run.json"))], sha256(a_run / "run.json"))
    assert len(gather(a_run, DEFAULTS)[0].reviews) == 1
    (a_run / "run.json").write_text(
        (a_run / "run.json").read_text(encoding="utf-8") + "\n"
    )  # another run, by its checksum
    report, _ = gather(a_run, DEFAULTS)
    assert report.reviews == ()
    assert [w for w in report.warnings if "A. Physicist" in w and "earlier run" in w]


def test_a_damaged_file_of_reviews_does_not_keep_the_report_from_being_made(a_run):
    (a_run / "review.json").write_text("{")
    report, _ = gather(a_run, DEFAULTS)
    assert report.reviews == ()
    assert [w for w in report.warnings if "review.json" in w]
