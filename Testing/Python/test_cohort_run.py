"""Evaluating a data set: what counts, what is made anew, what goes on when something fails. No processes of its own."""

import csv
import json
import logging
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

import cohort_cases as cases
from RobustDIRLib.baselines.starts import LinearStart
from RobustDIRLib.cohort import run as running
from RobustDIRLib.cohort.results import Condition, Key, read_result, write_result
from RobustDIRLib.cohort.run import Request, evaluate
from RobustDIRLib.cohort.terms import Perturbations, Terms
from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import DisplacementField, to_sitk_transform
from RobustDIRLib.io.images import Image, read_image, write_image
from RobustDIRLib.io.labels import read_labels


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    cases.write_dataset(folder, 3)
    return folder


@pytest.fixture
def dataset(original, tmp_path):
    """Three cases, the first two of one subject."""
    return shutil.copytree(original, tmp_path / "data")


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    cases.stand_in(monkeypatch)


@pytest.fixture
def evaluating(dataset, tmp_path):
    """Evaluate into one folder; gives the summary and what was told."""

    def run(*methods: str, **wanted):
        ear = cases.Ear()
        request = Request(dataset, methods or ("still", "good"), **{"worst": 0, **wanted})
        return evaluate(request, tmp_path / "out", ear), ear

    return run


@pytest.fixture
def table(tmp_path):
    """Rows of a CSV of the folder."""

    def read(name: str) -> list[dict[str, str]]:
        with (tmp_path / "out" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read


def found(rows, case: str, method: str, **more: str) -> dict[str, str]:
    wanted = {"case": case, "method": method, "perturbation": "none", **more}
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


class TestNumbers:
    def test_known_shifts_are_measured(self, evaluating, table):
        evaluating("still", "good", "fair")
        rows = table("pairs.csv")
        for number in range(3):
            start = np.linalg.norm(cases.shift_of(number))
            for method, error in (("still", start), ("good", 0.0), ("fair", 2.0)):
                row = found(rows, f"case{number}", method)
                assert float(row["tre_mean_mm"]) == pytest.approx(error, abs=1e-5)
                assert float(row["tre_mean_before_mm"]) == pytest.approx(start, abs=1e-5)
                assert float(row["folding_percent"]) == 0
                assert float(row["sdlogj"]) == pytest.approx(0, abs=1e-5)
            assert float(found(rows, f"case{number}", "good")["dice"]) > 0.6
            assert float(found(rows, f"case{number}", "good")["ssim"]) > float(row["ssim_before"])

    def test_inverse_is_measured_where_there_is_one(self, evaluating, table):
        evaluating("good", "fair")
        assert float(found(table("pairs.csv"), "case0", "good")["inverse_p95_mm"]) == pytest.approx(0, abs=1e-9)
        without = found(table("pairs.csv"), "case0", "fair")
        assert without["inverse_p95_mm"] == ""
        assert "inverse_mean_mm, inverse_p95_mm: there is no inverse transform" in without["undefined"]

    def test_every_landmark_and_label_has_a_row(self, evaluating, table):
        evaluating("still", "good")
        assert len(table("landmarks.csv")) == 3 * 2 * len(cases.POINTS)
        assert len(table("labels.csv")) == 3 * 2 * 3
        row = table("landmarks.csv")[1]
        assert [float(row[f"fixed_{axis}_mm"]) for axis in "xyz"] == pytest.approx(cases.POINTS[1], abs=1e-3)
        assert row["subject"] == "case0"

    def test_cost_is_as_measured(self, evaluating, table):
        evaluating("still", threads=2)
        row = table("pairs.csv")[0]
        assert [float(row[name]) for name in ("wall_s", "cpu_s", "peak_gib", "threads")] == [0.25, 0.5, 0.25, 2]


class TestOrder:
    """Nothing that ran before in the process changes what a method finds: the images lie at unlike oblique angles."""

    @pytest.fixture
    def found(self, monkeypatch):
        """The linear alignment's transforms, and points of both grids, to the last bit, in the order of the cases."""
        parameters = []

        class Recording(LinearStart):
            def register(self, pair, threads):
                outcome = super().register(pair, threads)
                voxels = np.random.default_rng(0).uniform(0, 15, (100, 3))
                points = [g.points_from_voxels(v).tolist() for g in (pair.fixed.grid, pair.moving.grid) for v in voxels]
                parameters.append((outcome.transform.GetParameters(), points))
                return outcome

        monkeypatch.setitem(cases.METHODS, "linear", Recording())
        return parameters

    def values(self, table):
        timed = ("wall_s", "cpu_s", "peak_gib", "reason")
        rows = [row for row in table("pairs.csv") if row["method"] == "linear"]
        return [{name: cell for name, cell in row.items() if name not in timed} for row in rows]

    def test_figures_are_the_same_alone_and_after_others(self, found, evaluating, table, tmp_path):
        evaluating("linear", limit=2)
        alone, values = list(found), self.values(table)
        for runs in (["still,linear"], ["good,still,linear"], ["still", "still,linear"]):
            shutil.rmtree(tmp_path / "out")
            found.clear()
            for methods in runs:
                evaluating(*methods.split(","), limit=2)
            assert found == alone, runs
            assert self.values(table) == values, runs


class TestResuming:
    def test_finished_results_are_kept(self, evaluating, tmp_path):
        evaluating("still")
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "results").rglob("*.json")}
        summary, ear = evaluating("still", "good")
        assert {key.method for key in ear.made} == {"good"}
        assert {key.method for key in ear.kept} == {"still"}
        assert all(path.stat().st_mtime_ns == time for path, time in before.items())
        assert (summary.done, summary.failed) == (6, 0)

    def test_other_methods_stay_in_the_tables(self, evaluating, table):
        evaluating("still")
        evaluating("good")
        assert {row["method"] for row in table("pairs.csv")} == {"still", "good"}

    @pytest.mark.parametrize("damage", ["half", "empty", "foreign", "swapped"])
    def test_damaged_result_is_said_and_made_anew(self, evaluating, tmp_path, table, damage):
        evaluating("still")
        path, other = (Key(name, "still").path(tmp_path / "out") for name in ("case1", "case2"))
        whole = path.read_text(encoding="utf-8")
        path.write_text(
            {"half": whole[:99], "empty": "", "foreign": "{}", "swapped": other.read_text(encoding="utf-8")}[damage]
        )
        summary, ear = evaluating("still")
        assert ear.made == [Key("case1", "still")]
        assert str(path) in ear.said[0]
        assert "made anew" in ear.said[0]
        assert summary.done == len(table("pairs.csv")) == 3

    def test_leftovers_of_a_killed_write_are_swept_away(self, evaluating, tmp_path):
        evaluating("still")
        litter = Key("case1", "still").path(tmp_path / "out").with_name(f".{'0a' * 16}.json")
        litter.write_text("{")
        evaluating("still")
        assert not litter.exists()

    def test_foreign_files_are_left_out_and_named(self, evaluating, tmp_path, table):
        evaluating("still")
        Key("case9", "still").path(tmp_path / "out").write_text("{}")
        _, ear = evaluating("still")
        assert len(table("pairs.csv")) == 3
        assert any("case9.json" in sentence for sentence in ear.said)

    def test_results_outlive_their_images(self, evaluating, dataset):
        evaluating("still")
        (dataset / "case1" / "fixed.nii.gz").unlink()
        assert evaluating("still")[1].made == []

    def test_failures_are_tried_again(self, evaluating, dataset):
        image = read_image(dataset / "case1" / "fixed.nii.gz")
        (dataset / "case1" / "fixed.nii.gz").unlink()
        summary, ear = evaluating("still")
        assert (summary.done, summary.failed) == (2, 1)
        assert "fixed.nii.gz" in ear.failed[Key("case1", "still")]
        write_image(dataset / "case1" / "fixed.nii.gz", image)
        summary, ear = evaluating("still")
        assert (summary.done, summary.failed) == (3, 0)
        assert ear.made == [Key("case1", "still")]


class TestOtherSettings:
    def test_changed_method_is_refused_and_not_mixed(self, evaluating, monkeypatch, tmp_path, table):
        evaluating("fair")
        monkeypatch.setitem(cases.METHODS, "fair", cases.Shift("fair", 5.0))
        with pytest.raises(InputError, match=r"3 results made with other settings .*method.error: 2.0 -> 5.0.*`redo`"):
            evaluating("fair")
        assert float(table("pairs.csv")[0]["tre_mean_mm"]) == pytest.approx(2, abs=1e-5)
        summary, ear = evaluating("fair", redo=True)
        assert len(ear.made) == summary.done == 3
        assert float(table("pairs.csv")[0]["tre_mean_mm"]) == pytest.approx(5, abs=1e-5)

    def test_changed_image_is_noticed_by_its_checksum(self, evaluating, dataset):
        evaluating("still")
        path = dataset / "case2" / "moving.nii.gz"
        image = read_image(path)
        write_image(path, Image(image.array * 2, image.grid))
        with pytest.raises(InputError, match=r"1 results .*input.moving"):
            evaluating("still")

    def test_touched_but_equal_files_are_the_same(self, evaluating, dataset):
        evaluating("still")
        for path in dataset.rglob("*.nii.gz"):
            os.utime(path, (1, 1))
        assert evaluating("still")[1].made == []

    def test_moved_data_set_is_the_same(self, evaluating, dataset, tmp_path):
        evaluating("still")
        shutil.copytree(dataset, tmp_path / "moved")
        ear = cases.Ear()
        evaluate(Request(tmp_path / "moved", ("still",), worst=0), tmp_path / "out", ear)
        assert ear.made == []

    def test_other_seed_of_a_perturbation_is_another_setting(self, evaluating):
        evaluating("still", perturb=("low-dose=5",))
        with pytest.raises(InputError, match="6 results|3 results"):
            evaluating("still", perturb=("low-dose=5",), perturbations=Perturbations(seed=1))

    def test_another_data_set_is_refused(self, evaluating, monkeypatch):
        evaluating("still")
        monkeypatch.setattr(running, "open_dataset", lambda *a: replace(cases.open_dataset(*a), name="others"))
        with pytest.raises(InputError, match="holds the evaluation of bodies"):
            evaluating("still")

    @pytest.mark.parametrize("place", [".", "case1"])
    def test_the_data_sets_folders_are_only_read(self, dataset, place):
        before = sorted(path.relative_to(dataset) for path in dataset.rglob("*"))
        with pytest.raises(InputError, match="folder of the data set, which is only read"):
            evaluate(Request(dataset, ("still",), worst=0), dataset / place, cases.Ear())
        assert sorted(path.relative_to(dataset) for path in dataset.rglob("*")) == before

    def test_a_data_set_may_grow(self, evaluating, dataset, table):
        evaluating("still")
        cases.write_case(dataset / "case3", 3)
        _, ear = evaluating("still")
        assert ear.made == [Key("case3", "still")]
        assert len(table("pairs.csv")) == 4


class TestFailures:
    def test_one_fails_and_the_rest_goes_on(self, evaluating, table, tmp_path):
        summary, ear = evaluating("refusing", "good")
        assert (summary.done, summary.failed) == (3, 3)
        assert set(ear.failed.values()) == {"the pair is too hard; give another."}
        row = found(table("pairs.csv"), "case1", "refusing")
        assert (row["status"], row["reason"], row["dice"]) == ("failed", "the pair is too hard; give another.", "")
        content = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
        assert content["counts"] == {"planned": 6, "done": 3, "failed": 3, "missing": 0}
        assert len(content["failures"]) == 3

    def test_a_mistake_is_one_line_and_its_traceback_is_kept(self, evaluating, monkeypatch, tmp_path):
        monkeypatch.setitem(cases.METHODS, "refusing", cases.Refusing(mistake=True))
        _, ear = evaluating("refusing")
        assert set(ear.failed.values()) == {"ZeroDivisionError: too many"}
        record = json.loads(Key("case0", "refusing").path(tmp_path / "out").read_text(encoding="utf-8"))["result"]
        assert "in register" in record["traceback"]

    def test_a_full_disk_is_no_failure_of_a_method(self, evaluating, monkeypatch, tmp_path):
        """It would stand in the tables; what is finished stays, and the rest is made once there is room."""
        monkeypatch.setitem(cases.METHODS, "good", cases.Filling())
        with pytest.raises(InputError, match=r"the disk is full.*case0 by \w+; free some.*goes on from there"):
            evaluating("good")
        assert not list((tmp_path / "out" / "results").rglob("*.json"))

    def test_nan_is_refused_with_its_file(self, evaluating, dataset):
        path = dataset / "case0" / "moving.nii.gz"
        image = read_image(path)
        array = image.array.copy()
        array[3, 4, 5] = np.nan
        write_image(path, Image(array, image.grid))
        summary, ear = evaluating("still", "good")
        assert (summary.done, summary.failed) == (4, 2)
        assert "moving.nii.gz has 1 of" in ear.failed[Key("case0", "good")]

    def test_a_transform_that_is_not_finite_is_refused(self, evaluating, monkeypatch):
        monkeypatch.setitem(cases.METHODS, "fair", cases.Shift("fair", float("nan")))
        _, ear = evaluating("fair")
        assert "NaN or infinite" in ear.failed[Key("case0", "fair")]

    def test_unknown_methods_and_perturbations_end_before_anything_is_made(self, evaluating, tmp_path):
        for wanted, message in (
            ((("nonesuch",), {}), "nonesuch"),
            ((("still",), {"perturb": ("fog",)}), "`perturb` fog"),
            ((("still",), {"perturb": ("low-dose=a",)}), "`perturb` low-dose=a"),
            ((("still",), {"perturb": ("low-dose=-1",)}), "out of its range"),
            ((("still",), {"perturb": ("hu-window",)}), "lung-ct"),
        ):
            with pytest.raises(InputError, match=message):
                evaluating(*wanted[0], **wanted[1])
        assert not (tmp_path / "out").exists()


class TestLabels:
    def test_unequal_label_sets_are_compared_where_they_meet(self, evaluating, dataset, table):
        for name, old, new in (("fixed", 2, 9), ("moving", 3, 12)):
            path = dataset / "case0" / f"{name}_labels.nii.gz"
            labels = read_labels(path)
            write_image(path, Image(np.where(labels.array == old, new, labels.array).astype(np.uint8), labels.grid))
        evaluating("good")
        rows = {row["label"]: row for row in table("labels.csv") if row["case"] == "case0"}
        assert set(rows) == {"1", "2", "3", "9", "12"}
        assert rows["1"]["dice"]
        assert {label for label, row in rows.items() if row["reason"].startswith("only the fixed")} == {"3", "9"}
        assert {label for label, row in rows.items() if row["reason"].startswith("only the moving")} == {"2", "12"}
        pair = found(table("pairs.csv"), "case0", "good")
        assert pair["labels"] == "1"
        assert float(pair["dice"]) == pytest.approx(float(rows["1"]["dice"]))
        assert "labels 3, 9 are in the fixed label map alone" in pair["notes"]

    def test_label_that_vanishes_counts_as_no_overlap_and_no_distance(self, evaluating, dataset, table):
        path = dataset / "case0" / "moving_labels.nii.gz"
        labels = read_labels(path)
        array = np.where(labels.array == 3, 0, labels.array)
        array[0, 0, 0] = 3  # a corner that lies beyond the fixed image
        write_image(path, Image(array, labels.grid))
        evaluating("good")
        (row,) = [row for row in table("labels.csv") if row["case"] == "case0" and row["label"] == "3"]
        assert (row["dice"], row["hd95_mm"], row["warped_voxels"]) == ("0.0", "", "0")
        assert "vanished" in row["reason"]
        pair = found(table("pairs.csv"), "case0", "good")
        assert "labels 3 vanished after warping" in pair["notes"]
        assert float(pair["dice"]) < float(found(table("pairs.csv"), "case1", "good")["dice"])

    def test_label_maps_on_other_grids_are_brought_over_and_it_is_said(self, evaluating, dataset, table):
        evaluating("good")
        at_home = float(found(table("pairs.csv"), "case0", "good")["dice"])
        for name, number in (("fixed", None), ("moving", 0)):
            shift = 0 if number is None else cases.shift_of(number)
            image = cases.picture(cases.OTHER_GRID, lambda p, s=shift: p - cases.MIDDLE - s)
            write_image(dataset / "case0" / f"{name}_labels.nii.gz", cases.labels_of(image))
        evaluating("good", redo=True)
        pair = found(table("pairs.csv"), "case0", "good")
        assert "the fixed label map lies on another grid" in pair["notes"]
        assert "the moving label map lies on another grid" in pair["notes"]
        assert float(pair["dice"]) == pytest.approx(at_home, abs=0.1)

    def test_a_case_without_labels_or_landmarks_says_so(self, evaluating, monkeypatch, table):
        def bare(*args):
            opened = cases.open_dataset(*args)
            none = dict.fromkeys(("fixed_labels", "moving_labels", "fixed_landmarks", "moving_landmarks"))
            return replace(opened, cases=tuple(replace(case, **none) for case in opened.cases))

        monkeypatch.setattr(running, "open_dataset", bare)
        evaluating("good")
        row = table("pairs.csv")[0]
        assert "there is no pair of label maps" in row["undefined"]
        assert "there are no paired landmarks" in row["undefined"]
        assert (row["dice"], row["tre_mean_mm"], row["labels"], row["landmarks"]) == ("", "", "0", "0")
        assert float(row["nmi"]) > 1


class TestMasks:
    """The label maps stand in for masks: above 0 inside the body."""

    @pytest.fixture
    def seen(self, monkeypatch):
        """Pairs that the method `watching` was given, on the data set with masks."""

        def masked(*args):
            opened = cases.open_dataset(*args)
            roles = {"fixed_mask": "fixed_labels", "moving_mask": "moving_labels"}
            added = [replace(case, **{new: getattr(case, old) for new, old in roles.items()}) for case in opened.cases]
            return replace(opened, cases=tuple(added))

        pairs = []

        class Watching(cases.Still):
            def register(self, pair, threads):
                pairs.append(pair)
                return super().register(pair, threads)

        monkeypatch.setattr(running, "open_dataset", masked)
        monkeypatch.setitem(cases.METHODS, "watching", Watching("watching"))
        return pairs

    def evaluated(self, dataset, folder, masks):
        evaluate(Request(dataset, ("watching",), limit=1, terms=Terms(masks), worst=0), folder, cases.Ear())
        (row,) = csv.DictReader((folder / "pairs.csv").open(encoding="utf-8", newline=""))
        return row

    def test_are_for_methods_and_measures_for_measures_alone_or_for_nothing(self, seen, dataset, tmp_path):
        rows = {what: self.evaluated(dataset, tmp_path / what, what) for what in ("use", "measure", "ignore")}
        given = [(pair.fixed_mask is not None, pair.moving_mask is not None) for pair in seen]
        assert Request(dataset, ("still",)).terms.masks == "measure"
        assert given == [(True, True), (False, False), (False, False)]
        assert rows["use"]["ncc"] == rows["measure"]["ncc"] != rows["ignore"]["ncc"]

    def test_results_of_masks_for_other_ends_do_not_mix(self, seen, dataset, tmp_path):
        self.evaluated(dataset, tmp_path / "out", "use")
        with pytest.raises(InputError, match=r"`masks` use, which do not compare with those of `masks` measure"):
            self.evaluated(dataset, tmp_path / "out", "measure")
        assert len(seen) == 1


class TestSpacing:
    """Every method is given one working grid, and it is said which."""

    @pytest.fixture
    def seen(self, monkeypatch):
        pairs = {}

        class Watching(cases.Still):
            def register(self, pair, threads):
                pairs.setdefault(self.name, []).append(pair.spacing)
                return super().register(pair, threads)

        for name in ("a", "b"):
            monkeypatch.setitem(cases.METHODS, name, Watching(name))
        return pairs

    @pytest.mark.parametrize(
        ("spacing", "expected"),
        [("automatic", 0.75 * 4.1), ("native", (5.3 * 4.1 * 6.1) ** (1 / 3)), ("2.50", 2.5)],
    )
    def test_is_the_same_for_all_and_stands_in_the_tables(self, seen, evaluating, table, tmp_path, spacing, expected):
        evaluating("a", "b", terms=Terms(spacing=spacing), limit=2)
        assert seen["a"] == seen["b"] == pytest.approx([expected] * 2, rel=1e-4)
        assert [float(row["spacing_mm"]) for row in table("pairs.csv")] == pytest.approx([expected] * 4, rel=1e-4)
        words = Terms(spacing=spacing).words
        summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
        assert summary["terms"] == {"masks": "measure", "spacing": Terms(spacing=spacing).spacing, "words": words}
        assert all(words in one["caption"] for one in summary["tables"])
        for kind in ("md", "tex"):
            assert words in (tmp_path / "out" / "tables" / f"accuracy.{kind}").read_text(encoding="utf-8")

    def test_of_another_kind_does_not_mix(self, evaluating):
        evaluating("still", limit=1)
        with pytest.raises(InputError, match=r"`spacing` automatic, which do not compare with those of `spacing` 3;"):
            evaluating("still", limit=1, terms=Terms(spacing="3"))

    def test_results_made_before_there_were_terms_are_not_mixed_in(self, evaluating, tmp_path):
        """Those of an earlier version, in which methods had grids of their own."""
        evaluating("still", limit=1)
        result = read_result(Key("case0", "still").path(tmp_path / "out"))
        made = {name: value for name, value in result.made_with.items() if name != "spacing"}
        write_result(tmp_path / "out", replace(result, made_with=made))
        with pytest.raises(InputError, match="spacing: nothing -> automatic"):
            evaluating("still", limit=1)


class TestWarnings:
    def test_of_reading_of_the_method_and_of_the_values_go_with_the_result(self, evaluating, monkeypatch, table):
        class Warning_(cases.Still):
            def register(self, pair, threads):
                return replace(super().register(pair, threads), notes=("the method warns.",))

        def opened(*args):
            dataset = cases.open_dataset(*args)
            return replace(dataset, cases=tuple(replace(one, preset="lung-ct") for one in dataset.cases))

        def load(case):
            logging.getLogger("RobustDIRLib.io.nifti").warning("the reader warns.")
            return loading(case)

        loading = Case.load
        monkeypatch.setattr(Case, "load", load)
        monkeypatch.setattr(running, "open_dataset", opened)
        monkeypatch.setitem(cases.METHODS, "warning", Warning_("warning"))
        _, ear = evaluating("warning", "still", limit=1)
        rows = {row["method"]: row["notes"] for row in table("pairs.csv")}
        assert "the method warns." in rows["warning"]
        assert "the method warns." not in rows["still"]
        for notes in rows.values():
            assert "the reader warns." in notes
            assert "the fixed image does not look like CT in Hounsfield units" in notes
            assert "the moving image does not look like CT in Hounsfield units" in notes
        assert [one for one in ear.said if "Hounsfield" in one]


class TestPerturbations:
    def test_measures_are_taken_on_the_images_as_they_are(self, evaluating, table):
        evaluating("good", perturb=("inversion=1", "low-dose=0,5"))
        rows = [row for row in table("pairs.csv") if row["case"] == "case1"]
        assert [(row["perturbation"], row["strength"]) for row in rows] == [
            ("none", ""), ("inversion", "1.0"), ("low-dose", "5.0"),
        ]  # fmt: skip
        assert len({row["ncc_before"] for row in rows}) == 1
        plain, inverted, _ = rows
        assert float(plain["ncc"]) > 0.8
        assert inverted["wall_s"]

    def test_methods_see_perturbed_images_alike_and_each_image_its_own(self, evaluating, monkeypatch):
        seen = {}

        class Watching(cases.Still):
            def register(self, pair, threads):
                seen.setdefault(self.name, []).append(pair)
                return super().register(pair, threads)

        monkeypatch.setitem(cases.METHODS, "a", Watching("a"))
        monkeypatch.setitem(cases.METHODS, "b", Watching("b"))
        evaluating("a", "b", limit=1, perturb=("low-dose=5,10",))
        plain, weak, strong = seen["a"]
        assert np.array_equal(weak.fixed.array, seen["b"][1].fixed.array)
        noise = [(one.fixed.array - plain.fixed.array) for one in (weak, strong)]
        assert np.allclose(2 * noise[0], noise[1], atol=1e-4 * np.abs(noise[1]).max())
        other = weak.moving.array - plain.moving.array
        assert abs(np.corrcoef(noise[0].ravel()[:2000], other.ravel()[:2000])[0, 1]) < 0.5

    @pytest.mark.parametrize("which", ["fixed", "moving"])
    def test_one_image_alone(self, evaluating, monkeypatch, which):
        seen = []

        class Watching(cases.Still):
            def register(self, pair, threads):
                seen.append(pair)
                return super().register(pair, threads)

        monkeypatch.setitem(cases.METHODS, "a", Watching("a"))
        evaluating("a", limit=1, perturb=("inversion=1",), perturbations=Perturbations(which))
        plain, perturbed = seen
        for role in ("fixed", "moving"):
            same = np.array_equal(getattr(plain, role).array, getattr(perturbed, role).array)
            assert same == (role != which)

    def test_folding_is_measured_where_the_method_saw_the_image(self, evaluating, monkeypatch, table):
        class Seeing(cases.Still):
            """Moves what it sees by far more than a slice, and nothing else."""

            def register(self, pair, threads):
                array = np.zeros((*pair.fixed.grid.shape, 3))
                array[:] = pair.fixed.grid.array_to_mm @ [-3.0, 0, 0]
                return cases.Outcome(to_sitk_transform(DisplacementField(array, pair.fixed.grid)))

        monkeypatch.setitem(cases.METHODS, "seeing", Seeing("seeing"))
        evaluating("seeing", limit=1, perturb=("crop=0.35",))
        plain, cropped = table("pairs.csv")
        assert [row["folding_percent"] for row in (plain, cropped)] == ["0.0", "0.0"]
        folding = {row["perturbation"]: float(row["folding_percent"]) for row in table("labels.csv")}
        assert folding == {"none": 0, "crop": 0}

    def test_strengths_are_places_of_their_own(self, evaluating, tmp_path):
        evaluating("still", limit=1, perturb=("inversion=0.25,0.5",))
        for strength in (0.25, 0.5):
            assert Key("case0", "still", Condition("inversion", strength)).path(tmp_path / "out").is_file()


def test_processors_are_shared_among_jobs(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    assert running.threads_of(3, None) == 5
    assert running.threads_of(30, None) == 1
    assert running.threads_of(3, 5) == 5
    assert running.threads_of(1, None, "tcp://cluster:8786") == 1
    assert running.threads_of(1, 3, "tcp://cluster:8786") == 3
