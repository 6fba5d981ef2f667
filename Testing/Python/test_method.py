from pathlib import Path

import numpy as np
import pytest
import torch

from RobustDIRLib.baselines.method import Pair
from RobustDIRLib.baselines.ours import OwnModel
from RobustDIRLib.baselines.registry import find_method, list_methods
from RobustDIRLib.baselines.timing import measured
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.model_file import save_model
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions


@pytest.fixture
def a_model(tmp_path, monkeypatch):
    """A small untaught network among the user's own models, called tiny."""
    monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path))
    torch.manual_seed(3)
    network = build_network({"kind": "unet", "channels": 4})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    (tmp_path / "tiny").mkdir()
    return save_model(tmp_path / "tiny" / "weights.pt", network, {"name": "tiny"})


@pytest.fixture
def pair(an_image, other_grid, a_label_map) -> Pair:
    from RobustDIRLib.io.images import resample

    return Pair(an_image, resample(an_image, other_grid), a_label_map)


def test_all_methods_are_listed(a_model):
    names = list_methods()
    assert names[:2] == ["none", "linear"]
    assert {"generic", "tiny", "elastix", "ants-quick", "convexadam", "bspline", "demons-quick"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_models_quality_is_part_of_its_name(a_model):
    assert {"generic-fast", "generic-balanced", "generic-best", "tiny-fast"} <= set(list_methods())
    assert [find_method(n).quality for n in ("tiny", "tiny-fast", "tiny-best")] == ["balanced", "fast", "best"]
    assert find_method("tiny-fast").path == find_method("tiny").path


def test_qualities_are_those_of_register():
    from RobustDIRLib.baselines import registry
    from RobustDIRLib.registration.refinement import settings

    assert tuple(settings.QUALITIES) == registry.QUALITIES


def test_none_leaves_everything_as_it_lies(pair):
    outcome = find_method("none").register(pair, 1)
    for transform in (outcome.transform, outcome.inverse):
        assert transform.TransformPoint((1.5, -2, 40)) == (1.5, -2, 40)


def test_own_method_is_what_register_gives(a_model, pair):
    """Also by its path, and in a process of its own."""
    points = pair.fixed.grid.points_from_voxels([[4, 5, 6], [9, 12, 7]])
    expected = register(
        pair.fixed,
        pair.moving,
        find_method("tiny")._loaded(),
        options=RegistrationOptions(threads=1),
        extras=PairExtras(fixed_mask=pair.fixed_mask),
    )
    outcomes = [find_method(name).register(pair, 1) for name in ("tiny", str(a_model))]
    outcomes.append(measured(find_method("tiny"), pair, 1)[0])
    for outcome in outcomes:
        for found, true in ((outcome.transform, expected.transform), (outcome.inverse, expected.inverse)):
            np.testing.assert_array_equal(apply_to_points(found, points), apply_to_points(true, points))


def test_linear_is_what_register_starts_from(a_model, pair):
    result = register(
        pair.fixed,
        pair.moving,
        find_method("tiny")._loaded(),
        options=RegistrationOptions(threads=1),
        extras=PairExtras(fixed_mask=pair.fixed_mask),
    )
    found = find_method("linear").register(pair, 1)
    points = pair.fixed.grid.points_from_voxels([[4, 5, 6], [9, 12, 7]])
    np.testing.assert_array_equal(apply_to_points(found.transform, points), result.alignment.linear(points))
    np.testing.assert_allclose(
        apply_to_points(found.inverse, apply_to_points(found.transform, points)), points, atol=1e-9
    )


def test_unknown_method_names_all_there_are():
    with pytest.raises(InputError, match="`methods` elastik: there is no such method; choose of none, .*elastix"):
        find_method("elastik")


@pytest.mark.parametrize("name", ["weights.pt", "folder/model"])
def test_missing_file_is_told_of_as_a_file(name):
    with pytest.raises(InputError, match=f"{name} does not exist"):
        find_method(name)


@pytest.mark.parametrize(
    ("name", "title"), [("generic", "generic"), ("runs/one/weights.pt", "one"), ("runs/one/mine.pt", "mine.pt")]
)
def test_a_model_of_a_run_is_called_as_the_run(name, title):
    path = Path(name) if "/" in name else Path("models", name, "weights.pt")
    assert OwnModel(name, path).title == title
