"""Reports of the panel: whose they are, and the figures that it shows in place of the run's own."""

import csv
import json

import numpy as np
import pytest

from report_cases import QUICK, make_run, parsed, words
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import Tolerances
from RobustDIRLib.io.displacements import apply_to_points, read_transform
from RobustDIRLib.io.images import read_image
from RobustDIRLib.report.pair.shown import UNKNOWN, read_shown
from RobustDIRLib.report.write import write_pair_report


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    """A run that was given neither landmarks nor labels; not to be changed."""
    return make_run(tmp_path_factory.mktemp("shown"), landmarks=False, labels=False, options=QUICK)


@pytest.fixture
def shown(a_run, tmp_path):
    """What the panel writes: three landmarks and two structures, chosen after the run."""
    grid = read_image(a_run / "warped.nii.gz").grid
    fixed = grid.points_from_voxels(np.array([[5.0, 7, 8], [8, 6, 11], [9, 12, 7]]))
    moved = apply_to_points(read_transform(a_run / "transform.h5"), fixed)
    moving = moved + [[1.0, 0, 0], [0, 2, 0], [0, 0, 4]]
    before = np.linalg.norm(moving - fixed, axis=1)
    said = {
        "format": "robustdir-shown-1",
        "patients": ["Doe <Jane> (77)", ""],
        "volumes": ["plan", "control"],
        "nodes": [["Fixed volume", "plan", "vtkMRMLScalarVolumeNode3"]],
        "landmarks": [
            {"name": n, "before_mm": b, "after_mm": a, "fixed": p.tolist(), "moving": q.tolist()}
            for n, b, a, p, q in zip("abc", before, (1.0, 2.0, 4.0), fixed, moving, strict=True)
        ],
        "structures": [
            {"label": "liver", "before": 0.5, "after": 0.9, "hd95_mm": 2.5, "mda_mm": 1.0, "fixed_ml": 12.5},
            {"label": "spleen", "only_in": "fixed", "note": "only in the fixed segmentation"},
        ],
    }
    path = tmp_path / "shown.json"
    path.write_text(json.dumps(said))
    return path


def test_the_report_holds_what_is_shown(a_run, shown, tmp_path):
    limits = Tolerances({"tre_max_mm": 3.0})
    write_pair_report(a_run, tmp_path / "r.json", limits, read_shown(shown))
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["patient"] == f"fixed: Doe <Jane> (77); moving: {UNKNOWN}"
    assert report["volumes"] == {"fixed": "plan", "moving": "control"}
    assert report["nodes"][0]["id"] == "vtkMRMLScalarVolumeNode3"
    assert [row["after_mm"] for row in report["landmarks"]] == [4.0, 2.0, 1.0]
    verdicts = {one["name"]: (one["value"], one["verdict"]) for one in report["judgements"]}
    assert verdicts["tre_max_mm"] == (4.0, "outside tolerance")
    assert verdicts["dice"] == (0.9, "within tolerance")
    assert [row["label"] for row in report["structures"]] == ["liver", "spleen"]


def test_errors_after_the_linear_part_are_the_transforms_own(a_run, shown, tmp_path):
    write_pair_report(a_run, tmp_path / "r.json", shown=read_shown(shown))
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in json.loads(shown.read_text(encoding="utf-8"))["landmarks"]}
    linear = read_transform(a_run / "transform.h5").Downcast().GetNthTransform(0)
    for row in report["landmarks"]:
        point = linear.TransformPoint(rows[row["name"]]["fixed"])
        assert row["linear_mm"] == pytest.approx(np.linalg.norm(np.subtract(point, rows[row["name"]]["moving"])))


def test_page_and_table_name_the_patient_and_the_nodes(a_run, shown, tmp_path):
    for name in ("r.html", "r.csv"):
        write_pair_report(a_run, tmp_path / name, shown=read_shown(shown))
    text = words(parsed((tmp_path / "r.html").read_text(encoding="utf-8")))
    for each in ("Patient", "Doe <Jane> (77)", "control registered to plan", "vtkMRMLScalarVolumeNode3", "liver"):
        assert each in text
    rows = list(csv.reader((tmp_path / "r.csv").open(encoding="utf-8")))
    assert ["registration", "Fixed volume", "node", "plan", "", "", "", "vtkMRMLScalarVolumeNode3"] in rows


def test_what_is_not_known_says_so(a_run, shown, tmp_path):
    said = json.loads(shown.read_text(encoding="utf-8")) | {"patients": ["", ""], "landmarks": [], "structures": []}
    shown.write_text(json.dumps(said))
    write_pair_report(a_run, tmp_path / "r.json", shown=read_shown(shown))
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["patient"] == UNKNOWN
    assert report["summary"].startswith("Accuracy was not measured")


@pytest.mark.parametrize(
    "text", ['{"format": "other"}', "[]", "{}", '{"format": "robustdir-shown-1", "patients": [1]}']
)
def test_another_file_is_a_sentence(tmp_path, text):
    path = tmp_path / "shown.json"
    path.write_text(text)
    with pytest.raises(InputError, match="does not say what the panel shows"):
        read_shown(path)
