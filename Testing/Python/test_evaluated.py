"""What an evaluation found, read from its folder: figures, tests, errors, damage."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

import cohort_cases as cases
from RobustDIRLib.baselines.rivals import RIVALS
from RobustDIRLib.cohort import run as running
from RobustDIRLib.cohort.files import BEFORE
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.trainpanel import evaluated


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three cases by four methods, one of which refuses all, and once more perturbed."""
    home = tmp_path_factory.mktemp("evaluated")
    cases.write_dataset(home / "data", 3)
    with pytest.MonkeyPatch.context() as monkeypatch:
        cases.stand_in(monkeypatch)
        monkeypatch.setattr(running, "open_dataset", open_dataset)
        methods = ("still", "good", "fair", "refusing")
        request = running.Request(home / "data", methods, worst=0, perturb=("bias-field=0.2",))
        running.evaluate(request, home / "out", cases.Ear())
    return home / "out"


def test_figures_are_those_of_the_unperturbed_results(folder):
    found = evaluated.read(folder)
    assert list(found.methods) == ["still", "good", "fair", "refusing"]
    assert found.cases == ["case0", "case1", "case2"]
    assert found.primary == "tre_mean_mm" and "dice" in [one.name for one in found.measures]
    for number, case in enumerate(found.cases):
        start = np.linalg.norm(cases.shift_of(number))
        assert found.values[case, BEFORE, "tre_mean_mm"] == pytest.approx(start, abs=1e-3)
        assert found.values[case, "good", "tre_mean_mm"] == pytest.approx(0, abs=1e-3)
        assert found.values[case, "fair", "tre_mean_mm"] == pytest.approx(2, abs=1e-3)
        assert found.reasons[case, "refusing"] == "the pair is too hard; give another."
    assert found.columns("tre_mean_mm") == [BEFORE, "still", "good", "fair"]
    assert found.columns("wall_s") == ["still", "good", "fair"]  # no measure of images as they lie
    assert found.median("tre_mean_mm", "fair") == pytest.approx(2, abs=1e-3)
    assert found.median("tre_mean_mm", "refusing") is None


def test_results_of_perturbed_images_are_not_mixed_in(folder, tmp_path):
    place = copied(folder, tmp_path / "a")
    with (folder / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    perturbed = [row for row in rows if row["perturbation"] == "bias-field"]
    assert len(perturbed) == len(rows) // 2
    for row in perturbed:
        row.update({"tre_mean_mm": "99", "tre_mean_before_mm": "99"})
    with (place / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert max(evaluated.read(place).values[case, "fair", "tre_mean_mm"] for case in ("case0", "case2")) < 3


def test_tests_against_the_start_and_between_methods(folder):
    found = evaluated.read(folder)
    tests = {(one.first, one.second): one for one in found.tests["tre_mean_mm"]}
    start = [np.linalg.norm(cases.shift_of(number)) for number in range(3)]
    assert tests["good", BEFORE].difference == pytest.approx(-np.median(start), abs=1e-3)
    assert tests["good", BEFORE].p == pytest.approx(stats.wilcoxon(start).pvalue)
    assert tests["still", BEFORE].p is None
    assert not tests["good", BEFORE].significant  # three patients cannot tell


def test_errors_of_landmarks_come_in_steps(folder, monkeypatch):
    monkeypatch.setattr(evaluated, "_ROWS", 4)
    found, errors = evaluated.read(folder), {}
    steps = sum(1 for _ in evaluated.landmark_errors(found, errors))
    assert steps > 5
    assert {name: len(values) for name, values in errors.items()} == dict.fromkeys(
        (BEFORE, "still", "good", "fair"), 3 * len(cases.POINTS)
    )
    np.testing.assert_allclose(errors["fair"], 2.0, atol=1e-3)
    expected = np.repeat([np.linalg.norm(cases.shift_of(number)) for number in range(3)], len(cases.POINTS))
    np.testing.assert_allclose(np.sort(errors[BEFORE]), np.sort(expected), atol=1e-3)


def copied(folder, place):
    place.mkdir()
    for name in ("summary.json", "pairs.csv"):
        (place / name).write_text((folder / name).read_text(encoding="utf-8"))
    return place


def test_what_is_not_there_or_damaged_is_told(folder, tmp_path):
    with pytest.raises(InputError, match="no sums of an evaluation yet"):
        evaluated.read(tmp_path)
    place = copied(folder, tmp_path / "a")
    (place / "pairs.csv").write_text("case,method\n")
    assert evaluated.read(place).cases == []
    (place / "pairs.csv").write_text("case,method\nx,y\n")
    with pytest.raises(InputError, match="damaged tables"):
        evaluated.read(place)
    (place / "pairs.csv").unlink()
    with pytest.raises(InputError, match="damaged tables"):
        evaluated.read(place)
    content = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for change in ({"format": "robustdir-cohort-9"}, {"methods": [None]}, {"notes": ["all is well"]}):
        (place / "summary.json").write_text(json.dumps(content | change))
        with pytest.raises(InputError, match=r"summary.json was changed .* or is of another version"):
            evaluated.read(place)


def test_the_form_knows_all_rivals(desktop):
    from RobustDIRLib.trainpanel import evaluation_form

    assert {name: rival.distribution for name, rival in RIVALS.items()} == evaluation_form.RIVALS
