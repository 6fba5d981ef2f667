"""Virtual subjects: pairs made of one real scan by two known deformations (section 2.3.4)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Generator, Tensor

from RobustDIRLib import warping
from RobustDIRLib.finetuning.config import VirtualConfig
from RobustDIRLib.finetuning.deformation_model import (
    DeformationModel,
    from_canonical,
    load_deformation_model,
)
from RobustDIRLib.finetuning.pairs import TrainingPair
from RobustDIRLib.finetuning.splines import spline_values
from RobustDIRLib.geometry import Grid
from RobustDIRLib.synthesis.random import integer, uniform
from RobustDIRLib.synthesis.sliding import load_motions

_NODES, _REACH = 6, 4.0  # nodes a side and voxels of the random deformation
_AIR = 0.25  # -250 HU where -1000 is -1 and 200 is 1: what is darker and inside is lung (section 2.3.2)
_FADE = 0.25  # of the lungs' box, over which breathing fades outside it


def virtual_pair(scan: TrainingPair, grid: Grid, config: VirtualConfig, g: Generator) -> tuple[TrainingPair, Tensor]:
    """A pair of virtual images of one scan.

    The moving image is the scan under a random smooth deformation of up to 4 voxels; the fixed image is the moving one
    under a deformation as the data set's pairs have it, by a statistical deformation model or by breathing.

    Args:
        scan: A pair of the scan with itself: both images and label maps are the same.
        grid: Of the pair.
        config: Where deformations come from.
        g: Source of the draws.
    Returns:
        The pair without landmarks, whose matching points are not where they were; and the displacement from its fixed
        to its moving image, shape `(1, 3, D, H, W)`, voxels of the grid, components z, y, x.
    """
    shape = scan.fixed.shape[2:]
    aug = spline_values((2 * torch.rand((1, 3, *(_NODES,) * 3), generator=g) - 1) * _REACH, shape)
    motion = _motion(scan, grid, config, g)
    combined = warping.compose(aug, motion)
    held: dict[str, Tensor | None] = {}
    for name, displacement in (("moving", aug), ("fixed", combined)):
        labels = scan.moving_labels
        held[name] = warping.warp(scan.moving, displacement)
        held[f"{name}_labels"] = None if labels is None else _nearest(labels, displacement)
    pair = replace(scan, name=f"a virtual subject of {scan.name}", **held, fixed_points=None, moving_points=None)  # type: ignore[arg-type]
    return pair, motion


def _nearest(labels: Tensor, displacement: Tensor) -> Tensor:
    return warping.warp(labels.float(), displacement, mode="nearest").round().to(labels.dtype)


def check_source(config: VirtualConfig) -> None:
    """Read what deformations are drawn from, before anything is taught.

    Raises:
        InputError: If it is missing, damaged, or of another kind.
    """
    if config.probability and config.model is not None:
        _model(config.model)
    if config.probability and config.motions is not None:
        load_motions(config.motions)


def _motion(scan: TrainingPair, grid: Grid, config: VirtualConfig, g: Generator) -> Tensor:
    """Displacement from fixed to moving, voxels."""
    if config.model is not None:
        return from_canonical(_model(config.model).sample(g, config.strength), grid)
    assert config.motions is not None
    motions = load_motions(config.motions)
    chosen = motions[integer(0, len(motions) - 1, g)] * uniform(0.5, 1.2, g)
    return breathing(chosen, scan.moving, g)


@lru_cache(maxsize=4)
def _model(path: str) -> DeformationModel:
    return load_deformation_model(Path(path))


def breathing(motion: Tensor, image: Tensor, g: Generator) -> Tensor:
    """Real breathing laid over the lungs of a CT.

    Args:
        motion: Shape `(3, d, h, w)`, shares of the lungs' box's sides, as `synthesis.motions` makes it.
        image: CT of preset lung-ct, shape `(1, 1, D, H, W)`, head at the end of the first axis.
        g: Draws whether breathing runs out or in.
    Returns:
        Shape `(1, 3, D, H, W)`, voxels; it fades to nothing outside the lungs' box.
    """
    low, high = lung_box(image)
    shape = image.shape[2:]
    sides = torch.tensor([float(b - a) for a, b in zip(low, high, strict=True)]).view(1, 3, 1, 1, 1)
    # Where each voxel lies in the box, as nodes of the motion; fading beyond.
    axes, fades = [], []
    for n, a, b, nodes in zip(shape, low, high, motion.shape[1:], strict=True):
        place = (torch.arange(n) + 0.5 - a) / (b - a)
        axes.append(place.clamp(0, 1) * (nodes - 1))
        outside = torch.relu(-place) + torch.relu(place - 1)
        fades.append(0.5 + 0.5 * torch.cos(torch.pi * (outside / _FADE).clamp(0, 1)))
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
    fade = fades[0][:, None, None] * fades[1][:, None] * fades[2]
    direction = 1.0 if integer(0, 1, g) else -1.0
    return direction * warping.sample(motion[None].float(), points) * sides * fade


def lung_box(image: Tensor) -> tuple[list[int], list[int]]:
    """First and last voxel (exclusive) along each axis of the lungs: what is dark and not connected to the border."""
    dark = image[0, 0].numpy() < _AIR
    parts, _ = ndimage.label(dark)
    faces = (parts[0], parts[-1], parts[:, 0], parts[:, -1], parts[..., 0], parts[..., -1])
    border = np.unique(np.concatenate([face.ravel() for face in faces]))
    inside = dark & ~np.isin(parts, border)
    boxes = ndimage.find_objects(inside.astype(np.uint8))
    if not boxes or int(inside.sum()) < 0.005 * inside.size:
        return [0, 0, 0], list(image.shape[2:])
    return [s.start for s in boxes[0]], [s.stop for s in boxes[0]]
