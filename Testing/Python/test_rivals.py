"""Every rival finds a known displacement: its transform leads from fixed to moving points, in mm, LPS, on any grid."""

from dataclasses import replace

import numpy as np
import pytest

from registration_cases import inverse_of, points_of
from rival_cases import FIXED_GRID, LINEAR, MOVING_GRID, a_pair, errors, mean_error, places
from RobustDIRLib.baselines import aligned, optional, simpleitk
from RobustDIRLib.baselines.ants import Ants
from RobustDIRLib.baselines.convexadam import ConvexAdam
from RobustDIRLib.baselines.elastix import BSplineStage, Elastix
from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.baselines.registry import find_method
from RobustDIRLib.baselines.rivals import RIVALS, versions
from RobustDIRLib.baselines.simpleitk import BSpline, Demons
from RobustDIRLib.baselines.starts import LinearStart
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.io.images import Image
from RobustDIRLib.registration.alignment import align

# The rivals as they are, but for fewer iterations, and some for fewer control points, samples and working voxels.
SHORT = {
    "itk-elastix": Elastix(first=BSplineStage(40, (4, 2, 1), (40, 20, 10))),
    "antspyx": Ants(metric="CC[{images},1,2]", convergence="[30x30x20x0,1e-6,10]"),
    "convexAdam": ConvexAdam(device="cpu"),
    "SimpleITK B-spline": BSpline(iterations=15, samples=0.1, cell=12),
    "SimpleITK demons": Demons(iterations=(60, 60, 20)),
}

FEWEST_SAMPLES = 3000
SPACING = dict.fromkeys(("convexAdam", "SimpleITK B-spline"), 2.7)  # mm


def needs(distribution: str):
    missing = optional.version(distribution.split()[0]) is None
    return pytest.mark.skipif(missing, reason=f"{distribution} is not installed; robustdir[baselines] brings it")


every_rival = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in SHORT])


@pytest.fixture(scope="module", autouse=True)
def _aligned_once():
    """The linear start that all rivals share takes as long as some of them: of the same images it is found once."""
    found = {}

    def once(fixed: Image, moving: Image):
        key = fixed.array.tobytes(), moving.array.tobytes()
        if key not in found:
            found[key] = align(fixed, moving)
        return found[key]

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(aligned, "align", once)
        monkeypatch.setattr(simpleitk, "_FEWEST_SAMPLES", FEWEST_SAMPLES)
        yield


@pytest.fixture(scope="module")
def pair():
    return a_pair()


@pytest.fixture(scope="module")
def start(pair) -> Outcome:
    return LinearStart().register(pair, 1)


@pytest.fixture(scope="module")
def outcomes(pair):
    """Outcomes by name, each made once."""
    made: dict[str, Outcome] = {}

    def outcome(name: str) -> Outcome:
        if name not in made:
            made[name] = SHORT[name].register(replace(pair, spacing=SPACING.get(name)), 1)
        return made[name]

    return outcome


@every_rival
def test_error_falls_along_every_axis(name, outcomes, start):
    before = np.abs(errors(start.transform, places())).mean(0)
    after = np.abs(errors(outcomes(name).transform, places())).mean(0)
    # The linear part leaves little along x; a displacement with x turned round would double it.
    assert (after < 0.7 * np.maximum(before, 0.8)).all()
    assert mean_error(outcomes(name).transform, places()) < 1


@every_rival
def test_inverse_leads_back(name, outcomes):
    outcome = outcomes(name)
    if outcome.inverse is None:
        assert name != "antspyx"
        pytest.skip(f"{name} gives no inverse")
    back = apply_to_points(outcome.inverse, apply_to_points(outcome.transform, places()))
    assert np.linalg.norm(back - places(), axis=1).mean() < 0.1


@every_rival
def test_mask_says_where_to_look(name, pair, start):
    """Outside its mask the fixed image is something else altogether; inside the error falls all the same."""
    body = np.array([26, 22, 30])
    inside = np.linalg.norm(points_of(FIXED_GRID) / body, axis=-1) < 1
    beside = 0.5 + 0.5 * np.cos(points_of(FIXED_GRID) @ [0.31, 0.23, -0.17])
    reached = np.linalg.norm(inverse_of(LINEAR)(points_of(MOVING_GRID)) / body, axis=-1) < 1.1
    spoilt = Pair(
        Image(np.where(inside, pair.fixed.array, beside).astype(np.float32), FIXED_GRID),
        pair.moving,
        Image(inside.astype(np.uint8), FIXED_GRID),
        Image(reached.astype(np.uint8), MOVING_GRID),
        spacing=SPACING.get(name),
    )
    outcome = SHORT[name].register(spoilt, 1)
    assert mean_error(outcome.transform, places(0.6)) < 0.7 * mean_error(start.transform, places(0.6))


@pytest.mark.parametrize("name", RIVALS)
def test_quick_and_full_are_found_or_name_their_package(name):
    if optional.version(RIVALS[name].distribution) is None:
        with pytest.raises(InputError, match=r"robustdir\[baselines\]"):
            find_method(name)
    else:
        assert find_method(name).name == name
        assert find_method(name).settings()[RIVALS[name].distribution]


@pytest.mark.parametrize("name", [n for n in RIVALS if RIVALS[n].distribution != "SimpleITK"])
def test_missing_package_is_named_before_anything_runs(name, monkeypatch):
    monkeypatch.setattr(optional, "version", lambda distribution: None)
    with pytest.raises(InputError, match=rf"`methods` {name}: it needs the package {RIVALS[name].distribution}"):
        find_method(name)


def test_package_that_cannot_be_imported_is_named():
    with pytest.raises(InputError, match="`methods` x: its package SimpleITK cannot be imported"):
        optional.package("SimpleITK", "x", "SimpleITK.not_there")


def test_settings_tell_quick_from_full():
    for full in (name for name in RIVALS if not name.endswith("-quick")):
        if optional.version(RIVALS[full].distribution):
            assert find_method(full).settings() != find_method(f"{full}-quick").settings()


def test_versions_are_of_installed_packages():
    assert "SimpleITK" in versions()
    assert all(versions().values())


def test_same_pair_gives_the_same_transform_twice(pair):
    method = BSpline(iterations=3, samples=0.05, cell=12)
    first, second = (method.register(replace(pair, spacing=3.6), 1).transform for _ in range(2))
    np.testing.assert_array_equal(errors(first, places()), errors(second, places()))


@needs("convexAdam")
def test_convexadam_refuses_a_side_of_two_cells(pair):
    thin = Image(np.ascontiguousarray(pair.fixed.array[:, :, :10]), replace(FIXED_GRID, shape=(28, 36, 10)))
    with pytest.raises(InputError, match="18 working voxels along every side"):
        ConvexAdam(device="cpu").register(replace(pair, fixed=thin), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_are_refused(pair, value):
    array = pair.fixed.array.copy()
    array[3, 4, 5] = value
    with pytest.raises(InputError, match="the fixed image has 1 voxels"):
        BSpline().register(replace(pair, fixed=Image(array, FIXED_GRID)), 1)


def test_failure_of_a_rival_is_no_mistake_of_ours():
    error = optional.failure("elastix", RuntimeError("itk::ERROR: Metric\nToo few samples map inside moving image."))
    assert isinstance(error, InputError)
    assert str(error).startswith("elastix failed on this pair (Too few samples map inside moving image)")
