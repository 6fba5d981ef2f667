"""Pairs to learn from: two scans aligned as `register` aligns them, on one working grid, as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from RobustDIRLib.datasets.building import Scan
from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.datasets.subjects import scans_of_case
from RobustDIRLib.finetuning.config import AugmentationConfig
from RobustDIRLib.finetuning.grids import FittedGrid, random_box
from RobustDIRLib.finetuning.scans import PreparedScan, ScanStore
from RobustDIRLib.finetuning.split import Part
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.presets import Preset, find_preset
from RobustDIRLib.registration.alignment import align
from RobustDIRLib.registration.linear import IDENTITY, Linear
from RobustDIRLib.registration.preprocessing import to_working_grid, working_grid
from RobustDIRLib.synthesis.random import chance, generator, integer, uniform

# Of two images by what they hold, how they were aligned, and what came of it: matrix by rows and offset, mm, LPS.
KeptAlignment = tuple[str, str, str, list[float]]


@dataclass(frozen=True)
class PairKey:
    """Which two scans, and how they are registered.

    Attributes:
        name: For messages.
        fixed: Scan that stays.
        moving: Scan that is warped.
        preset: Of the registration.
        listed: Whether the data set pairs them, so that landmarks and alignment are theirs alone.
    """

    name: str
    fixed: Scan
    moving: Scan
    preset: str
    listed: bool


@dataclass(frozen=True)
class TrainingPair:
    """A pair on its working grid.

    Attributes:
        name: For messages.
        fixed, moving: Images, shape `(1, 1, D, H, W)`, in [-1, 1].
        fixed_labels, moving_labels: Their label maps, the same shape, int32, background 0; None without.
        fixed_points: Landmarks, shape `(N, 3)`, voxels of the working grid, z, y, x; None without.
        moving_points: Where they lie in the moving image as it was resampled, likewise.
        to_mm: Takes a step in voxels of the working grid, components z, y, x, to one in the moving image's space, mm,
            components x, y, z, through the linear alignment; shape `(3, 3)`.
    """

    name: str
    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor | None
    moving_labels: Tensor | None
    fixed_points: Tensor | None
    moving_points: Tensor | None
    to_mm: Tensor

    def to(self, device: torch.device) -> TrainingPair:
        """The pair with every tensor on a device."""
        moved: dict[str, Any] = {
            k: v.to(device, non_blocking=True) for k, v in vars(self).items() if isinstance(v, Tensor)
        }
        return replace(self, **moved)


class PairMaker:
    """Makes pairs of scans.

    Scans of two people that no data set pairs are aligned through a third: each once to a common reference, so that
    a hundred scans need a hundred alignments, not ten thousand.
    """

    def __init__(
        self,
        store: ScanStore,
        alignment: str,
        most_voxels: int = 0,
        reference: Scan | None = None,
        fitted: FittedGrid | None = None,
        spacing: float | None = None,
    ) -> None:
        """A maker.

        Args:
            store: Gives scans.
            alignment: See `FinetuneConfig`.
            most_voxels: Likewise; 0 for whole pairs.
            reference: Through which scans of two people are aligned; each pair by itself if not given.
            fitted: What grid pairs to learn from have; that of pairs to judge on if not given.
            spacing: Side of a working voxel, mm; None for the preset's, as `register` has it.
        """
        self.store, self.alignment, self.most_voxels, self.reference = store, alignment, most_voxels, reference
        self.fitted, self.spacing = fitted, spacing
        self._linear: dict[tuple[str, str, str], Linear] = {}
        self._contents: dict[tuple[str, str, str], None] = {}

    @property
    def alignments(self) -> list[KeptAlignment]:
        """What has been aligned so far: a run that goes on need not do it again."""
        found = [(content, _ALIGNMENTS[content]) for content in list(self._contents)]
        return [(*names, [*one.matrix.ravel().tolist(), *one.offset.tolist()]) for names, one in found]

    def recall(self, alignments: Iterable[KeptAlignment]) -> None:
        """Take up the `alignments` of an earlier stretch of the run."""
        for fixed, moving, kind, (*matrix, x, y, z) in alignments:
            self._contents[fixed, moving, kind] = None
            _ALIGNMENTS[fixed, moving, kind] = Linear(np.reshape(matrix, (3, 3)), np.array([x, y, z]))

    def make(
        self, key: PairKey, g: Generator | None = None, augmentation: AugmentationConfig | None = None
    ) -> TrainingPair:
        """The pair; cut to a random box where it has too many voxels, its alignment disturbed where asked.

        Args:
            key: What to make.
            g: Source of the draws of box and disturbance; whole and undisturbed pairs if not given.
            augmentation: The disturbance of a pair to learn from; without one it is a pair to judge on, and lies on the
                grid that `register` works on.
        """
        return self.placed(key, g, augmentation)[0]

    def placed(
        self, key: PairKey, g: Generator | None = None, augmentation: AugmentationConfig | None = None
    ) -> tuple[TrainingPair, Grid]:
        """As `make`, and the grid that the pair lies on."""
        preset = find_preset(key.preset)
        fixed, moving = (self.store.get(scan, preset) for scan in (key.fixed, key.moving))
        linear = self._aligned(key, preset)
        grid = self._grid(fixed, preset, augmentation is not None)
        if g is not None and augmentation is not None and chance(augmentation.affine, g):
            linear = _disturbed(linear, grid, augmentation, g)
        if g is not None and self.most_voxels:
            grid = self._box(grid, g)
        return _pair(key, fixed, moving, linear, grid), grid

    def _grid(self, fixed: PreparedScan, preset: Preset, taught: bool) -> Grid:
        grid = fixed.image.grid
        if taught and self.fitted:
            return self.fitted.of(grid, preset)
        return working_grid(grid, preset, spacing=self.spacing)

    def _box(self, grid: Grid, g: Generator) -> Grid:
        return random_box(grid, self.most_voxels, g, self.fitted.multiple if self.fitted else 1)

    def of_itself(self, scan: Scan, preset: str, g: Generator) -> tuple[TrainingPair, Grid]:
        """A scan paired with itself, cut as other pairs are, and its grid: what virtual subjects are made of."""
        held = self.store.get(scan, find_preset(preset))
        grid = self._grid(held, find_preset(preset), True)
        grid = self._box(grid, g) if self.most_voxels else grid
        key = PairKey(scan.image.path.name, scan, scan, preset, False)
        return _pair(key, held, held, IDENTITY, grid), grid

    def _aligned(self, key: PairKey, preset: Preset) -> Linear:
        """Fixed points to moving points, mm, LPS."""
        if key.listed or self.reference is None:
            return self._direct(key.fixed, key.moving, preset)
        to_fixed, to_moving = (self._direct(self.reference, scan, preset) for scan in (key.fixed, key.moving))
        return to_moving.after(to_fixed.inverse())

    def _direct(self, fixed: Scan, moving: Scan, preset: Preset) -> Linear:
        key = fixed.name, moving.name, preset.name
        if key not in self._linear:
            images = [self.store.get(scan, preset).image for scan in (fixed, moving)]
            content = _fingerprint(images[0]), _fingerprint(images[1]), self.alignment
            if content not in _ALIGNMENTS:
                _ALIGNMENTS[content] = align(images[0], images[1], self.alignment).linear
            self._contents[content] = None
            self._linear[key] = _ALIGNMENTS[content]
        return self._linear[key]


# Of this process's runs, by what the images hold: a study's runs and a search's trials align the same scans again.
_ALIGNMENTS: dict[tuple[str, str, str], Linear] = {}


def _fingerprint(image: Image) -> str:
    digest = blake2b(repr(image.grid).encode())
    digest.update(np.ascontiguousarray(image.array).data)
    return digest.hexdigest()


def _pair(key: PairKey, fixed: PreparedScan, moving: PreparedScan, linear: Linear, grid: Grid) -> TrainingPair:
    images = to_working_grid(fixed.image, grid), to_working_grid(moving.image, grid, linear.transform)
    fixed_labels, moving_labels = _labels(fixed.labels, grid, None), _labels(moving.labels, grid, linear)
    fixed_points, moving_points = _points(fixed, moving, linear, grid) if key.listed else (None, None)
    fixed_image, moving_image = (torch.tensor(image.array, dtype=torch.float32)[None, None] for image in images)
    return TrainingPair(
        key.name,
        fixed_image,
        moving_image,
        fixed_labels if moving_labels is not None else None,
        moving_labels if fixed_labels is not None else None,
        fixed_points,
        moving_points,
        torch.tensor(linear.matrix @ grid.array_to_mm, dtype=torch.float32),
    )


def _labels(labels: Image | None, grid: Grid, linear: Linear | None) -> Tensor | None:
    if labels is None:
        return None
    there = resample(labels, grid, None if linear is None else linear.transform, nearest=True, outside=0)
    return torch.from_numpy(there.array.astype(np.int32))[None, None]


def _points(
    fixed: PreparedScan, moving: PreparedScan, linear: Linear, grid: Grid
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Landmarks that lie on the working grid, as voxels of it; moving ones seen through the linear alignment."""
    if fixed.landmarks is None or moving.landmarks is None:
        return None, None
    inside = grid.contains(fixed.landmarks.points)
    if not inside.any():
        return None, None
    here = grid.voxels_from_points(fixed.landmarks.points[inside])
    there = grid.voxels_from_points(linear.inverse()(moving.landmarks.points[inside]))
    return torch.tensor(here, dtype=torch.float32), torch.tensor(there, dtype=torch.float32)


def _disturbed(linear: Linear, grid: Grid, config: AugmentationConfig, g: Generator) -> Linear:
    """The alignment after a small random affine about the fixed image's centre."""
    angles = np.radians([uniform(-config.rotation, config.rotation, g) for _ in range(3)])
    matrix = _rotation(angles) @ np.diag([1 + uniform(-config.scale, config.scale, g) for _ in range(3)])
    shift = np.array([uniform(-config.shift, config.shift, g) for _ in range(3)])
    centre = grid.points_from_voxels((np.array(grid.shape) - 1) / 2)
    return linear.after(Linear(matrix, centre - matrix @ centre + shift))


def _rotation(angles: np.ndarray) -> np.ndarray:
    """About x, then y, then z."""
    product = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        product = turn @ product
    return product


def listed_pairs(cases: Sequence[Case], preset: str | None) -> list[PairKey]:
    """The pairs that a data set lists."""
    return [PairKey(case.name, *scans_of_case(case), preset or case.preset, True) for case in cases]


def random_pairs(part: Part, preset: str, count: int, g: Generator) -> list[PairKey]:
    """Pairs of two people each, in random order: every scan is the moving one equally often (section 2.3.3).

    Args:
        part: Whose scans; of two people at least.
        preset: Of the registration.
        count: How many.
        g: Source of the draws.
    """
    scans, pairs = part.scans, list[PairKey]()
    while len(pairs) < count:
        for index in torch.randperm(len(scans), generator=g).tolist()[: count - len(pairs)]:
            moving = scans[index]
            others = [scan for scan in scans if scan.subject != moving.subject]
            fixed = others[integer(0, len(others) - 1, g)]
            pairs.append(PairKey(f"{fixed.image.path.name} and {moving.image.path.name}", fixed, moving, preset, False))
    return pairs


def epoch_pairs(
    part: Part, listed: Sequence[PairKey], random: bool, preset: str, count: int, seeds: tuple[int, ...]
) -> list[PairKey]:
    """The pairs of an epoch in their order: they depend on the seeds alone.

    Args:
        part: Whose scans.
        listed: The data set's own pairs of them.
        random: Whether pairs are drawn rather than taken as listed.
        preset: Of random pairs.
        count: How many; 0 for one a scan (random) or all (listed).
        seeds: Of the run and the epoch.
    """
    g = generator(*seeds)
    if random:
        return random_pairs(part, preset, count or len(part.scans), g)
    order: list[int] = []
    while len(order) < (count or len(listed)):
        order += torch.randperm(len(listed), generator=g).tolist()
    return [listed[i] for i in order[: count or len(listed)]]
