"""Label maps of chests: lungs of lobes with trees of vessels, inside a wall of ribs and spine that they slide along.

All inside the cavity (lungs, heart, what lies below the diaphragm) carries labels from `SLIDING` on, all of the wall
ordinary ones; `synthesis.sliding` moves the one along the other. Axes are z from the abdomen up, y from front to back,
x. Positions are drawn in a frame of -1 to 1 that soft noise bends, so that no two chests are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from RobustDIRLib.synthesis.labels import BACKGROUND, LABELS, SLIDING, draw_sheets, draw_tubes, random_geometry
from RobustDIRLib.synthesis.random import chance, integer, smooth_noise, uniform
from RobustDIRLib.synthesis.trees import draw_branch, draw_tree

FAT, MUSCLE, RIB, VERTEBRA, DISC, CORD = range(6)
LOBES = tuple(range(SLIDING, SLIDING + 5))
VESSEL, AIRWAY, FISSURE, HEART, MEDIASTINUM, AORTA, LIVER, SPLEEN, STOMACH, LIVER_VESSEL, NODULE = range(
    SLIDING + 5, SLIDING + 16
)
BOWEL = SLIDING + 16  # and the labels after it, one for each loop
_LOOPS = 12

# Means of a CT window of [-1000, 200] HU as [0, 1]: range drawn from, and the spread within the tissue.
_CT: dict[int, tuple[float, float, float]] = {
    FAT: (0.72, 0.79, 0.015),
    MUSCLE: (0.84, 0.90, 0.015),
    RIB: (0.94, 1.0, 0.03),
    VERTEBRA: (0.92, 1.0, 0.03),
    DISC: (0.87, 0.92, 0.015),
    CORD: (0.84, 0.88, 0.01),
    VESSEL: (0.70, 0.92, 0.03),
    AIRWAY: (0.0, 0.02, 0.005),
    FISSURE: (0.3, 0.6, 0.03),
    HEART: (0.85, 0.95, 0.015),
    MEDIASTINUM: (0.78, 0.88, 0.02),
    AORTA: (0.85, 1.0, 0.015),
    LIVER: (0.86, 0.95, 0.015),
    SPLEEN: (0.86, 0.95, 0.015),
    STOMACH: (0.0, 0.9, 0.02),
    LIVER_VESSEL: (0.84, 1.0, 0.015),
    NODULE: (0.6, 0.9, 0.03),
    **dict.fromkeys(LOBES, (0.08, 0.28, 0.012)),
    **{BOWEL + k: (0.7, 0.92, 0.03) for k in range(_LOOPS)},
}


def is_chest(labels: Tensor) -> bool:
    """Whether a label map, or a part of one, holds anything that slides."""
    return bool(((labels >= SLIDING) & (labels < BACKGROUND)).any())


def ct_values(values: int, g: Generator) -> tuple[Tensor, Tensor]:
    """Mean and spread of the grey value of every label, as in a CT of a chest; shape `(values,)` each."""
    mean, sigma = torch.zeros(values), torch.full((values,), 0.005)
    lung = uniform(*_CT[LOBES[0]][:2], g)
    for label, (low, high, spread) in _CT.items():
        mean[label], sigma[label] = uniform(low, high, g), spread * uniform(0.5, 2.0, g)
    for lobe in LOBES:
        mean[lobe] = lung + uniform(-0.02, 0.02, g)
    return mean, sigma


def aerate(image: Tensor, labels: Tensor, density: Tensor) -> Tensor:
    """Grey values, 0 for air, with the lungs' scaled by their density: air comes and goes as they change in volume.

    Args:
        image: Shape `(1, 1, D, H, W)`.
        labels: Its label map, the same shape.
        density: Share of the density that is left at every voxel, the same shape.
    """
    lung = (labels >= LOBES[0]) & (labels <= LOBES[-1])
    return torch.where(lung, image * density, image)


@dataclass(frozen=True)
class _Frame:
    """Coordinates of every voxel: `up` from 0 to 1, `back` and `right` about -1 to 1, bent by noise."""

    up: Tensor
    back: Tensor
    right: Tensor

    @staticmethod
    def draw(shape: Sequence[int], g: Generator) -> _Frame:
        noise = smooth_noise(shape, integer(4, 6, g), g, 3)[0] * 0.06
        up, back, right = (torch.linspace(a, 1, n) for a, n in zip((0, -1, -1), shape, strict=True))
        width, depth = uniform(0.95, 1.25, g), uniform(1.05, 1.5, g)
        return _Frame(
            up[:, None, None] + 0.5 * noise[0],
            back[None, :, None] * depth + noise[1],
            right[None, None, :] * width + noise[2],
        )


@dataclass(frozen=True)
class _Chest:
    """Radii of a chest's cross-section and heights of what is in it, in the frame's units."""

    width: float
    depth: float
    wall: float
    apex: float
    dome: float
    floor: float

    @staticmethod
    def draw(g: Generator) -> _Chest:
        wall = uniform(0.12, 0.25, g)
        return _Chest(
            uniform(0.85, 1.0, g), uniform(0.75, 0.95, g), wall, uniform(0.9, 1.15, g), *_two(0.3, 0.55, 0.1, 0.3, g)
        )


def _two(a: float, b: float, c: float, d: float, g: Generator) -> tuple[float, float]:
    return uniform(a, b, g), uniform(c, d, g)


def _narrowing(frame: _Frame, chest: _Chest) -> Tensor:
    """Share of the cross-section's radius that is left at each height: 1 below, 0 at the apex."""
    start = chest.apex - 0.5
    rise = ((frame.up - start) / 0.5).clamp(0, 1)
    return (1 - rise.pow(3)).clamp_min(1e-3).sqrt()


def _wall(frame: _Frame, chest: _Chest, g: Generator) -> tuple[Tensor, Tensor]:
    """Labels of all outside the cavity (cavity still `MUSCLE`), and the cavity."""
    back, right = frame.back / chest.depth, frame.right / chest.width
    radius = (back.square() + right.square()).sqrt()
    angle = torch.atan2(right, back)
    # A body's outline changes less with height than its cavity does: shoulders.
    inner = radius / (_narrowing(frame, chest) * (1 - chest.wall))
    labels = torch.full(radius.shape, MUSCLE, dtype=torch.uint8)
    labels[radius > 1 - chest.wall * uniform(0.1, 0.6, g)] = FAT
    pitch, slope, share = uniform(10, 14, g), uniform(0.4, 1.2, g), uniform(-0.1, 0.4, g)
    shell = (inner - uniform(1.06, 1.12, g)).abs() < uniform(0.03, 0.06, g)
    beat = torch.sin(2 * math.pi * (pitch * frame.up + slope * (angle.abs() - math.pi)))
    labels[shell & (beat > share) & (angle.abs() > 0.35)] = RIB
    centre = uniform(0.62, 0.8, g) * chest.depth
    size = uniform(0.13, 0.2, g)
    column = ((frame.back - centre) / size).square() + (frame.right / (1.15 * size)).square()
    spine = (column < 1) | ((frame.back > centre) & (frame.right.abs() < 0.9 * size))
    labels[column < 1] = VERTEBRA
    labels[(column < 1) & (torch.sin(2 * math.pi * pitch * frame.up) > 0.75)] = DISC
    labels[
        ((frame.back - centre - 1.25 * size) / (0.35 * size)).square() + (frame.right / (0.4 * size)).square() < 1
    ] = CORD
    labels[radius > 1 + 0.02 * uniform(0, 1, g)] = BACKGROUND
    return labels, (inner < 1) & ~spine


def _dome(frame: _Frame, chest: _Chest, g: Generator) -> Tensor:
    """Height of the diaphragm over every point of the cross-section: two domes, lower towards the wall and the back."""
    sides = []
    for side in (-1, 1):
        x, y = (frame.right / chest.width - 0.45 * side) / 0.5, (frame.back / chest.depth + 0.1) / 0.75
        sides.append(chest.dome * uniform(0.85, 1.15, g) - chest.floor * (x.square() + y.square()))
    return torch.maximum(*sides)


def _lobes(frame: _Frame, g: Generator) -> tuple[Tensor, Tensor]:
    """Lobe of every point, were it lung, and the fissures between them: oblique planes, bent by the frame."""
    oblique = frame.up - uniform(0.55, 0.7, g) + uniform(0.3, 0.6, g) * frame.back
    level = frame.up - uniform(0.55, 0.7, g) - uniform(-0.1, 0.2, g) * frame.back
    left = frame.right < 0
    lobe = torch.where(oblique > 0, LOBES[0], LOBES[1])
    lobe = torch.where(left & (oblique > 0) & (level > 0), LOBES[2], lobe)
    lobe = torch.where(left & (oblique > 0) & (level <= 0), LOBES[3], lobe)
    lobe = torch.where(left & (oblique <= 0), LOBES[4], lobe)
    thin = 0.7 / frame.up.shape[0]
    fissure = (oblique.abs() < thin) | (left & (oblique > 0) & (level.abs() < thin))
    return lobe.to(torch.uint8), fissure


def _abdomen(shape: Sequence[int], frame: _Frame, g: Generator) -> Tensor:
    """Liver on one side, spleen and stomach on the other, bowel below."""
    bowel = random_geometry(shape, g, nodes=integer(8, 12, g), labels=_LOOPS) + BOWEL
    liver = draw_tubes(torch.full(tuple(shape), LIVER, dtype=torch.uint8), g, nodes=8, radius=1.5, label=LIVER_VESSEL)
    edge = uniform(-0.1, 0.3, g)
    labels = torch.where(frame.right < edge, liver, bowel)
    labels[(frame.right > edge) & (frame.right < edge + 0.35) & (frame.back < 0.2)] = STOMACH
    labels[(frame.right > 0.55) & (frame.back > 0.1)] = SPLEEN
    low = frame.up < uniform(0.0, 0.2, g)
    return torch.where(low & (frame.right > -0.6), bowel, labels)


def _middle(frame: _Frame, chest: _Chest, g: Generator) -> tuple[Tensor, Tensor]:
    """Labels of what lies between the lungs, and where."""
    half = uniform(0.12, 0.2, g) * (1 + 0.6 * torch.exp(-((frame.up - 0.45) / 0.2).square()))
    where = (frame.right - uniform(0.0, 0.08, g)).abs() < half
    centre = [uniform(a, b, g) for a, b in ((0.4, 0.55), (-0.35, -0.05), (0.05, 0.25))]
    size = [uniform(a, b, g) for a, b in ((0.13, 0.2), (0.25, 0.4), (0.25, 0.4))]
    offsets = (frame.up - centre[0], frame.back - centre[1], frame.right - centre[2])
    heart = torch.stack([(o / s).square() for o, s in zip(offsets, size, strict=True)]).sum(0) < 1
    labels = torch.full(heart.shape, MEDIASTINUM, dtype=torch.uint8)
    labels[heart] = HEART
    for back, right, radius, label in ((0.45, 0.12, 0.08, AORTA), (0.2, 0.0, 0.06, AIRWAY), (-0.05, -0.1, 0.08, AORTA)):
        spot = (frame.back - back * chest.depth).square() + (frame.right - right).square()
        labels[(spot < radius**2) & (frame.up > (0.5 if label == AIRWAY else 0.0))] = label
    return labels, where | heart


def _add_nodules(labels: Tensor, lung: Tensor, g: Generator) -> None:
    where = lung.nonzero().float()
    for _ in range(integer(0, 4, g) if len(where) else 0):
        spot = where[integer(0, len(where) - 1, g)]
        draw_branch(labels, torch.stack([spot, spot + torch.randn(3, generator=g)]), uniform(1, 6, g), NODULE, lung)


def thorax(shape: Sequence[int], g: Generator, *, labels: int = LABELS) -> Tensor:
    """A chest; see the module's text.

    Args:
        shape: Sides, voxels, axes z (upwards), y (backwards), x.
        g: Source of the draws.
        labels: Without effect; the labels are those named here.
    """
    frame, chest = _Frame.draw(shape, g), _Chest.draw(g)
    result, cavity = _wall(frame, chest, g)
    middle, between = _middle(frame, chest, g)
    below = frame.up < _dome(frame, chest, g)
    lobe, fissure = _lobes(frame, g)
    inner = torch.where(between, middle, lobe)
    lung = cavity & ~between & ~below
    trees = lobe.clone()
    if chance(0.7, g):
        trees[fissure] = FISSURE
    if chance(0.5, g):
        trees = draw_sheets(trees, g, nodes=max(4, min(shape) // 24), thickness=0.8, label=FISSURE)
    for side in (frame.right < 0, frame.right >= 0):
        _fill_lung(trees, lung & side, g)
    _add_nodules(trees, lung, g)
    inner = torch.where(lung, trees, inner)
    inner = torch.where(below, _abdomen(shape, frame, g), inner)
    return torch.where(cavity, inner, result)


def _fill_lung(labels: Tensor, lung: Tensor, g: Generator) -> None:
    """Vessels and airways of one lung, from its hilum: the point of it nearest to the middle of the chest."""
    where = lung.nonzero().float()
    if not len(where):
        return
    middle = torch.tensor([n / 2 for n in lung.shape])
    middle[0] = where[:, 0].mean()
    hilum = where[(where - middle).norm(dim=1).argmin()]
    for label in (VESSEL, VESSEL, AIRWAY)[: integer(2, 3, g)]:
        draw_tree(labels, lung, hilum + 2 * torch.randn(3, generator=g), label, g)
