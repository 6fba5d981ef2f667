"""Summing up: numbers over subjects, tests, figures, worst cases; from the result files alone, any number of times."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture
from scipy import stats

import cohort_cases as cases
from RobustDIRLib.cohort import figures, showing
from RobustDIRLib.cohort.aggregate import aggregate
from RobustDIRLib.cohort.collecting import collect
from RobustDIRLib.cohort.files import LABEL_COLUMNS, LANDMARK_COLUMNS, PAIR_COLUMNS
from RobustDIRLib.cohort.plan import (
    CaseEntry,
    DatasetEntry,
    Evaluation,
    MethodEntry,
    read_evaluation,
    require_evaluation,
    write_evaluation,
)
from RobustDIRLib.cohort.results import AS_THEY_ARE, Condition, Key, LandmarkTable, Result, State, write_result
from RobustDIRLib.cohort.run import Request, evaluate
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation import pictures
from RobustDIRLib.evaluation.measures import COHORT

NOISE = Condition("low-dose", 5.0)
SETTINGS = {"a": {"iterations": 3}, "b": {}}
# Mean TRE of two methods; the first two cases are of one subject.
TRE = {"a": [1.0, 3.0, 5.0, 4.0], "b": [2.0, 2.5, 9.0, 8.0]}
SUBJECTS = ["s0", "s0", "s1", "s2"]


def result(method: str, number: int, condition: Condition = AS_THEY_ARE, **changes) -> Result:
    value = TRE[method][number] * (1 if condition == AS_THEY_ARE else 2)
    errors = tuple(value + d for d in (-0.5, 0.0, 0.5))
    table = LandmarkTable(("1", "2", "3"), *[(0.0,) * 3] * 3, (10.0,) * 3, errors)
    made = {"method": SETTINGS[method], "input": {"fixed": str(number)}}
    fields = {
        "values": {"tre_mean_mm": value, "tre_mean_before_mm": 10.0, "dice": 1 / (1 + value), "wall_s": 2.0},
        "landmarks": table,
        **changes,
    }
    return Result(Key(f"c{number}", method, condition), SUBJECTS[number], made, **fields)


@pytest.fixture
def plan() -> Evaluation:
    return Evaluation(
        DatasetEntry("four", "/data/four", "folders", None),
        tuple(CaseEntry(f"c{n}", subject) for n, subject in enumerate(SUBJECTS)),
        tuple(MethodEntry(name, name.upper(), settings) for name, settings in SETTINGS.items()),
        (AS_THEY_ARE, NOISE),
        worst=2,
        command="robustdir evaluate x",
        notes=("one image was left out",),
    )


@pytest.fixture
def folder(tmp_path, plan):
    """Every result but c3 of b, which failed."""
    for condition in plan.conditions:
        for method in TRE:
            for number in range(4):
                failed = {"reason": "memory ran out", "values": {}, "landmarks": None}
                write_result(
                    tmp_path, result(method, number, condition, **(failed if (method, number) == ("b", 3) else {}))
                )
    write_evaluation(tmp_path, plan)
    return tmp_path


@pytest.fixture
def summed(folder, plan, monkeypatch):
    """`summary.json`, made without figures."""
    monkeypatch.setattr(figures, "available", lambda: False)

    def make() -> dict:
        aggregate(folder, plan, lambda sentence: None)
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    return make


def entry(content: dict, method: str, measure: str = "tre_mean_mm", strength: float | None = None) -> dict:
    (one,) = [
        e for e in content["summary"] if (e["method"], e["measure"], e["strength"]) == (method, measure, strength)
    ]
    return one


def test_plan_is_read_as_it_was_written(folder, plan):
    assert require_evaluation(folder) == read_evaluation(folder) == plan


def test_no_plan_no_evaluation(tmp_path):
    with pytest.raises(InputError, match="holds no evaluation"):
        require_evaluation(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', '{"format": "robustdir-evaluation-1"}'])
def test_a_damaged_plan_is_refused(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(InputError, match="evaluation.json"):
        require_evaluation(tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [("methods", {"settings": kind}) for kind in (None, "x", [], {"steps": float("inf")}, {"a": [float("nan")]})]
    + [("conditions", {"perturbation": "none", "strength": 1.0}), ("conditions", {"perturbation": "low-dose"})],
)
def test_a_plan_of_other_kinds_of_values_is_refused(folder, tmp_path, name, change):
    content = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    content[name] = [*content[name][:-1], {**content[name][0], **change}]
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="evaluation.json"):
        require_evaluation(tmp_path)


class TestSummary:
    def test_numbers_are_over_subjects(self, summed):
        one = entry(summed(), "a")
        averages = [2.0, 5.0, 4.0]  # of s0, s1, s2
        assert (one["pairs"], one["subjects"]) == (4, 3)
        assert one["mean"] == pytest.approx(np.mean(averages))
        assert one["sd"] == pytest.approx(np.std(averages, ddof=1))
        assert (one["median"], one["q1"], one["q3"]) == (4.0, 3.0, 4.5)
        assert one["low"] <= one["median"] <= one["high"]

    def test_the_start_counts_each_case_once(self, summed):
        assert (entry(summed(), "before")["pairs"], entry(summed(), "before")["mean"]) == (4, 10.0)

    def test_failed_results_are_counted_and_not_averaged(self, summed):
        content = summed()
        assert (entry(content, "b")["pairs"], entry(content, "b")["subjects"]) == (3, 2)
        assert content["counts"] == {"planned": 16, "done": 14, "failed": 2, "missing": 0}
        assert content["failures"][0] == {
            "case": "c3",
            "method": "b",
            "perturbation": "none",
            "strength": None,
            "reason": "memory ran out",
        }
        assert any(note.startswith("b: 2 of 8 results failed or are missing") for note in content["notes"])

    def test_conditions_stay_apart(self, summed):
        assert entry(summed(), "a", strength=5.0)["median"] == 8.0

    def test_notes_are_counted_and_those_of_the_data_set_come_first(self, folder, summed):
        for number in range(3):
            write_result(folder, result("a", number, notes=("the mask was resampled",)))
        notes = summed()["notes"]
        assert notes[0] == "one image was left out"
        assert "the mask was resampled (3 results)" in notes

    def test_unlike_threads_are_noted(self, folder, summed):
        write_result(folder, result("a", 0, threads=8))
        assert "a: times were taken with 1, 8 threads and do not compare" in summed()["notes"]

    def test_primary_measure_and_measures(self, summed):
        content = summed()
        assert content["primary"] == "tre_mean_mm"
        assert [measure["name"] for measure in content["measures"]] == ["tre_mean_mm", "dice", "wall_s"]

    def test_only_complete_subjects_are_tested(self, summed):
        tested = summed()["tests"]["metrics"]["tre_mean_mm"]
        assert tested["subjects"] == ["s0", "s1"]
        assert tested["left_out"] == ["s2"]

    def test_every_method_is_tested_against_the_start(self, summed):
        tests = summed()["start_tests"]
        assert [(t["measure"], t["first"], t["second"], t["subjects"]) for t in tests] == [
            ("tre_mean_mm", "a", "before", 3),
            ("tre_mean_mm", "b", "before", 2),  # its failed case is of another subject
        ]
        expected = stats.wilcoxon([2.0, 5.0, 4.0], [10.0] * 3).pvalue
        assert tests[0]["p"] == pytest.approx(expected)
        assert tests[0]["p_corrected"] == pytest.approx(min(1, 2 * expected))  # two methods by one measure
        assert (tests[0]["median_difference"], tests[0]["significant"]) == (-6.0, False)

    def test_what_has_not_moved_has_no_p_value(self, folder, summed):
        for number in range(4):
            still = {"tre_mean_mm": 10.0, "tre_mean_before_mm": 10.0}
            write_result(folder, result("a", number, values=still))
        test = summed()["start_tests"][0]
        assert (test["p"], test["significant"], test["median_difference"]) == (None, False, 0.0)
        assert test["reason"]

    def test_repeating_changes_nothing_but_the_time(self, folder, summed):
        def contents():
            return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "summary.json"}

        first, files = summed(), contents()
        second = summed()
        assert contents() == files
        assert {**first, "created": ""} == {**second, "created": ""}

    def test_nothing_done_is_summed_up_all_the_same(self, tmp_path, plan, monkeypatch):
        monkeypatch.setattr(figures, "available", lambda: False)
        states = aggregate(tmp_path, plan, lambda sentence: None)
        assert set(states.values()) == {State.MISSING}
        content = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
        assert (content["primary"], content["tests"], content["summary"]) == (None, None, [])
        assert content["tests_reason"]


class TestTables:
    def test_columns_are_those_of_the_layout(self, folder, summed):
        summed()
        for name, columns in (("pairs", PAIR_COLUMNS), ("landmarks", LANDMARK_COLUMNS), ("labels", LABEL_COLUMNS)):
            with (folder / f"{name}.csv").open(newline="") as file:
                assert tuple(next(csv.reader(file))) == columns

    def test_every_measure_has_its_columns_once(self):
        assert len(set(PAIR_COLUMNS)) == len(PAIR_COLUMNS)
        assert {m.name for m in COHORT} | {m.before for m in COHORT if m.before} <= set(PAIR_COLUMNS)

    def test_tables_name_methods_by_title_and_have_a_block_a_condition(self, folder, summed):
        content = summed()
        assert {entry["file"] for entry in content["tables"]} == {
            f"tables/{name}.{kind}" for name in ("accuracy", "cost", "robustness") for kind in ("md", "csv", "tex")
        }
        text = (folder / "tables" / "robustness.md").read_text(encoding="utf-8")
        assert "unperturbed" in text
        assert "low-dose 5" in text
        assert "| A |" in text

    def test_tables_of_an_earlier_time_go(self, folder, plan, summed):
        summed()
        aggregate(folder, replace(plan, conditions=(AS_THEY_ARE,)), lambda sentence: None)
        assert not list((folder / "tables").glob("robustness*"))


class TestMixing:
    def test_results_of_other_settings_are_left_out(self, folder, plan, monkeypatch):
        changed = replace(plan, methods=(replace(plan.methods[0], settings={"iterations": 9}), plan.methods[1]))
        collection = collect(folder, changed)
        assert not [row for row in collection.done() if row.key.method == "a"]
        assert any("iterations: 3 -> 9" in note for note in collection.notes)

    def test_results_of_unlike_files_are_noted(self, folder, plan):
        write_result(folder, replace(result("b", 1), made_with={"method": {}, "input": {"fixed": "other"}}))
        assert any(
            note.startswith("c1: its results were made from unlike files") for note in collect(folder, plan).notes
        )


class TestFigures:
    @pytest.fixture
    def drawn(self, folder, plan):
        aggregate(folder, plan, lambda sentence: None)
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))["figures"]

    def test_every_figure_is_there_and_shows_something(self, folder, drawn):
        names = {entry["file"] for entry in drawn}
        assert {
            "figures/cumulative_tre.png",
            "figures/box_dice.png",
            "figures/robustness_low-dose_tre_mean_mm.png",
        } <= names
        assert {f"figures/{path.name}" for path in (folder / "figures").iterdir()} == names
        for name in names:
            pixels = np.asarray(Picture.open(folder / name).convert("L"))
            assert 0.005 < (pixels < 200).mean() < 0.5
        assert all(entry["title"] and entry["caption"] for entry in drawn)

    def test_lines_differ_without_colour(self):
        styles = [figures._line(str(number), number) for number in range(20)]
        assert len({(str(style["linestyle"]), style["marker"]) for style in styles}) == 20

    def test_curve_goes_from_the_images_as_they_are_to_the_strongest(self):
        curve = [figures.CurvePoint(s, 1.0, 0.5, 2.0) for s in (5.0, None, 0.5)]
        assert figures._places({"a": curve}) == {None: 0, 0.5: 1, 5.0: 2}


class TestWorst:
    @pytest.fixture
    def evaluated(self, tmp_path, monkeypatch):
        """Four cases whose worst two are kept with pictures; the badness of each is chosen."""
        cases.stand_in(monkeypatch)
        cases.write_dataset(tmp_path / "data", 4)

        def run(errors, again=False):
            class Chosen(cases.Shift):
                def register(self, pair, threads):
                    number = cases.number_of(pair.moving.grid)
                    return cases.Shift(self.name, errors[number]).register(pair, threads)

            monkeypatch.setitem(cases.METHODS, "chosen", Chosen("chosen", float(again)))
            request = Request(tmp_path / "data", ("chosen",), worst=2, redo=again)
            evaluate(request, tmp_path / "out", cases.Ear())
            return json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["worst"]

        return run

    @pytest.fixture
    def sketched(self, monkeypatch):
        """Pictures that show nothing, which are drawn in no time."""
        monkeypatch.setattr(
            pictures, "draw_registration", lambda path, *_, **__: Picture.new("L", (600, 400)).save(path)
        )

    @pytest.mark.parametrize("errors", [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3]])
    def test_the_worst_have_their_pictures_in_any_order(self, evaluated, tmp_path, errors, request):
        if errors[0] < 4:  # the others are drawn as a user's are: each of them is kept
            request.getfixturevalue("sketched")
        entries = evaluated(errors)
        expected = [f"case{n}" for n in np.argsort(errors)[::-1][:2]]
        assert [entry["case"] for entry in entries] == expected
        assert [entry["value"] for entry in entries] == pytest.approx(sorted(errors)[:1:-1], abs=1e-4)
        kept = {path.name for path in (tmp_path / "out" / "worst").iterdir()}
        assert kept == {f"0{rank}_chosen_{case}.png" for rank, case in enumerate(expected, start=1)}
        assert all(Picture.open(tmp_path / "out" / entry["picture"]).size[0] > 500 for entry in entries)

    def test_pictures_follow_results_that_are_made_anew(self, evaluated, sketched, tmp_path):
        evaluated([4, 3, 2, 1])
        entries = evaluated([1, 2, 3, 4], again=True)
        assert [entry["case"] for entry in entries] == ["case3", "case2"]
        assert all(entry["picture"] for entry in entries)
        assert len(list((tmp_path / "out" / "worst").iterdir())) == 2

    def test_ranking(self):
        assert showing.ranking_measure({"dice": 0.5, "nmi": 1.2}) == "dice"
        assert showing.ranking_measure({"ssim": 0.5}) is None
        assert showing.badness({"dice": 0.5}, "dice") > showing.badness({"dice": 0.6}, "dice")
        assert showing.badness({"tre_mean_mm": 5}, "tre_mean_mm") > showing.badness({"tre_mean_mm": 4}, "tre_mean_mm")
        assert showing.in_words({"tre_mean_mm": 1.234, "tre_mean_before_mm": 12}, "tre_mean_mm") == (
            "TRE, mean 1.23 mm (12 before)"
        )


def test_a_copied_folder_is_summed_up_anywhere(folder, plan, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(figures, "available", lambda: False)
    elsewhere = shutil.copytree(folder, tmp_path_factory.mktemp("copy") / "out")
    assert aggregate(elsewhere, require_evaluation(elsewhere), lambda sentence: None) == aggregate(
        folder, plan, lambda sentence: None
    )
