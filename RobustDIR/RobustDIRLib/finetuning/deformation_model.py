"""Statistical deformation model: what deformations of a data set are like, to draw new ones from (appendix C).

Deformations are B-spline coefficients on a grid of nodes that spans the fixed image, in mm along the image's own axes
turned to the nearest of left-posterior-superior, so that images of any orientation share one model. For each of the
three directions by itself: the mean, and the principal components that hold 80 % of the variance (Eq. 4).

The text scales components by their eigenvalues and draws coefficients of some thousands, whose unit it does not say.
Here components are scaled by their standard deviations, as is usual, and coefficients are U(-c, c) with c up to 1.7: at
1.7 (the root of three) drawn deformations vary as much as those the model was built from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.splines import FEWEST_NODES, spline_fit, spline_values
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.arrays import read_arrays
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.synthesis.random import uniform

FORMAT = "robustdir-deformation-model-1"
NODES = 23
VARIANCE = 0.8
_STILL = 1e-3  # mm: deformations that vary less on average are all the same
Array = NDArray[np.float32]


@dataclass(frozen=True)
class DeformationModel:
    """Mean and scaled components of each direction.

    Attributes:
        nodes: A side.
        mean: Shape `(3, nodes^3)`, mm, directions z, y, x of the canonical orientation (superior, posterior, left).
        components: Of each direction, shape `(nodes^3, K)`, scaled by their standard deviations, mm.
        explained: Share of each direction's variance that its components hold.
        card: What it was built from, plain values.
    """

    nodes: int
    mean: Array
    components: tuple[Array, Array, Array]
    explained: tuple[float, float, float]
    card: Mapping[str, Any] = field(default_factory=dict)

    def sample(self, g: Generator, strength: tuple[float, float] = (1.2, 1.7)) -> Tensor:
        """Coefficients of a random deformation, shape `(1, 3, nodes, nodes, nodes)`, mm, canonical (Eq. 4).

        Args:
            g: Source of the draws.
            strength: Range of c: components' coefficients are U(-c, c).
        """
        c = uniform(*strength, g)
        rows = []
        for mean, components in zip(self.mean, self.components, strict=True):
            draws = (2 * torch.rand(components.shape[1], generator=g) - 1) * c
            rows.append(torch.from_numpy(mean) + torch.from_numpy(components) @ draws)
        return torch.stack(rows).view(1, 3, self.nodes, self.nodes, self.nodes)


def build_model(coefficients: Sequence[Tensor], card: Mapping[str, Any] | None = None) -> DeformationModel:
    """A model of deformations given by their coefficients, each `(1, 3, m, m, m)`, mm, canonical.

    Raises:
        InputError: If there are under two.
    """
    if len(coefficients) < 2:
        raise InputError(f"{len(coefficients)} deformations make no model of how they vary; give two pairs or more.")
    rows = torch.cat(list(coefficients)).flatten(2).double().numpy()  # (N, 3, m^3)
    found = [_principal_components(rows[:, direction]) for direction in range(3)]
    mean = np.stack([entry[0] for entry in found])
    z, y, x = (entry[1] for entry in found)
    explained = (found[0][2], found[1][2], found[2][2])
    return DeformationModel(coefficients[0].shape[2], mean, (z, y, x), explained, dict(card or {}))


def _principal_components(rows: NDArray[np.float64]) -> tuple[Array, Array, float]:
    """Mean, components scaled by their standard deviations, and the share of the variance that they hold."""
    mean = rows.mean(0)
    _, singular, vectors = np.linalg.svd(rows - mean, full_matrices=False)
    variances = singular**2 / (len(rows) - 1)
    if variances.sum() / rows.shape[1] < _STILL**2:
        raise InputError("all deformations are the same; they make no model of how they vary.")
    shares = np.cumsum(variances) / variances.sum()
    kept = int(np.searchsorted(shares, VARIANCE)) + 1
    scaled = vectors[:kept].T * np.sqrt(variances[:kept])
    return mean.astype(np.float32), scaled.astype(np.float32), float(shares[kept - 1])


def to_canonical(displacement: Tensor, grid: Grid, nodes: int = NODES) -> Tensor:
    """Coefficients, mm, canonical, of a displacement `(1, 3, D, H, W)` in voxels of a grid."""
    order, flips = canonical_axes(grid)
    sides = torch.tensor(grid.spacing[::-1]).view(1, 3, 1, 1, 1)
    mm = (displacement * sides)[:, list(order)].permute(0, 1, *(2 + axis for axis in order))
    signs = torch.tensor([-1.0 if flip else 1.0 for flip in flips]).view(1, 3, 1, 1, 1)
    turned = (mm * signs).flip([2 + axis for axis, flip in enumerate(flips) if flip])
    return spline_fit(turned, (nodes,) * 3)


def from_canonical(coefficients: Tensor, grid: Grid) -> Tensor:
    """Displacement `(1, 3, D, H, W)`, voxels of a grid, of canonical coefficients in mm: inverts `to_canonical`."""
    order, flips = canonical_axes(grid)
    shape = [grid.shape[axis] for axis in order]
    values = spline_values(coefficients, shape).flip([2 + axis for axis, flip in enumerate(flips) if flip])
    values = values * torch.tensor([-1.0 if flip else 1.0 for flip in flips]).view(1, 3, 1, 1, 1)
    back = [order.index(axis) for axis in range(3)]
    values = values[:, back].permute(0, 1, *(2 + axis for axis in back)).contiguous()
    return values / torch.tensor(grid.spacing[::-1]).view(1, 3, 1, 1, 1)


def canonical_axes(grid: Grid) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which array axis of a grid runs along z, y, x of LPS, each taken once, and whether it runs backwards there."""
    along = (np.asarray(grid.direction) @ np.eye(3))[::-1, ::-1]  # rows z, y, x of space; columns z, y, x of the array
    order, flips, free = [0, 0, 0], [False] * 3, [0, 1, 2]
    # The clearest axis first, so that no two take the same.
    for world in sorted(range(3), key=lambda row: -np.abs(along[row]).max()):
        axis = max(free, key=lambda column: abs(along[world, column]))
        free.remove(axis)
        order[world], flips[world] = axis, bool(along[world, axis] < 0)
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def save_deformation_model(path: Path, model: DeformationModel) -> None:
    """Write a model: plain arrays, its card as JSON."""
    with written_atomically(path) as temporary:
        np.savez_compressed(
            temporary,
            format=np.array(FORMAT),
            card=np.array(json.dumps(dict(model.card))),
            mean=model.mean,
            explained=np.array(model.explained),
            components_z=model.components[0],
            components_y=model.components[1],
            components_x=model.components[2],
        )


def load_deformation_model(path: Path) -> DeformationModel:
    """Read a model; nothing in the file is executed.

    Raises:
        InputError: If it is missing, damaged, or no model of ours.
    """
    cure = "make one by `robustdir deformation-model build`"
    held = read_arrays(path, "deformation model", cure)
    try:
        if str(held["format"]) != FORMAT:
            raise ValueError("of another form")
        return _checked(held)
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} is no deformation model; {cure}.") from error


def _checked(held: Mapping[str, NDArray[Any]]) -> DeformationModel:
    """The model of arrays that fit each other.

    Raises:
        ValueError: If they do not, or hold what is no number.
        KeyError: If one is missing.
    """
    card = json.loads(str(held["card"]))
    mean, explained, *components = (
        held[name].astype(np.float32) for name in ("mean", "explained", *(f"components_{axis}" for axis in "zyx"))
    )
    nodes = round(mean.shape[-1] ** (1 / 3)) if mean.ndim else 0
    alike = mean.shape == (3, nodes**3) and all(c.ndim == 2 and len(c) == nodes**3 for c in components)
    if nodes < FEWEST_NODES or not alike or explained.shape != (3,) or not isinstance(card, dict):
        raise ValueError("arrays of other shapes")
    if not all(np.isfinite(array).all() for array in (mean, explained, *components)):
        raise ValueError("not finite")
    (z, y, x), shares = components, held["explained"].tolist()
    return DeformationModel(nodes, mean, (z, y, x), (shares[0], shares[1], shares[2]), card)
