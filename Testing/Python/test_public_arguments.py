"""Every public function, each argument in turn of a kind that it is not: a sentence, never a traceback from inside."""

import inspect
import pickle
import re
from types import FunctionType

import numpy as np
import pytest
import SimpleITK as sitk

import robustdir
from registration_cases import Standin
from robustdir import metrics

GRID = robustdir.Grid((10, 11, 12), (1.1, 1.2, 1.3), (1, 2, 3))
VOXELS = np.random.default_rng(0).random(GRID.shape).astype(np.float32)
IMAGE = robustdir.Image(VOXELS, GRID)
LABELS = robustdir.LabelMap((VOXELS > 0.5).astype(np.uint8), GRID)
POINTS = GRID.points_from_voxels([[3.0, 4, 5], [5, 6, 5]])
LANDMARKS = robustdir.Landmarks(POINTS)
FIELD = robustdir.DisplacementField(np.random.default_rng(1).random((*GRID.shape, 3)), GRID)
SHIFT = sitk.TranslationTransform(3)
RECORDS = [{"subject": "a", "method": "b", "metric": "c", "value": 1.0}]

# Of each argument, what it may be; values that none takes are tried in the place of each.
FUNCTIONS = {
    "apply_to_points": {"transform": SHIFT, "points": POINTS},
    "evaluate_pair": {
        "fixed": IMAGE, "moving": IMAGE, "transform": SHIFT, "preset": "generic", "fixed_mask": LABELS,
        "fixed_landmarks": LANDMARKS, "moving_landmarks": LANDMARKS, "fixed_labels": LABELS, "moving_labels": LABELS,
    },
    "finetune": {"dataset": "none", "folder": "run", "resume": False, "progress": print},
    "from_array": {"array": VOXELS, "affine": np.eye(4), "frame": "RAS", "order": "xyz"},
    "from_nibabel": {"image": None},
    "from_sitk": {"image": None},
    "landmarks": {"points": POINTS, "names": ["a", "b"], "frame": "RAS"},
    "load_model": {"name_or_path": "none", "device": "cpu"},
    "make_pair": {"fixed": IMAGE, "seed": 0},
    "open_dataset": {"path": "none", "kind": "auto", "split": "train"},
    "read_displacement": {"path": "none.nrrd"},
    "read_image": {"path": "none.nii", "fill_nan": 0.0},
    "read_labels": {"path": "none.nii"},
    "read_landmarks": {"path": "none.csv", "grid": GRID},
    "read_mask": {"path": "none.nii"},
    "read_transform": {"path": "none.h5"},
    "register": {
        "fixed": IMAGE, "moving": IMAGE, "model": Standin(), "progress": print, "enough": bool, "preset": "generic",
        "alignment": "none", "device": "cpu", "threads": 1, "memory_limit": 10**10, "blank_outside": False,
        "spacing": 1.5, "quality": "fast", "refine": False, "refine_seconds": 1.0, "fixed_mask": LABELS,
        "fixed_landmarks": LANDMARKS, "moving_landmarks": LANDMARKS, "moving_labels": LABELS, "fixed_labels": [LABELS],
        "fill_nan": 0.0,
    },
    "resample": {"image": IMAGE, "grid": GRID, "transform": SHIFT, "nearest": False, "outside": 0.0, "spline": False},
    "save": {"result": object.__new__(robustdir.Registration), "folder": "run", "overwrite": False},
    "synthesize": {"seed": 0, "index": 0, "side": 16, "config": "none.json"},
    "to_nibabel": {"image": IMAGE},
    "to_sitk": {"image": IMAGE},
    "write_displacement": {"path": "field.nrrd", "field": FIELD},
    "write_image": {"path": "image.nrrd", "image": IMAGE},
    "write_landmarks": {"path": "points.csv", "landmarks": LANDMARKS},
    "write_transform": {"path": "transform.h5", "transform": SHIFT},
}  # fmt: skip
METRICS = {
    "average_per_subject": {"records": RECORDS},
    "compare_methods": {"records": RECORDS, "methods": ["b"], "metrics": ["c"]},
    "dice_per_label": {"fixed": LABELS.array, "warped": LABELS.array, "labels": [1]},
    "field_transform": {"field": FIELD.array, "grid": GRID},
    "folding_percent": {"jacobian": VOXELS, "mask": LABELS.array},
    "inside_mask": {"points": POINTS, "mask": LABELS.array, "grid": GRID},
    "inverse_residual": {"points": POINTS, "forward": np.copy, "inverse": np.copy},
    "jacobian": {"field": FIELD},
    "multiscale_nmi": {"fixed": VOXELS, "warped": VOXELS, "mask": LABELS.array, "bins": 16},
    "ncc": {"fixed": VOXELS, "warped": VOXELS, "mask": LABELS.array},
    "nmi": {"fixed": VOXELS, "warped": VOXELS, "mask": LABELS.array, "bins": 16},
    "sdlogj": {"jacobian": VOXELS, "mask": LABELS.array},
    "ssim": {"fixed": VOXELS, "warped": VOXELS, "mask": LABELS.array, "window": 3, "limits": (0.0, 1.0)},
    "summarise_errors": {"errors": np.array([1.0, 2]), "inside": np.array([True, False])},
    "surface_distances_per_label": {"fixed": LABELS.array, "warped": LABELS.array, "grid": GRID, "labels": [1]},
    "tre": {"mapped": POINTS, "moving": POINTS},
}
CLASSES = {
    "Grid": {"shape": (3, 4, 5), "spacing": (1.0, 1, 1), "origin": (0.0, 0, 0), "direction": np.eye(3)},
    "Image": {"array": VOXELS, "grid": GRID},
    "Landmarks": {"points": POINTS, "names": ("a", "b")},
    "DisplacementField": {"array": FIELD.array, "grid": GRID},
}
METHODS = {
    GRID.points_from_voxels: "voxels", GRID.voxels_from_points: "points", GRID.contains: "points",
    GRID.resized: "shape", GRID.displacement_to_mm: "displacement", GRID.displacement_from_mm: "field",
    GRID.close_to: "other", metrics.field_transform(FIELD.array, GRID): "points", metrics.Measurement.of: "value",
    LANDMARKS.where: "kept",
}  # fmt: skip
# Of no use to any argument.
NOTHING = (b"text", object(), {"a": 1}, np.zeros((2, 2), complex), sitk.TranslationTransform(2), [["a"]])
# Of use to some, in the place of others; a name that is none gives a sentence, too.
ELSEWHERE = (5, "a text", -1.5, [1], np.zeros((2, 2)), IMAGE)


def refused(call, given, name, wrong):
    """The sentence; whatever else is raised ends the test."""
    try:
        call(**{**given, name: wrong})
    except robustdir.InputError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def cases():
    """Each function or class and its arguments."""
    tables = ((FUNCTIONS, robustdir), (METRICS, metrics), (CLASSES, robustdir))
    return [
        pytest.param(getattr(home, name), given, id=name) for table, home in tables for name, given in table.items()
    ]


@pytest.mark.parametrize(("call", "given"), cases())
def test_what_is_of_no_use_is_refused_by_a_sentence_that_names_it(call, given):
    for name in given:
        for wrong in NOTHING:
            said = refused(call, given, name, wrong)
            assert said, f"{name} took {wrong!r}"
            assert re.search(rf"`{name}`|{name}\b|the (fixed|moving) image", said), said
            assert "\n" not in said


@pytest.mark.parametrize(
    ("call", "given"), [case for case in cases() if case.id not in ("register", "evaluate_pair", "save")]
)
def test_what_belongs_elsewhere_never_raises_from_inside(call, given):
    for name in given:
        for wrong in ELSEWHERE:
            refused(call, given, name, wrong)


@pytest.mark.parametrize(("call", "name"), METHODS.items(), ids=lambda one: getattr(one, "__name__", None))
def test_methods(call, name):
    for wrong in (*NOTHING, np.zeros((3, 2)), np.zeros(5), "a"):
        assert name in refused(call, {}, name, wrong)


def test_every_public_function_is_in_the_tables():
    for table, home in ((FUNCTIONS, robustdir), (METRICS, metrics)):
        public = {name for name in home.__all__ if isinstance(getattr(home, name), FunctionType)}
        assert public - set(table) <= {"list_models", "template_brain"}
        for name, given in table.items():
            parameters = inspect.signature(getattr(home, name)).parameters.values()
            named = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
            assert named - set(given) <= {"inverse", "moving_labels", "provenance", "settings"}, name


def test_messages_tell_what_to_give():
    for call, words in (
        (lambda: robustdir.load_model(5), "`name_or_path` is 5; give a name or path"),
        (lambda: robustdir.register(IMAGE, IMAGE, 5), "`model` is 5; give"),
        (lambda: robustdir.register(IMAGE, IMAGE, Standin(), fill_nan="a"), "`fill_nan` is 'a'; give a number"),
        (lambda: robustdir.read_image("x", fill_nan=[1]), "`fill_nan` is of the type list; give a number"),
        (lambda: robustdir.synthesize(side="a"), "`side` is 'a'; give a whole number"),
        (lambda: robustdir.resample(IMAGE, GRID, "shift"), "`transform` is 'shift'; give a 3D transform of SimpleITK"),
        (lambda: robustdir.register(IMAGE, IMAGE, Standin(), blank_outside=1), "`blank_outside` is 1; give True or"),
        (lambda: robustdir.load_model(device="none"), "`device` is 'none'"),
    ):
        with pytest.raises(robustdir.InputError) as raised:
            call()
        assert str(raised.value).startswith(words)


def test_points_of_another_shape_are_not_read_in_another_order():
    turned = np.arange(6.0).reshape(3, 2)
    for call in (robustdir.Landmarks, lambda p: robustdir.apply_to_points(SHIFT, p), GRID.points_from_voxels):
        with pytest.raises(robustdir.InputError, match=r"\(3, 2\)"):
            call(turned)
        assert len(getattr(call([]), "points", call([]))) == 0


def test_numbers_of_numpy_are_numbers():
    pair = robustdir.synthesize(np.int64(1), side=np.int32(16))
    np.testing.assert_array_equal(pair.fixed.array, robustdir.synthesize(1, side=16).fixed.array)
    assert metrics.nmi(VOXELS, VOXELS, bins=np.int64(8)).value == pytest.approx(2)
    assert metrics.dice_per_label(LABELS.array.tolist(), LABELS.array, labels=range(2))[1].value == 1


@pytest.mark.parametrize("function", [robustdir.read_image, robustdir.register, metrics.tre])
def test_functions_reach_other_processes_and_keep_their_signature(function):
    assert pickle.loads(pickle.dumps(function)) is function
    assert inspect.signature(function).parameters.keys() & {"path", "fixed", "mapped"}


def test_images_too_small_or_in_hounsfield_units_make_no_known_pair():
    with pytest.raises(robustdir.InputError, match="from -1000 to 200"):
        robustdir.make_pair(robustdir.Image(VOXELS * 0 + np.linspace(-1000, 200, 12, dtype=np.float32), GRID))
    with pytest.raises(robustdir.InputError, match="larger image"):
        robustdir.make_pair(IMAGE)
