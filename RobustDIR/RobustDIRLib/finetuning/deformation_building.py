"""Building a statistical deformation model from a data set's pairs (appendix C), pair by pair, resumable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.baselines.method import Method, Pair
from RobustDIRLib.baselines.settings import settings_of
from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.deformation_model import (
    NODES,
    DeformationModel,
    build_model,
    from_canonical,
    save_deformation_model,
    to_canonical,
)
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.arrays import read_arrays
from RobustDIRLib.io.displacements import sample_transform
from RobustDIRLib.io.files import is_full, provisional_folder, write_json, written_atomically
from RobustDIRLib.io.input_files import input_sha256
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.presets import find_preset
from RobustDIRLib.registration.preprocessing import working_grid
from RobustDIRLib.run_files import DEFORMATION_MODEL
from RobustDIRLib.synthesis.random import generator

CARD, PICTURE, PAIRS = "card.json", "samples.png", "pairs"
SAMPLES = 100
_SIDE = 72  # voxels at most of the grid that samples are judged on
Record = dict[str, Any]


@dataclass(frozen=True)
class Building:
    """What a model is built from.

    Attributes:
        name: Of the data set.
        cases: Its pairs.
        method: That registers them.
        threads: To compute with.
        nodes: Of the B-spline grid, a side; 23 in the paper.
    """

    name: str
    cases: Sequence[Case]
    method: Method
    threads: int = 1
    nodes: int = NODES


def build(building: Building, folder: Path) -> Iterator[Record]:
    """Register every pair, keep its coefficients, and make the model with its card and picture.

    Pairs that the folder holds already, of the same images by the same method, are not registered again.

    Args:
        building: What to build from.
        folder: Where `deformation_model.npz`, `card.json`, `samples.png` and a file for each pair go; made if needed.
    Yields:
        Records of kind `pair` (with `case`, and `error` where one could not be registered), then `end` with the card.
    Raises:
        InputError: If fewer than two pairs could be registered, or the folder cannot be written, or another building is
            at work in it.
    """
    with locked(folder, Rank.alone()), provisional_folder(folder / PAIRS):
        yield from _build(building, folder)


def _build(building: Building, folder: Path) -> Iterator[Record]:
    building.method.prepare()
    by = {"name": building.method.name, **settings_of(building.method)}
    held: list[Tensor] = []
    grid: Grid | None = None
    for number, case in enumerate(building.cases, start=1):
        record: Record = {"kind": "pair", "pair": number, "pairs": len(building.cases), "case": case.name}
        try:
            coefficients, grid = _of_case(case, building, by, folder / PAIRS)
            held.append(coefficients)
        except InputError as error:  # one pair that cannot be registered does not end a night's work
            if is_full(error):  # no other pair could be kept either
                raise
            record["error"] = str(error)
        yield record
    model = build_model(held, {"data_set": building.name, "pairs": len(held), "method": building.method.name})
    assert grid is not None
    card = {**model.card, **describe(model, grid)}
    model = DeformationModel(model.nodes, model.mean, model.components, model.explained, card)
    save_deformation_model(folder / DEFORMATION_MODEL, model)
    write_json(folder / CARD, card)
    draw_samples(model, grid, folder / PICTURE)
    yield {"kind": "end", **card}


def _of_case(case: Case, building: Building, by: Record, folder: Path) -> tuple[Tensor, Grid]:
    """Coefficients of a case's deformation, from its file or by registering it, and the working grid."""
    grid = working_grid(case.fixed.grid(), find_preset(case.preset))
    file = folder / f"{case.name}.npz"
    images = {role: input_sha256(source.path) for role, source in (("fixed", case.fixed), ("moving", case.moving))}
    made_with = json.dumps({"preset": case.preset, "images": images, "method": by}, sort_keys=True)
    if (kept := _kept(file, building, made_with)) is not None:
        return kept, grid
    data = case.load()
    pair = Pair(data.fixed, data.moving, preset=case.preset)
    transform = building.method.register(pair, building.threads).transform
    coefficients = to_canonical(without_linear_part(transform, grid), grid, building.nodes)
    with written_atomically(file) as temporary:
        np.savez_compressed(temporary, coefficients=coefficients.numpy(), made_with=np.array(made_with))
    return coefficients, grid


def _kept(file: Path, building: Building, made_with: str) -> Tensor | None:
    """Coefficients of an earlier stretch; None if they are not of these images by this method, or damaged."""
    try:
        held = read_arrays(file, "kept pair", "it is made anew")
    except InputError:
        return None
    coefficients = held.get("coefficients")
    if coefficients is None or coefficients.shape != (1, 3, *(building.nodes,) * 3) or coefficients.dtype != np.float32:
        return None
    sound = np.isfinite(coefficients).all() and str(held.get("made_with")) == made_with
    return torch.from_numpy(coefficients) if sound else None


def without_linear_part(transform: sitk.Transform, grid: Grid) -> Tensor:
    """What a transform does beyond the affine that comes nearest to it on a grid.

    Args:
        transform: Fixed to moving points, mm, LPS.
        grid: In the fixed image's frame.
    Returns:
        `u` of `T(x) = A(x + u(x))`, A the affine of least squares; shape `(1, 3, D, H, W)`, voxels of the grid.
    """
    field = sample_transform(transform, grid).array.astype(np.float64)
    points = grid.points_from_voxels(np.moveaxis(np.indices(grid.shape), 0, -1))
    moved = points + field
    matrix, offset = _affine_fit(points.reshape(-1, 3), moved.reshape(-1, 3))
    straight = (moved - offset) @ np.linalg.inv(matrix).T
    voxels = grid.displacement_from_mm((straight - points).astype(np.float32))
    return torch.from_numpy(voxels)[None]


def _affine_fit(points: Array, moved: Array) -> tuple[Array, Array]:
    step = max(1, len(points) // 200_000)
    ones = np.ones((len(points[::step]), 1))
    solution = np.linalg.lstsq(np.hstack([points[::step], ones]), moved[::step], rcond=None)[0]
    return solution[:3].T, solution[3]


def describe(model: DeformationModel, grid: Grid) -> Record:
    """What drawn deformations are like: variance held, folding and SDlogJ of 100 samples on a grid."""
    coarse = _coarse(grid)
    folding, spread, reach = [], [], []
    for index in range(SAMPLES):
        u = from_canonical(model.sample(generator(7, index)), coarse)
        determinant = warping.jacobian_determinant(u)
        folding.append(100 * float((determinant <= 0).float().mean()))
        spread.append(float(determinant.clamp_min(1e-3).log().std()))
        sides = torch.tensor(coarse.spacing[::-1]).view(1, 3, 1, 1, 1)
        reach.append(float((u * sides).norm(dim=1).max()))
    return {
        "components": [int(c.shape[1]) for c in model.components],
        "variance_explained": [round(share, 4) for share in model.explained],
        "samples": SAMPLES,
        "folding_percent_mean": float(np.mean(folding)),
        "folding_percent_max": float(np.max(folding)),
        "sdlogj_mean": float(np.mean(spread)),
        "sdlogj_p95": float(np.percentile(spread, 95)),
        "largest_displacement_mm_mean": float(np.mean(reach)),
    }


def _coarse(grid: Grid) -> Grid:
    """The grid with at most 72 voxels along its longest axis."""
    shrink = max(1.0, max(grid.shape) / _SIDE)
    z, y, x = (max(8, round(n / shrink)) for n in grid.shape)
    return grid.resized((z, y, x))


def draw_samples(model: DeformationModel, grid: Grid, path: Path) -> None:
    """Deformation grids of the mean and three samples in the middle planes; nothing where matplotlib is not there."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    coarse = _coarse(grid)
    drawn = [("mean", torch.from_numpy(model.mean).view(1, 3, *(model.nodes,) * 3))]
    drawn += [(f"sample {k + 1}", model.sample(generator(7, k))) for k in range(3)]
    figure = Figure(figsize=(12, 9), dpi=80, layout="constrained")
    axes = figure.subplots(3, len(drawn))
    for column, (title, coefficients) in enumerate(drawn):
        u = from_canonical(coefficients, coarse)[0]
        for axis in range(3):
            _draw_grid(axes[axis, column], u, axis)
        axes[0, column].set_title(title)
    for axis, name in enumerate("zyx"):
        axes[axis, 0].set_ylabel(f"middle plane across {name}")
    with written_atomically(path) as temporary:
        figure.savefig(temporary)


def _draw_grid(ax: Any, u: Tensor, axis: int) -> None:
    """Lines of a plane across an axis, moved by the displacement within it."""
    plane = u.select(axis + 1, u.shape[axis + 1] // 2).numpy()
    rows, columns = (k for k in range(3) if k != axis)
    y, x = np.meshgrid(*(np.arange(n) for n in plane.shape[1:]), indexing="ij")
    y, x = y + plane[rows], x + plane[columns]
    for lines_x, lines_y in ((x[::4].T, y[::4].T), (x[:, ::4], y[:, ::4])):
        ax.plot(lines_x, lines_y, color="0.2", linewidth=0.5)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
