"""Fine-tuning: who learns from whom, pairs in space, and the losses, each against something independent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from finetuning_cases import a_config, a_scan, decathlon, grid_of, paired
from registration_cases import Standin, grid_about
from RobustDIRLib import warping
from RobustDIRLib.cli import main
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import ring, scans_of
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning import virtual
from RobustDIRLib.finetuning.augmentation import augment, mirrored, mirrored_displacement
from RobustDIRLib.finetuning.config import (
    AugmentationConfig,
    ConvergenceConfig,
    FinetuneConfig,
    LossWeights,
    SplitConfig,
    VirtualConfig,
)
from RobustDIRLib.finetuning.convergence import converged_at
from RobustDIRLib.finetuning.grids import SMALLEST_BOX, FittedGrid, random_box
from RobustDIRLib.finetuning.losses import landmark_errors, pair_loss
from RobustDIRLib.finetuning.pairs import PairKey, PairMaker, TrainingPair, listed_pairs, random_pairs
from RobustDIRLib.finetuning.scans import ScanStore
from RobustDIRLib.finetuning.similarity import local_ncc_loss, mind_loss, nmi_loss
from RobustDIRLib.finetuning.split import split_dataset
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, read_image, write_image
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.presets import find_preset
from RobustDIRLib.registration.alignment import align
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.preprocessing import working_grid
from RobustDIRLib.registration.transforms import ComposedTransform
from RobustDIRLib.synthesis.random import generator


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("organs"))


@pytest.fixture(scope="module")
def breaths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paired(tmp_path_factory.mktemp("breaths"))


def a_store() -> ScanStore:
    return ScanStore(2**28)


class TestSplit:
    def test_every_subject_is_in_one_part_and_the_draw_is_the_same_each_time(self, organs: Path) -> None:
        dataset = open_dataset(organs)
        first, second = (split_dataset(dataset, SplitConfig(shares=(0.5, 0.2, 0.3))) for _ in range(2))
        assert {n: p.subjects for n, p in first.items()} == {n: p.subjects for n, p in second.items()}
        held = [s for part in first.values() for s in part.subjects]
        assert len(held) == len(set(held)) == 6
        assert [len(first[name].subjects) for name in ("train", "validation", "test")] == [2, 2, 2]

    def test_another_seed_draws_others(self, organs: Path) -> None:
        dataset = open_dataset(organs)
        draws = {split_dataset(dataset, SplitConfig(seed=seed))["train"].subjects for seed in range(6)}
        assert len(draws) > 1

    def test_fewer_to_learn_from_leave_validation_and_test_alone(self, organs: Path) -> None:
        dataset = open_dataset(organs)
        whole, less = (split_dataset(dataset, SplitConfig(limit=limit)) for limit in (0, 1))
        assert set(less["train"].subjects) < set(whole["train"].subjects) and len(less["train"].subjects) == 1
        assert less["test"].subjects == whole["test"].subjects
        assert less["validation"].subjects == whole["validation"].subjects

    def test_listed_subjects_are_taken_as_they_are(self, organs: Path) -> None:
        config = SplitConfig(("organ_004", "organ_001"), ("organ_000",), ("organ_005",))
        parts = split_dataset(open_dataset(organs), config)
        assert parts["train"].subjects == ("organ_004", "organ_001")
        assert {scan.image.path.name for scan in parts["test"].scans} == {"organ_005.nii.gz"}

    def test_a_name_written_in_two_ways_is_on_one_side(self, organs: Path) -> None:
        scans = {scan.subject: scan for scan in scans_of(open_dataset(organs).cases)}
        names = ("organ_000", "organ_001", "Organ_001")
        two = [replace(scans[f"organ_00{k}"], name=name, subject=name) for k, name in enumerate(names)]
        dataset = replace(open_dataset(organs), cases=tuple(ring(two, "generic")))
        with pytest.raises(InputError, match="organ_001 is in train and Organ_001 in test; if they are one person"):
            split_dataset(dataset, SplitConfig(("organ_000", "organ_001"), test=("Organ_001",)))
        parts = split_dataset(dataset, SplitConfig(("Organ_001", "organ_001"), test=("organ_000",)))
        assert set(parts["train"].subjects) == {"Organ_001", "organ_001"}

    @pytest.mark.parametrize("part", ["validation", "test"])
    def test_a_subject_on_both_sides_is_refused(self, organs: Path, part: str) -> None:
        config = replace(SplitConfig(("organ_001", "organ_002")), **{part: ("organ_002",)})
        with pytest.raises(InputError, match="organ_002 is in train and in"):
            split_dataset(open_dataset(organs), config)

    def test_an_unknown_subject_is_refused_by_name(self, organs: Path) -> None:
        with pytest.raises(InputError, match="organ_9"):
            split_dataset(open_dataset(organs), SplitConfig(("organ_001", "organ_9")))

    def test_the_same_scan_under_two_names_on_both_sides_is_refused(self, tmp_path: Path) -> None:
        folder = decathlon(tmp_path / "set", people=4)
        image = folder / "imagesTr" / "organ_003.nii.gz"
        image.write_bytes((folder / "imagesTr" / "organ_000.nii.gz").read_bytes())
        config = SplitConfig(("organ_000", "organ_001"), ("organ_002",), ("organ_003",))
        with pytest.raises(InputError, match="are the same scan"):
            split_dataset(open_dataset(folder), config)
        together = SplitConfig(("organ_000", "organ_003"), ("organ_002",), ("organ_001",))
        split_dataset(open_dataset(folder), together)


class TestConvergence:
    def test_it_is_the_papers_rule(self) -> None:
        """Averages over three epochs that change by less than 0.0001 four times in a row."""
        values = [0.5, 0.6, 0.7, *[0.75] * 10]
        # Averages from epoch 3: .6, .6833, .7333, .75, .75, ...; the first quiet change is that to epoch 7.
        assert converged_at(values, ConvergenceConfig()) == 10
        assert converged_at(values[:9], ConvergenceConfig()) is None

    def test_a_change_in_between_starts_the_count_anew(self) -> None:
        values = [0.5] * 6 + [0.8] + [0.5] * 3
        assert converged_at(values, ConvergenceConfig()) is None


class TestPairs:
    def test_landmark_errors_are_those_of_the_whole_transform(self, breaths: Path) -> None:
        """Oblique, anisotropic, one axis as another: the loss in mm is the TRE that a registration would have."""
        case = open_dataset(breaths).cases[1]
        maker = PairMaker(a_store(), "affine")
        (key,) = listed_pairs([case], None)
        pair = maker.make(key)
        preset, store = find_preset(case.preset), a_store()
        fixed, moving = (store.get(scan, preset) for scan in (key.fixed, key.moving))
        linear = align(fixed.image, moving.image, "affine").linear
        grid = working_grid(fixed.image.grid, preset)
        deformation = Standin()(pair.fixed, pair.moving)
        whole = ComposedTransform(linear, deformation, grid).transform
        assert fixed.landmarks is not None and moving.landmarks is not None
        led = np.array([whole.TransformPoint(p) for p in fixed.landmarks.points.tolist()])
        wanted = np.linalg.norm(led - moving.landmarks.points, axis=1)
        found = landmark_errors(deformation.displacement, pair).numpy()
        assert wanted.mean() > 1
        np.testing.assert_allclose(found, wanted, atol=2e-2)

    def test_alignment_through_a_reference_is_that_of_the_two(self, organs: Path) -> None:
        """Two linear maps of which the truth is known: shifts between the people's centres."""
        parts = split_dataset(open_dataset(organs), SplitConfig(shares=(1, 0, 0)))
        scans = parts["train"].scans
        store, preset = a_store(), find_preset("generic")
        through = PairMaker(store, "centre", reference=scans[0])
        (key,) = [
            p for p in random_pairs(parts["train"], "generic", 12, generator(1)) if scans[0] not in (p.fixed, p.moving)
        ][:1]
        found = through._aligned(key, preset)  # noqa: SLF001
        direct = PairMaker(store, "centre")._aligned(key, preset)  # noqa: SLF001
        np.testing.assert_allclose(found.offset, direct.offset, atol=0.5)
        np.testing.assert_allclose(found.matrix, direct.matrix, atol=1e-6)

    def test_linear_maps_compose_and_invert(self) -> None:
        rng = np.random.default_rng(1)
        a, b = (Linear(np.eye(3) + 0.3 * rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(2))
        points = rng.normal(size=(5, 3))
        np.testing.assert_allclose(a.after(b)(points), a(b(points)))
        np.testing.assert_allclose(a.inverse()(a(points)), points)

    def test_every_scan_is_moving_equally_often_and_pairs_are_of_two_people(self, organs: Path) -> None:
        part = split_dataset(open_dataset(organs), SplitConfig(shares=(1, 0, 0)))["train"]
        pairs = random_pairs(part, "generic", 12, generator(3))
        moving = [pair.moving.name for pair in pairs]
        assert all(moving.count(scan.name) == 2 for scan in part.scans)
        assert all(pair.fixed.subject != pair.moving.subject for pair in pairs)
        assert (
            pairs == random_pairs(part, "generic", 12, generator(3)) != random_pairs(part, "generic", 12, generator(4))
        )

    def test_a_cut_pair_is_a_part_of_the_whole_one(self, breaths: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The box's landmarks and voxels are those of the whole pair, shifted by whole voxels."""
        (key,) = listed_pairs(open_dataset(breaths).cases[:1], None)
        whole = PairMaker(a_store(), "centre").make(key)
        shape = np.array(whole.fixed.shape[2:])
        assert shape.min() > 14
        monkeypatch.setattr("RobustDIRLib.finetuning.grids.SMALLEST_BOX", 12)
        cut = PairMaker(a_store(), "centre", most_voxels=int(shape.prod() * 0.4)).make(key, generator(5))
        sides = np.array(cut.fixed.shape[2:])
        assert (sides <= shape).all() and sides.prod() <= 0.4 * shape.prod()
        starts = [
            start
            for start in np.ndindex(*(shape - sides + 1))
            if torch.allclose(
                whole.fixed[(..., *(slice(a, a + n) for a, n in zip(start, sides, strict=True)))], cut.fixed, atol=1e-4
            )
        ]
        assert len(starts) == 1
        box = (..., *(slice(a, a + n) for a, n in zip(starts[0], sides, strict=True)))
        assert torch.allclose(whole.moving[box], cut.moving, atol=1e-4)

    def test_a_pair_is_learnt_from_on_sides_that_need_no_padding_and_judged_on_the_working_grid(
        self, breaths: Path
    ) -> None:
        """Another grid of the same borders: what landmarks are apart in mm stays, whatever the voxels."""
        (key,) = listed_pairs(open_dataset(breaths).cases[:1], None)
        maker = PairMaker(a_store(), "centre", fitted=FittedGrid(8))
        judged, taught = maker.make(key, generator(0)), maker.make(key, generator(0), AugmentationConfig())
        plain = PairMaker(a_store(), "centre").make(key)
        assert judged.fixed.shape == plain.fixed.shape != taught.fixed.shape
        assert all(side % 8 == 0 for side in taught.fixed.shape[2:])
        still = [torch.zeros(1, 3, *pair.fixed.shape[2:]) for pair in (judged, taught)]
        far = [landmark_errors(u, pair) for u, pair in zip(still, (judged, taught), strict=True)]
        assert far[0].mean() > 1
        torch.testing.assert_close(far[0], far[1], atol=1e-3, rtol=1e-4)

    @pytest.mark.parametrize(
        ("shape", "sides"),
        [
            ((44, 71, 48), (48, 64, 48)),  # to the nearest, of which padding would have made 48, 80, 48
            ((24, 20, 11), (24, 16, 11)),  # a third more or less would change what is seen: padding does it
            ((40, 56, 9), (32, 48, 9)),  # halfway: the smaller one
        ],
    )
    def test_fitted_sides(self, shape: tuple[int, int, int], sides: tuple[int, int, int]) -> None:
        grid = grid_about(np.array([3.0, -2.0, 5.0]), shape, (1.0, 1.0, 1.0), (10, -20, 30))
        found = FittedGrid(16).of(grid, replace(find_preset("generic"), spacing=1.0))
        assert found.shape == sides
        corners = [[[-0.5] * 3, [n - 0.5 for n in side]] for side in (shape, sides)]
        np.testing.assert_allclose(found.points_from_voxels(corners[1]), grid.points_from_voxels(corners[0]), atol=1e-9)

    def test_native_voxels_are_no_finer_than_the_images(self) -> None:
        grid = grid_about(np.zeros(3), (48, 64, 32), (1.3, 1.3, 1.3), (0, 0, 0))
        preset = find_preset("generic")
        assert working_grid(grid, preset).voxel_side < 1.0
        assert FittedGrid(16, native=True).of(grid, preset).shape == (48, 64, 32)

    def test_scans_are_aligned_once_in_a_process_and_anew_where_their_content_differs(
        self, organs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import RobustDIRLib.finetuning.pairs as pairs

        monkeypatch.setattr(pairs, "_ALIGNMENTS", {})
        aligned: list[Any] = []
        monkeypatch.setattr(pairs, "align", lambda *of: aligned.append(of) or align(*of))
        scans = split_dataset(open_dataset(organs), SplitConfig(shares=(1, 0, 0)))["train"].scans
        keys = [PairKey("a pair", scans[0], scan, "generic", False) for scan in scans[1:3]]
        found = [PairMaker(a_store(), "centre").make(key).moving for key in (*keys, *keys)]
        assert len(aligned) == 2
        assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])
        PairMaker(a_store(), "none").make(keys[0])
        assert len(aligned) == 3

    def test_kept_alignments_are_taken_up_as_they_were(self, organs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import RobustDIRLib.finetuning.pairs as pairs

        scans = split_dataset(open_dataset(organs), SplitConfig(shares=(1, 0, 0)))["train"].scans
        keys = [PairKey("a pair", scans[0], scan, "generic", False) for scan in scans[1:3]]
        first, later = PairMaker(a_store(), "automatic"), PairMaker(a_store(), "automatic")
        made = [first.make(key) for key in keys]
        kept = first.alignments
        monkeypatch.setattr(pairs, "_ALIGNMENTS", {})
        monkeypatch.setattr(pairs, "align", None)
        later.recall(kept)
        for pair, again in zip(made, map(later.make, keys), strict=True):
            assert torch.equal(pair.moving, again.moving) and torch.equal(pair.to_mm, again.to_mm)
        assert later.alignments == kept

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_mirrored_pair_has_the_same_loss_under_the_mirrored_displacement(self, breaths: Path, axis: int) -> None:
        (key,) = listed_pairs(open_dataset(breaths).cases[:1], None)
        pair = PairMaker(a_store(), "centre").make(key)
        u = Standin()(pair.fixed, pair.moving).displacement
        turned = u.flip(axis + 2).clone()
        turned[:, axis] *= -1
        assert torch.equal(mirrored_displacement(u, [axis]), turned)
        other = mirrored(pair, [axis])
        assert not torch.equal(other.fixed, pair.fixed)
        torch.testing.assert_close(landmark_errors(turned, other), landmark_errors(u, pair), atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(
            warping.warp(other.moving, turned), warping.warp(pair.moving, u).flip(axis + 2), atol=1e-3, rtol=1e-3
        )

    def test_augmentation_changes_images_as_the_paper_has_it_and_keeps_air_air(self, breaths: Path) -> None:
        (key,) = listed_pairs(open_dataset(breaths).cases[:1], None)
        pair = PairMaker(a_store(), "centre").make(key)
        scaled, _ = augment(pair, AugmentationConfig(contrast=1.0), generator(2))
        ratio = (scaled.moving + 1)[pair.moving > -0.5] / (pair.moving + 1)[pair.moving > -0.5]
        assert ratio.min() >= 0.5 and ratio.max() <= 1.5
        assert torch.equal(scaled.moving[pair.moving == -1], pair.moving[pair.moving == -1])
        noisy, _ = augment(pair, AugmentationConfig(noise=1.0), generator(2))
        middle = pair.fixed.abs() < 0.2
        assert (noisy.fixed - pair.fixed)[middle].std() == pytest.approx(0.2, rel=0.1)
        assert augment(pair, AugmentationConfig(), generator(2))[0] is pair or torch.equal(
            augment(pair, AugmentationConfig(), generator(2))[0].fixed, pair.fixed
        )


class TestStore:
    def test_memory_stays_within_the_bound_however_many_scans(self, organs: Path) -> None:
        scans = split_dataset(open_dataset(organs), SplitConfig(shares=(1, 0, 0)))["train"].scans
        preset = find_preset("generic")
        one = a_store().get(scans[0], preset).bytes
        store = ScanStore(int(2.5 * one))
        for scan in (*scans, *scans):
            store.get(scan, preset)
            assert sum(held.bytes for held in store._held.values()) <= 2.5 * one  # noqa: SLF001

    @pytest.mark.parametrize(
        ("shift", "told"), [(0.0, None), (55.0, "lies outside that image"), (None, "no structure")]
    )
    def test_a_label_map_that_lies_elsewhere_than_its_image_is_told_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, shift: float | None, told: str | None
    ) -> None:
        """Most of it outside: what is left would teach wrongly, and nothing else would say so."""
        folder = decathlon(tmp_path / "set", people=3)
        scans = split_dataset(open_dataset(folder), SplitConfig(shares=(1, 0, 0)))["train"].scans
        path = scans[0].labels.path
        labels = read_image(path)
        moved = replace(labels.grid, origin=tuple(np.add(labels.grid.origin, (0.0, shift or 0.0, 0.0)).tolist()))
        write_image(path, Image((labels.array * (shift is not None)).astype(np.uint8), moved))
        store = ScanStore(1)
        for scan in (*scans, *scans):
            store.get(scan, find_preset("generic"))
        assert [told in r.getMessage() and str(path) in r.getMessage() for r in caplog.records] == [True] * bool(told)

    def test_a_file_that_was_changed_is_refused_by_name(self, tmp_path: Path) -> None:
        folder = decathlon(tmp_path / "set", people=3)
        scans = split_dataset(open_dataset(folder), SplitConfig(shares=(1, 0, 0)))["train"].scans
        store, preset = ScanStore(1), find_preset("generic")  # holds one scan at a time
        for scan in scans:
            store.get(scan, preset)
        changed = scans[0].image.path
        image, _ = a_scan(2)
        write_image(changed, image)
        store.get(scans[1], preset)
        with pytest.raises(InputError, match=f"{changed.name} was changed"):
            store.get(scans[0], preset)
        with pytest.raises(InputError, match=f"{changed.name} was changed"):
            ScanStore(1, store.checksums).get(scans[0], preset)


def _images(seed: int = 0, shape: tuple[int, int, int] = (13, 17, 15)) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand((2, 1, 5, 6, 4), generator=g) * 1.8 - 0.9
    both = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")
    return both[:1], both[1:]


class TestSimilarity:
    def test_local_ncc_is_the_squared_correlation_in_windows(self) -> None:
        fixed, moving = _images()
        a, b = (image[0, 0].double().numpy() for image in (fixed, moving))
        inner = (slice(4, -4),) * 3

        def mean(values: np.ndarray) -> np.ndarray:
            return uniform_filter(values, 9)[inner]

        covariance = mean(a * b) - mean(a) * mean(b)
        variances = [mean(v * v) - mean(v) ** 2 + 1e-3 for v in (a, b)]
        wanted = (covariance**2 / (variances[0] * variances[1])).mean()
        padded = [torch.nn.functional.pad(i, (0,) * 6) for i in (fixed, moving)]
        moments = torch.cat([*padded, padded[0] ** 2, padded[1] ** 2, padded[0] * padded[1]], 1)
        from RobustDIRLib.finetuning.similarity import _box_mean

        f, w, ff, ww, fw = _box_mean(moments)[(..., *inner)].split(1, 1)
        found = ((fw - f * w) ** 2 / ((ff - f * f + 1e-3) * (ww - w * w + 1e-3))).mean()
        assert float(found) == pytest.approx(wanted, rel=1e-3)
        assert -1 <= float(local_ncc_loss(fixed, moving)) < 0

    @pytest.mark.parametrize("loss", [nmi_loss, local_ncc_loss, mind_loss])
    def test_an_image_is_most_like_itself_and_less_so_the_further_it_is_moved(self, loss) -> None:
        fixed, _ = _images(1, (24, 20, 22))
        values = [float(loss(fixed, torch.roll(fixed, shift, 3))) for shift in (0, 1, 2, 4)]
        assert values == sorted(values) and values[0] < values[3] - 1e-3

    @pytest.mark.parametrize("loss", [nmi_loss, mind_loss])
    def test_inverted_contrast_is_the_same_image(self, loss) -> None:
        fixed, other = _images(2, (24, 20, 22))
        assert float(loss(fixed, -fixed)) == pytest.approx(float(loss(fixed, fixed)), rel=2e-2, abs=1e-3)
        assert float(loss(fixed, -fixed)) < float(loss(fixed, other)) - 1e-2

    @pytest.mark.parametrize("loss", [nmi_loss, local_ncc_loss, mind_loss])
    def test_gradients_are_those_of_finite_differences(self, loss) -> None:
        fixed, moving = (image.double() for image in _images(4, (8, 9, 10)))
        moving = moving.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(fixed, moving), moving)
        direction = torch.randn(moving.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        h = 1e-6
        difference = (loss(fixed, moving + h * direction) - loss(fixed, moving - h * direction)) / (2 * h)
        assert float((gradient * direction).sum().detach()) == pytest.approx(float(difference.detach()), rel=1e-3)

    def test_nmi_has_the_weights_of_eq_6(self) -> None:
        """An image against itself: (H + H) / H = 2 at each level, if each voxel fell into one bin."""
        g = torch.Generator().manual_seed(0)
        bins = torch.randint(0, 32, (1, 1, 16, 16, 16), generator=g).float()
        fixed = bins.repeat_interleave(4, 2).repeat_interleave(4, 3).repeat_interleave(4, 4) * (2 / 31) - 1
        assert float(nmi_loss(fixed, fixed)) == pytest.approx(-2 * (1 + 1 / 2 + 1 / 4), rel=1e-2)


def _labelled_pair() -> TrainingPair:
    fixed, moving = _images(5)
    labels = [torch.bucketize(image, torch.tensor([-0.2, 0.2])).to(torch.int32) for image in (fixed, moving)]
    return TrainingPair("a pair", fixed, moving, *labels, None, None, torch.eye(3))


class TestLoss:
    def test_both_directions_are_the_mean_of_a_pair_and_the_swapped_pair(self) -> None:
        pair, weights = _labelled_pair(), LossWeights(dice=1.0, local_ncc=0.3)
        u, v = (0.7 * image.expand(-1, 3, -1, -1, -1) for image in _images(7))
        swapped = replace(
            pair, fixed=pair.moving, moving=pair.fixed, fixed_labels=pair.moving_labels, moving_labels=pair.fixed_labels
        )
        one = pair_loss(Deformation(u, v), pair, weights, generator(0), both=False)
        other = pair_loss(Deformation(v, u), swapped, weights, generator(0), both=False)
        both = pair_loss(Deformation(u, v), pair, weights, generator(0), both=True)
        assert float(one) != pytest.approx(float(other), rel=1e-3)
        assert float(both) == pytest.approx(float(one + other) / 2, rel=1e-5)

    def test_labels_of_one_image_alone_do_not_count(self) -> None:
        pair = _labelled_pair()
        assert pair.fixed_labels is not None
        odd = pair.fixed_labels.clone()
        odd[..., 0, 0, :2] = 77
        u = torch.zeros((1, 3, *pair.fixed.shape[2:]))
        weights = LossWeights(dice=1.0, gradient=0.0)
        with_odd = pair_loss(Deformation(u, u), replace(pair, fixed_labels=odd), weights, generator(0), both=False)
        assert float(with_odd) == pytest.approx(
            float(pair_loss(Deformation(u, u), pair, weights, generator(0), both=False)), abs=2e-2
        )

    def test_more_labels_than_bearable_are_drawn_anew_each_time(self) -> None:
        pair = _labelled_pair()
        u = torch.zeros((1, 3, *pair.fixed.shape[2:]))
        weights = LossWeights(dice=1.0, gradient=0.0, labels=1)
        values = {
            round(float(pair_loss(Deformation(u, u), pair, weights, generator(n), both=False)), 5) for n in range(8)
        }
        assert len(values) == 2

    def test_config_defaults_are_the_papers(self, organs: Path) -> None:
        config = a_config(organs, optimizer={})
        assert config.optimizer.learning_rate == 1e-4
        assert (config.convergence.window, config.convergence.change, config.convergence.patience) == (3, 1e-4, 4)
        assert config.batch == 1


def test_grids_differ_between_people() -> None:
    assert grid_of(0).shape != grid_of(1).shape


@pytest.mark.parametrize(
    "settings",
    [{"seed": -1}, {"seed": 2**70}, {"split": {"seed": -1}}, {"threads": 10**9}],
)
def test_numbers_that_no_run_takes_are_refused(settings):
    with pytest.raises(InputError, match="seed|threads"):
        from_dict(FinetuneConfig, {"dataset": "here", **settings})


@pytest.mark.parametrize(("in_file", "blamed"), [({}, "the command"), ({"seed": -1}, "settings.json")])
def test_a_mistake_is_the_files_or_the_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], in_file: dict[str, Any], blamed: str
) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(in_file))
    words = ["finetune", str(tmp_path), "-o", str(tmp_path / "run"), "--config", str(tmp_path / "settings.json")]
    assert main([*words, "--learning-rate", "nan"]) == 2
    assert blamed in capsys.readouterr().err


def test_a_split_without_parts_is_refused(tmp_path, capsys):
    (tmp_path / "split.json").write_text('["ann", "bob"]')
    words = ["finetune", str(tmp_path), "-o", str(tmp_path / "run"), "--split", str(tmp_path / "split.json")]
    assert main(words) == 2
    assert "names no parts" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("axis", range(3))
def test_landmarks_of_a_mirrored_pair_are_as_far_apart_where_axes_are_oblique(axis: int) -> None:
    """A step of voxels leads in three directions at once: the mirrored axis is a column of `to_mm`, not a row."""
    to_mm = torch.tensor([[1.0, 0.5, -0.2], [-0.3, 2.0, 0.4], [0.6, -0.1, 3.0]])
    step = torch.tensor([1.0, -2.0, 0.5])
    points = torch.tensor([[2.0, 3.0, 4.0], [5.0, 2.5, 6.0]])
    image = torch.rand(1, 1, 9, 8, 10)
    pair = TrainingPair("a pair", image, image, None, None, points, points + step, to_mm)
    still = torch.zeros(1, 3, 9, 8, 10)
    expected = (to_mm @ step).norm().expand(2)
    torch.testing.assert_close(landmark_errors(still, pair), expected)
    torch.testing.assert_close(landmark_errors(still, mirrored(pair, [axis])), expected)


def test_the_fixed_image_of_a_virtual_pair_is_the_moving_one_under_the_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fixed(x) = moving(x + motion(x))`, to the last digit where the motion is of whole voxels."""
    motion = torch.zeros(1, 3, 14, 13, 16)
    motion[:, 2] = 3.0
    monkeypatch.setattr(virtual, "_motion", lambda *_: motion)
    image = torch.rand((1, 1, 14, 13, 16), generator=generator(5))
    labels = (image * 4).to(torch.int32)
    scan = TrainingPair("a scan", image, image, labels, labels, None, None, torch.eye(3))
    made, told = virtual.virtual_pair(scan, Grid((14, 13, 16)), VirtualConfig(), generator(1))
    assert torch.equal(told, motion)
    assert not torch.allclose(made.moving, image, atol=0.05)
    torch.testing.assert_close(made.fixed[..., :-3], made.moving[..., 3:], rtol=0, atol=1e-4)
    assert made.fixed_labels is not None and made.moving_labels is not None
    assert (made.fixed_labels[..., :-3] == made.moving_labels[..., 3:]).float().mean() > 0.999


@pytest.mark.parametrize("seed", range(3))
def test_a_random_box_lies_in_its_grid_and_has_its_proportions(seed: int) -> None:
    shape = tuple(k * SMALLEST_BOX for k in (6, 4, 2))
    grid = Grid(shape, (1.0, 2.0, 3.0), (5.0, -7.0, 11.0), ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    box = random_box(grid, int(np.prod(shape) * 0.6**3) + 1, generator(seed))
    assert box.shape == tuple(int(0.6 * n + 1e-6) for n in shape)
    assert (box.spacing, box.direction) == (grid.spacing, grid.direction)
    corners = box.points_from_voxels([(0, 0, 0), np.array(box.shape) - 1])
    first, last = grid.voxels_from_points(corners)
    np.testing.assert_allclose(first, np.rint(first), atol=1e-9)
    assert (first > -1e-6).all() and (last < np.array(shape) - 1 + 1e-6).all()
