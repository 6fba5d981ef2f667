"""Statistical deformation models and virtual subjects: round trips, oracles, and what is drawn from them."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from finetuning_cases import a_config, decathlon
from registration_cases import Standin, direction
from RobustDIRLib import warping
from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.cli import main
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import SplitConfig, VirtualConfig
from RobustDIRLib.finetuning.deformation_building import Building, build, without_linear_part
from RobustDIRLib.finetuning.deformation_model import (
    build_model,
    canonical_axes,
    from_canonical,
    load_deformation_model,
    save_deformation_model,
    to_canonical,
)
from RobustDIRLib.finetuning.pairs import PairMaker
from RobustDIRLib.finetuning.scans import ScanStore
from RobustDIRLib.finetuning.splines import basis, spline_fit, spline_values
from RobustDIRLib.finetuning.split import split_dataset
from RobustDIRLib.finetuning.tuner import Tuner
from RobustDIRLib.finetuning.virtual import breathing, lung_box, virtual_pair
from RobustDIRLib.geometry import Grid
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.transforms import ComposedTransform
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.training.processes import Process

OBLIQUE = Grid((19, 24, 15), (2.2, 1.7, 3.1), (10, -20, 5), direction((6, -8, 95), (1, -1, 1)))


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("organs"))


class TestSplines:
    def test_the_basis_is_scipys_cubic_b_spline(self) -> None:
        """Of knots one node apart; where it peaks, the node is."""
        nodes, voxels = 7, 13
        at = 1 + (np.arange(voxels) + 0.5) / voxels * (nodes - 3)
        spline = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
        wanted = np.nan_to_num(spline(at[:, None] - np.arange(nodes)))
        np.testing.assert_allclose(basis(voxels, nodes).numpy(), wanted, atol=1e-6)
        np.testing.assert_allclose(wanted.sum(1), 1)

    def test_what_splines_can_say_is_fitted_exactly_each_axis_apart(self) -> None:
        coefficients = torch.randn((1, 3, 6, 5, 7), generator=torch.Generator().manual_seed(0))
        values = spline_values(coefficients, (17, 21, 15))
        torch.testing.assert_close(spline_fit(values, (6, 5, 7)), coefficients, atol=2e-3, rtol=1e-3)

    def test_under_four_nodes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 4"):
            basis(10, 3)


class TestCanonical:
    @pytest.mark.parametrize(
        "grid",
        [OBLIQUE, Grid((19, 24, 15), (2.2, 1.7, 3.1)), Grid((12, 10, 14), (1, 2, 3), (0, 0, 0), direction((90, 4, 0)))],
    )
    def test_there_and_back_is_the_same_displacement(self, grid: Grid) -> None:
        u = Standin().displacement(grid.shape)
        again = from_canonical(to_canonical(u, grid, 9), grid)
        assert (again - u).abs().max() < 0.02 * u.abs().max()

    def test_a_motion_in_space_is_the_same_in_images_of_any_orientation(self) -> None:
        """5 mm upwards, more so to the left: drawn on an upright grid and on one whose axes are turned and flipped."""
        upright = Grid((16, 18, 20), (2, 2, 2))
        turned = Grid((20, 16, 18), (2, 2, 2), (0, 0, 0), ((0, 0, 1), (1, 0, 0), (0, -1, 0)))
        order, flips = canonical_axes(turned)
        assert sorted(order) == [0, 1, 2] and order != (0, 1, 2)
        coefficients = torch.randn((1, 3, 6, 6, 6), generator=torch.Generator().manual_seed(2))
        moves = []
        for grid in (upright, turned):
            u = from_canonical(coefficients, grid)[0].numpy()
            field = grid.displacement_to_mm(u)
            points = grid.points_from_voxels(np.moveaxis(np.indices(grid.shape), 0, -1))
            low, high = points.reshape(-1, 3).min(0), points.reshape(-1, 3).max(0)
            moves.append((((points - low) / (high - low)).reshape(-1, 3), field.reshape(-1, 3)))
        order_a, order_b = (np.lexsort(np.round(places, 4).T) for places, _ in moves)
        np.testing.assert_allclose(moves[0][1][order_a], moves[1][1][order_b], atol=1e-4)


def _deformations(count: int = 12, nodes: int = 5) -> list[torch.Tensor]:
    """Two ways to move, in unlike amounts, about a mean."""
    g = torch.Generator().manual_seed(1)
    ways = torch.randn((2, 1, 3, nodes, nodes, nodes), generator=g)
    amounts = torch.randn((count, 2), generator=g) * torch.tensor([3.0, 1.0])
    return [5 + sum(a * way for a, way in zip(row, ways, strict=True)) for row in amounts]


class TestModel:
    def test_components_hold_the_variance_that_sklearns_pca_would(self) -> None:
        rows = _deformations()
        model = build_model(rows)
        for axis, components in enumerate(model.components):
            flat = torch.cat(rows)[:, axis].flatten(1).double().numpy()
            values = np.linalg.eigvalsh(np.cov(flat.T))[::-1]
            kept = int(np.searchsorted(np.cumsum(values) / values.sum(), 0.8)) + 1
            assert components.shape == (125, kept)
            np.testing.assert_allclose((components**2).sum(0), values[:kept], rtol=1e-3)
            np.testing.assert_allclose(model.mean[axis], flat.mean(0), rtol=1e-4)
            assert model.explained[axis] >= 0.8

    def test_samples_vary_as_the_deformations_did(self) -> None:
        rows = _deformations(40)
        model = build_model(rows)
        root3 = 3**0.5
        drawn = torch.cat([model.sample(generator(n), (root3, root3)) for n in range(600)]).flatten(2)
        seen = torch.cat(rows).flatten(2)
        held = np.array(model.explained)
        for axis in range(3):
            ratio = float(drawn[:, axis].var(0).sum() / seen[:, axis].var(0).sum())
            assert ratio == pytest.approx(held[axis], rel=0.15)

    def test_a_file_gives_the_same_model_and_runs_nothing(self, tmp_path: Path) -> None:
        model = build_model(_deformations(), {"data_set": "x"})
        save_deformation_model(tmp_path / "m.npz", model)
        again = load_deformation_model(tmp_path / "m.npz")
        assert again.card == {"data_set": "x"} and again.nodes == 5
        torch.testing.assert_close(again.sample(generator(3)), model.sample(generator(3)))

    @pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04cut"])
    def test_what_is_no_model_is_refused_by_name(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "m.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"m\.npz"):
            load_deformation_model(tmp_path / "m.npz")

    def test_one_deformation_makes_no_model(self) -> None:
        with pytest.raises(InputError, match="two pairs"):
            build_model(_deformations(1))


def test_the_linear_part_is_taken_out_and_the_rest_left() -> None:
    linear = Linear(np.array([[1.05, 0.04, -0.03], [0.02, 0.97, 0.05], [-0.04, 0.01, 1.02]]), np.array([9.0, -4, 6]))
    u = Standin()(torch.zeros(1, 1, *OBLIQUE.shape), torch.zeros(1, 1, *OBLIQUE.shape))
    whole = without_linear_part(ComposedTransform(linear, u, OBLIQUE).transform, OBLIQUE)
    alone = without_linear_part(ComposedTransform(Linear(np.eye(3), np.zeros(3)), u, OBLIQUE).transform, OBLIQUE)
    assert alone.abs().max() > 0.1
    torch.testing.assert_close(whole, alone, atol=5e-3, rtol=1e-2)
    straight = ComposedTransform(linear, u._replace(displacement=0 * u[0], inverse=0 * u[0]), OBLIQUE).transform
    assert without_linear_part(straight, OBLIQUE).abs().max() < 1e-3


class _Known:
    """A method that finds a deformation of its own for each pair, and counts its work."""

    name = "known"

    def __init__(self, strength: int = 1) -> None:
        self.calls = 0
        self.settings = {"strength": strength}

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        self.calls += 1
        amplitude = 0.01 * self.calls
        u = Standin((amplitude, -amplitude, 0.02))(
            torch.zeros(1, 1, *pair.fixed.grid.shape), torch.zeros(1, 1, *pair.fixed.grid.shape)
        )
        return Outcome(ComposedTransform(Linear(np.eye(3), np.zeros(3)), u, pair.fixed.grid).transform)


def test_building_keeps_what_is_done_and_tells_how_samples_are(organs: Path, tmp_path: Path) -> None:
    dataset, method = open_dataset(organs), _Known()
    building = Building("organs", dataset.cases, method, nodes=7)
    first = list(build(building, tmp_path / "m"))
    assert method.calls == len(dataset.cases) == 3
    again = list(build(building, tmp_path / "m"))
    assert method.calls == 3 and again[-1] == first[-1]
    card = json.loads((tmp_path / "m" / "card.json").read_text(encoding="utf-8"))
    assert card["pairs"] == 3 and card["samples"] == 100 and min(card["variance_explained"]) >= 0.8
    assert card["folding_percent_mean"] <= card["folding_percent_max"] and card["sdlogj_mean"] > 0
    assert (tmp_path / "m" / "samples.png").stat().st_size > 5000


def test_pairs_that_are_kept_count_for_the_same_images_by_the_same_method_alone(tmp_path: Path) -> None:
    """Names of cases say little: another data set, a newer file and a model taught further may all have those."""
    organs = decathlon(tmp_path / "organs", 6)

    def calls(method: _Known) -> int:
        list(build(Building("organs", open_dataset(organs).cases, method, nodes=7), tmp_path / "m"))
        return method.calls

    assert calls(_Known()) == 3 and calls(_Known()) == 0
    assert calls(_Known(strength=2)) == 3
    shutil.copy(organs / "imagesTr" / "organ_001.nii.gz", organs / "imagesTr" / "organ_000.nii.gz")
    assert calls(_Known(strength=2)) == 1
    kept = sorted((tmp_path / "m" / "pairs").iterdir())[0]
    held = dict(np.load(kept))
    np.savez(kept, **{**held, "coefficients": held["coefficients"] * np.float32(np.nan)})
    assert calls(_Known(strength=2)) == 1


def test_of_two_buildings_in_one_folder_the_second_is_refused(organs: Path, tmp_path: Path) -> None:
    building = Building("organs", open_dataset(organs).cases, _Known(), nodes=7)
    first = build(building, tmp_path / "m")
    next(first)
    with pytest.raises(InputError, match="another run is at work in this folder"):
        next(build(building, tmp_path / "m"))
    first.close()
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"pairs"}
    assert next(build(building, tmp_path / "m"))["kind"] == "pair"


def test_a_full_disk_ends_the_building_and_is_no_failure_of_a_pair(organs: Path, tmp_path: Path, monkeypatch) -> None:
    dataset, method = open_dataset(organs), _Known()

    def full(*_args: object, **_arrays: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(InputError, match="No space left"):
        list(build(Building("organs", dataset.cases, method, nodes=7), tmp_path / "m"))
    assert method.calls == 1


class TestVirtualSubjects:
    def test_the_fixed_image_is_the_moving_one_under_the_models_deformation(self, organs: Path, tmp_path: Path) -> None:
        """So the drawn deformation registers the virtual pair, but for interpolating twice."""
        model = build_model([d * 0.4 for d in _deformations(nodes=6)])
        save_deformation_model(tmp_path / "m.npz", model)
        scan = split_dataset(open_dataset(organs), SplitConfig(shares=(1, 0, 0)))["train"].scans[0]
        pair, grid = PairMaker(ScanStore(2**28), "none").of_itself(scan, "generic", generator(0))
        config = VirtualConfig(1.0, model=str(tmp_path / "m.npz"))
        made, u = virtual_pair(pair, grid, config, generator(4))
        g = generator(4)
        torch.rand((1, 3, 6, 6, 6), generator=g)
        assert torch.equal(u, from_canonical(model.sample(g, config.strength), grid))
        inner = (slice(None), slice(None), *(slice(3, -3),) * 3)
        off = (warping.warp(made.moving, u) - made.fixed)[inner].abs().mean()
        unregistered = (made.moving - made.fixed)[inner].abs().mean()
        assert unregistered > 0.02 and off < 0.35 * unregistered
        assert made.fixed_labels is not None and made.moving_labels is not None
        assert set(made.fixed_labels.unique().tolist()) <= set(pair.fixed_labels.unique().tolist())  # type: ignore[union-attr]
        assert made.fixed_points is None

    def test_every_draw_makes_another_subject(self, organs: Path, tmp_path: Path) -> None:
        save_deformation_model(tmp_path / "m.npz", build_model([d * 1e-3 for d in _deformations(nodes=6)]))
        scan = split_dataset(open_dataset(organs), SplitConfig(shares=(1, 0, 0)))["train"].scans[0]
        pair, grid = PairMaker(ScanStore(2**28), "none").of_itself(scan, "generic", generator(0))
        made = [
            virtual_pair(pair, grid, VirtualConfig(1.0, model=str(tmp_path / "m.npz")), generator(n)) for n in range(3)
        ]
        assert len({round(float(p.moving.sum()), 3) for p, _ in made}) == 3

    def test_breathing_moves_the_lungs_and_leaves_the_rest(self) -> None:
        """A chest of two dark lungs; a motion along z alone at their base."""
        image = torch.full((1, 1, 30, 26, 34), 0.8)
        image[..., 8:24, 6:20, 5:14] = -0.6
        image[..., 9:23, 7:19, 19:30] = -0.5
        image[..., 0, :] = -1.0  # air outside, which touches the border
        assert lung_box(image) == ([8, 6, 5], [24, 20, 30])
        motion = torch.zeros((3, 12, 12, 12))
        motion[0] = -0.2 * torch.linspace(1, 0, 12).view(-1, 1, 1)
        u = breathing(motion, image, generator(1))
        assert u[0, 0, 8:11, 10:16, 8:28].abs().mean() > 0.15 * 16
        assert u[:, 1:].abs().max() == 0
        assert u[0, 0, :4].abs().max() < 0.1 and u[0, 0, :, :, 0].abs().max() < u[0, 0].abs().max()
        for axis, side in enumerate((16, 14, 25)):  # a motion is in shares of the lungs' own box, each axis of its own
            along = torch.zeros((3, 12, 12, 12))
            along[axis] = 0.2
            moved = breathing(along, image, generator(1))
            assert moved[0, axis].abs().max() == pytest.approx(0.2 * side, rel=1e-5)
            assert moved.abs().amax((2, 3, 4)).count_nonzero() == 1
        signs = {float(breathing(motion, image, generator(n))[0, 0].sum().sign()) for n in range(8)}
        assert signs == {-1.0, 1.0}

    def test_a_run_draws_virtual_subjects_as_often_as_asked(self, organs: Path, tmp_path: Path) -> None:
        save_deformation_model(tmp_path / "m.npz", build_model(_deformations(nodes=6)))
        virtual = {"probability": 0.5, "model": str(tmp_path / "m.npz")}
        tuner = Tuner(a_config(organs, virtual=virtual, pairs_per_epoch=24), Process(0, 1, torch.device("cpu")))
        names = [tuner.batch(step)[0][0].name for step in range(24)]
        assert 5 < sum(name.startswith("a virtual subject") for name in names) < 19

    def test_virtual_subjects_need_a_source(self, organs: Path) -> None:
        with pytest.raises(InputError, match="need a model or motions"):
            a_config(organs, virtual={"probability": 0.5})


def test_the_command_builds_and_shows(organs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["deformation-model", "build", str(organs), "-o", str(tmp_path), "--pairs", "2", "--method", "linear"])
    told = capsys.readouterr()
    assert code == 2 and "vary" in told.err  # a linear method leaves nothing to learn from
    assert main(["deformation-model", "build", str(organs), "-o", str(tmp_path / "b"), "--pairs", "1"]) == 2
