"""The report of a cohort: what the evaluation summed up, valid and self-contained, nothing from outside its folder."""

import base64
import csv
import io
import itertools
import json
import re
import shutil
from dataclasses import replace

import pytest
from PIL import Image as Picture

from report_cases import HOSTILE, parsed, words
from RobustDIRLib.cli import main
from RobustDIRLib.cohort import figures
from RobustDIRLib.cohort.aggregate import aggregate
from RobustDIRLib.cohort.files import is_whole
from RobustDIRLib.cohort.plan import CaseEntry, DatasetEntry, Evaluation, MethodEntry, write_evaluation
from RobustDIRLib.cohort.results import AS_THEY_ARE, Condition, Key, LandmarkTable, Result, write_result
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import sealed
from RobustDIRLib.report.cohort.folder import read_cohort
from RobustDIRLib.report.cohort.page import cohort_html
from RobustDIRLib.report.write import write_cohort_report

NOISE = Condition("low-dose", 5.0)
# Mean TRE by method and case; the first two cases are of one subject, and the last of b failed.
TRE = {"a": [1.0, 3.0, 5.25, 4.0, 6.0, 7.0, 2.0], "b": [2.5, 3.5, 9.0, 8.0, 8.5, 9.5, None]}
TITLES = {"a": "Method <a>", "b": HOSTILE}
SUBJECTS = ["s0", "s0", "s1", "s2", "s3", "s4", "s5"]
CASES = ["c0 & c1", *(f"c{n}" for n in range(1, 7))]


def a_result(method: str, number: int, condition: Condition) -> Result:
    value = TRE[method][number]
    fields = {"reason": "memory <ran> out"}
    if value is not None:
        value *= 1 if condition == AS_THEY_ARE else 2
        table = LandmarkTable(("1", "2"), *[(0.0,) * 2] * 3, (10.0,) * 2, (value - 0.5, value + 0.5))
        values = {"tre_mean_mm": value, "tre_mean_before_mm": 10.0 + number, "folding_percent": 0.0, "wall_s": 2.0}
        fields = {"values": values, "landmarks": table}
    made = {"method": {"iterations": 3}, "input": {"fixed": str(number)}}
    return Result(Key(CASES[number], method, condition), SUBJECTS[number], made, **fields)


@pytest.fixture(scope="module")
def summed(tmp_path_factory):
    """A folder as `robustdir evaluate` leaves it, with one figure and a picture of one of the worst cases."""
    folder = tmp_path_factory.mktemp("cohort") / "out"
    folder.mkdir()
    plan = Evaluation(
        DatasetEntry("lungs <b>", "/data/lungs", "folders", None),
        tuple(CaseEntry(case, subject) for case, subject in zip(CASES, SUBJECTS, strict=True)),
        tuple(MethodEntry(name, TITLES[name], {"iterations": 3}) for name in TRE),
        (AS_THEY_ARE, NOISE),
        worst=2,
        command=f"robustdir evaluate {HOSTILE}",
        notes=("one image was <left> out",),
    )
    for condition in plan.conditions:
        for method in TRE:
            for number in range(len(CASES)):
                write_result(folder, a_result(method, number, condition))
    picture = Key(CASES[5], "a", AS_THEY_ARE).picture(folder)
    picture.parent.mkdir(parents=True)
    Picture.effect_noise((1600, 1200), 40).save(picture)
    write_evaluation(folder, plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "available", lambda: False)  # they take most of the time
        aggregate(folder, plan, lambda sentence: None)
    (folder / "figures").mkdir()
    Picture.effect_noise((1136, 688), 40).save(folder / "figures" / "cumulative_tre.png")
    change(folder, figures=[{"file": "figures/cumulative_tre.png", "title": "Errors <b>", "caption": "Of & all."}])
    return folder


@pytest.fixture
def a_cohort(summed, tmp_path):
    return shutil.copytree(summed, tmp_path / "out")


@pytest.fixture(scope="module")
def tree(summed):
    return parsed(cohort_html(read_cohort(summed)))


def summary_of(folder) -> dict:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def unsealed(folder) -> dict:
    return {name: value for name, value in summary_of(folder).items() if name != "sha256"}


def change(folder, **changes) -> None:
    (folder / "summary.json").write_text(json.dumps(sealed(unsealed(folder) | changes)))


def table_of(tree, caption: str):
    (table,) = [one for one in tree.iter("table") if "".join(one.find("caption").itertext()).startswith(caption)]
    return [["".join(cell.itertext()).strip() for cell in row] for row in table.iter("tr")]


def test_is_valid_refers_to_nothing_and_runs_nothing(tree):
    for element in tree.iter():
        assert element.get("src", "data:image/").startswith("data:image/")
        assert element.get("href") is None
        assert not [name for name in element.attrib if name == "style" or name.startswith("on")]
    assert list(tree.iter("script")) == []
    assert list(tree.iter("b")) == []


def test_hostile_names_are_text(tree):
    text = words(tree)
    for name in (HOSTILE, "Method <a>", "lungs <b>", "c0 & c1", "memory <ran> out", "one image was <left> out"):
        assert name in text


def test_medians_are_those_of_the_summary_and_the_best_is_marked(tree, summed):
    head, *rows = table_of(tree, "Accuracy and regularity")
    assert head == ["Measure", "before", "Method <a>", HOSTILE]
    tre = next(row for row in rows if row[0].startswith("TRE, mean"))
    medians = {
        one["method"]: one["median"]
        for one in summary_of(summed)["summary"]
        if one["measure"] == "tre_mean_mm" and one["strength"] is None
    }
    assert tre[2].startswith(f"▸ {medians['a']:.2f}")
    assert tre[3].startswith(f"{medians['b']:.2f}")
    assert tre[1].startswith(f"{medians['before']:.2f}")


def test_perturbations_have_a_table_and_do_not_mix_with_the_rest(tree, summed):
    head, *rows = table_of(tree, "TRE, mean, mm, median over subjects, by perturbation")
    assert [row[0] for row in rows] == ["unperturbed", "low-dose 5"]
    assert float(rows[1][1]) == pytest.approx(2 * float(rows[0][1]), abs=0.02)


def test_every_case_is_there_with_its_value_or_its_reason(tree):
    _, *rows = table_of(tree, "TRE, mean, mm of every case")
    assert [row[0] for row in rows] == CASES
    assert rows[2] == ["c2", "12.00", "5.25", "9.00"]
    assert rows[-1] == ["c6", "16.00", "2.00", "none"]


def test_tests_are_those_of_the_summary(tree, summed):
    tests = summary_of(summed)["tests"]["metrics"]["tre_mean_mm"]
    _, *rows = table_of(tree, "Do the methods differ?")
    row = next(row for row in rows if row[0] == "TRE, mean")
    assert row[1] == str(len(tests["subjects"])) == "5"
    assert f"= {tests['anova']['f']:.2f}" in row[2]
    folding = next(row for row in rows if row[0] == "Folding")
    assert folding[3] == "undefined"
    assert len(folding[2]) > 10  # the reason, in words


def test_figures_and_worst_cases_are_inlined(tree, summed):
    content = summary_of(summed)
    sources = [one.get("src") for one in tree.iter("img")]
    figures = {base64.b64encode((summed / one["file"]).read_bytes()).decode() for one in content["figures"]}
    assert {source.split(",")[1] for source in sources if source.startswith("data:image/png")} == figures
    (worst,) = [source for source in sources if source.startswith("data:image/jpeg")]
    assert Picture.open(io.BytesIO(base64.b64decode(worst.split(",")[1]))).size == (1100, 825)
    _, *rows = table_of(tree, "Each method's worst cases")
    assert [row[1] for row in rows] == [one["case"] for one in content["worst"]]


def test_failures_are_counted_and_named(tree):
    assert "2 results failed and 0 are missing" in words(tree)
    _, *rows = table_of(tree, "Results without a value")
    assert {(row[0], row[2], row[3]) for row in rows} == {
        ("c6", "unperturbed", "memory <ran> out"),
        ("c6", "low-dose 5", "memory <ran> out"),
    }


def test_many_methods_are_spread_over_tables_of_an_a4_page(a_cohort):
    content = summary_of(a_cohort)
    names = [f"m{n}" for n in range(12)]
    entries = [one | {"method": name} for one in content["summary"] if one["method"] == "a" for name in names]
    change(
        a_cohort,
        methods=[{"name": name, "title": name, "settings": {}} for name in names],
        summary=entries, tests=None, tests_reason="none", worst=[], failures=[],
    )  # fmt: skip
    page = parsed(cohort_html(read_cohort(a_cohort)))
    assert columns_of(page, "Accuracy") == [["Measure", *names[k : k + 4]] for k in (0, 4, 8)]
    assert columns_of(page, "by perturbation") == [["Perturbation and strength", *names[k : k + 4]] for k in (0, 4, 8)]
    assert columns_of(page, "every case") == [["Case", "before", *names[k : k + 4]] for k in (0, 4, 8)]


def columns_of(page, caption: str) -> list[list[str]]:
    return [
        [cell.text for cell in table.iter("th") if cell.get("scope") == "col"]
        for table in page.iter("table")
        if caption in table.find("caption").text
    ]


def test_tests_of_many_pairs_are_folded_away_but_those_of_the_first_measure(a_cohort):
    tests = summary_of(a_cohort)["tests"]
    (pair,) = tests["metrics"]["tre_mean_mm"]["pairs"]
    many = {name: one | {"pairs": [pair] * 40} for name, one in tests["metrics"].items()}
    change(a_cohort, tests=tests | {"metrics": many})
    page = parsed(cohort_html(read_cohort(a_cohort)))
    tables = [table for table in page.iter("table") if "Pairs of methods" in table.find("caption").text]
    assert [len(list(table.iter("tr"))) - 1 for table in tables] == [40, 40]
    assert [tables[1] in list(one.iter("table")) for one in page.iter("details")] == [True]
    assert "The other 40 tests" in words(page)


def test_cases_that_lack_a_value_for_one_reason_share_a_row(a_cohort):
    cohort = read_cohort(a_cohort)
    rows = [replace(row, reasons={"a": "it is missing"}) for row in cohort.cases]
    page = parsed(cohort_html(replace(cohort, cases=tuple(rows))))
    found = [row for row in table_of(page, "Results without a value") if row[3] == "it is missing"]
    assert found == [["c0 & c1, c1, c2, and 4 more", "Method <a>", "unperturbed", "it is missing"]]


def test_nothing_done_is_reported_all_the_same(a_cohort):
    nothing = dict.fromkeys(("measures", "summary", "worst", "figures"), [])
    change(a_cohort, **nothing, primary=None, tests=None, tests_reason="nothing is done")
    text = words(parsed(cohort_html(read_cohort(a_cohort))))
    assert "No result is done." in text
    assert "nothing is done" in text


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "figures/gone.png", "summary.json"])
def test_pictures_come_from_the_folder_alone(a_cohort, name):
    (a_cohort.parent / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    change(a_cohort, figures=[{"file": name, "title": "t", "caption": "c"}])
    page = parsed(cohort_html(read_cohort(a_cohort)))
    assert [one for one in page.iter("img") if one.get("src").startswith("data:image/png")] == []
    assert f"The figure {name} is not there any more" in words(page)


@pytest.mark.parametrize("cut", [0, 12, 20, 24, 3000])
def test_pictures_that_are_damaged_are_told_and_the_rest_stands(a_cohort, cut):
    pictures = [a_cohort / "figures" / "cumulative_tre.png", *(a_cohort / "worst").glob("*.png")]
    for path in pictures:
        path.write_bytes(path.read_bytes()[:cut])
    page = parsed(cohort_html(read_cohort(a_cohort)))
    assert list(page.iter("img")) == [] and len(pictures) == 2
    for path in pictures:
        assert f"{path.relative_to(a_cohort)} is not there any more, or damaged" in words(page)


@pytest.mark.parametrize("name", ["pairs.csv", "labels.csv"])
def test_a_table_that_is_not_the_one_summed_up_is_named_and_the_rest_stands(a_cohort, name):
    text = (a_cohort / name).read_text(encoding="utf-8")
    (a_cohort / name).write_text(text.replace("5.25", "1.25") if "5.25" in text else "case\n")
    cohort = read_cohort(a_cohort)
    text = words(parsed(cohort_html(cohort)))
    assert "Accuracy and regularity" in text
    assert bool(cohort.cases) == (name != "pairs.csv")
    assert f"{a_cohort / name} is not the table that was summed up" in text
    assert name not in cohort.files


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "other"}', '{"format": "robustdir-cohort-1"}'])
def test_a_damaged_summary_is_refused(a_cohort, content):
    (a_cohort / "summary.json").write_text(content)
    with pytest.raises(InputError, match="summary.json"):
        read_cohort(a_cohort)


def places(content, way=()):
    """Where the values of nested lists and objects lie."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        yield (*way, key)
        yield from places(value, (*way, key))


def changed(content, way, value):
    """A copy with another value at a place."""
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[way[0]] = changed(copy[way[0]], way[1:], value) if way[1:] else value
    return copy


def test_no_value_of_a_summary_is_changed_unnoticed(a_cohort, capsys):
    content, values = summary_of(a_cohort), itertools.cycle([None, "x", [], -1, float("inf")])
    for number, (way, value) in enumerate(zip(places(content), values, strict=False)):
        if (other := changed(content, way, value)) != content and number % 3 == 0:
            assert not is_whole(other), way
    (a_cohort / "summary.json").write_text(json.dumps(summary_of(a_cohort) | {"measures": [None]}))
    assert main(["report", str(a_cohort)]) == 2
    assert "summary.json was changed after it was written; sum up again with" in capsys.readouterr().err


class TestCommand:
    def test_writes_the_page_into_the_folder(self, a_cohort, capsys):
        assert main(["report", str(a_cohort)]) == 0
        assert capsys.readouterr().out == f"report: {a_cohort / 'report.html'}\n"
        assert re.match("<!DOCTYPE html>", (a_cohort / "report.html").read_text(encoding="utf-8"))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["-o", "r.json"], "its numbers lie in pairs.csv and summary.json"),
            (["--reviewer", "A", "--decision", "accept"], "--reviewer: "),
            (["--tolerance", "dice=0.9"], "--tolerance: "),
        ],
    )
    def test_what_does_not_fit_is_refused(self, a_cohort, capsys, options, message):
        assert main(["report", str(a_cohort), *options]) == 2
        assert message in capsys.readouterr().err
        assert not (a_cohort / "report.html").exists()

    def test_what_is_not_summed_up_yet_says_how(self, a_cohort, capsys):
        (a_cohort / "summary.json").unlink()
        assert main(["report", str(a_cohort)]) == 2
        assert "robustdir evaluate --aggregate" in capsys.readouterr().err

    def test_the_named_file_is_written(self, a_cohort, tmp_path):
        assert write_cohort_report(a_cohort, tmp_path / "x.html") == tmp_path / "x.html"
        rows = list(csv.DictReader((a_cohort / "pairs.csv").open(encoding="utf-8", newline="")))
        assert rows[0]["case"] in words(parsed((tmp_path / "x.html").read_text(encoding="utf-8")))
