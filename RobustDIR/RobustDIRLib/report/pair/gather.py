"""Finds out what the report of a pair says: reads a run's folder and measures what the run did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.run_figures import Figure, figures_of
from RobustDIRLib.evaluation.tolerances import Tolerances
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.displacements import apply_to_points, read_displacement, read_transform
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.images import Image, read_image, read_scalar, resample
from RobustDIRLib.io.landmarks import Landmarks, pairs_inside, read_landmarks
from RobustDIRLib.model_store import CARD, card_text, list_models, load_model
from RobustDIRLib.report.pair.figures import Scene
from RobustDIRLib.report.pair.landmark_figures import Worst
from RobustDIRLib.report.pair.report import LandmarkRow, MapStatistics, PairReport
from RobustDIRLib.report.pair.review import FILE as REVIEWS
from RobustDIRLib.report.pair.review import Review, read_reviews
from RobustDIRLib.report.pair.run_folder import Reader, RunFolder, read_run
from RobustDIRLib.report.pair.shown import Shown
from RobustDIRLib.report.pair.structures import structures_of
from RobustDIRLib.run_files import DISPLACEMENT, JACOBIAN, MODEL, TRANSFORM, WARPED


@dataclass(frozen=True)
class PictureMaterial:
    """What the pictures are made of; None is what is lost.

    Attributes:
        scene: Images and maps on the fixed grid.
        fixed: On its own grid.
        moving: On its own grid.
        jacobian: Determinant on the fixed grid.
        points: Landmarks in the fixed and in the moving image.
        worst: The landmark with the largest error.
    """

    scene: Scene | None
    fixed: Image | None
    moving: Image | None
    jacobian: Image | None
    points: tuple[Landmarks, Landmarks] | None
    worst: Worst | None


def gather(folder: PathLike, tolerances: Tolerances, shown: Shown | None = None) -> tuple[PairReport, PictureMaterial]:
    """Read a run's folder, measure what the run did not, and hold all of it against the tolerances.

    Args:
        folder: Of `robustdir register`.
        tolerances: The limits.
        shown: What the panel showed; its landmarks and structures take the place of the run's.
    Returns:
        The report, and what its pictures are made of.
    Raises:
        InputError: If it is no folder of a run, or no image says what the fixed grid is.
    """
    run = read_run(folder)
    reader = Reader(run, [*run.warnings])
    if shown is not None:
        run = shown.measured(run, reader.output(read_transform, TRANSFORM))
    material = _material(reader, shown)
    return _report(run, reader, material, tolerances, shown), material


def _report(
    run: RunFolder, reader: Reader, material: PictureMaterial, tolerances: Tolerances, shown: Shown | None
) -> PairReport:
    voxel_mm = _largest_voxel_side(run, material)
    structures = structures_of(reader, material.jacobian) if shown is None else shown.table()
    card, card_lost = model_card(run.record.get("model"))
    reviews, foreign = _reviews(run)
    told = (*map(str, run.record.get("warnings") or ()), *reader.warnings, *card_lost, *foreign)
    return PairReport(
        run=run,
        created=datetime.now().astimezone(),
        tolerances=tolerances,
        voxel_mm=voxel_mm,
        judgements=tolerances.judge_all(figures_of(run.measures), voxel_mm),
        landmarks=_landmark_rows(run, material.points, tolerances, voxel_mm),
        structures=structures,
        maps=tuple(_statistics(material)),
        reviews=reviews,
        warnings=tuple(dict.fromkeys((*told, *_changed_limits(reviews, tolerances)))),
        card=card,
        shown=shown,
    )


def _largest_voxel_side(run: RunFolder, material: PictureMaterial) -> float:
    """Of the fixed grid, mm, by any image that lies on it."""
    known = [image for image in (material.scene and material.scene.warped, material.jacobian, material.fixed) if image]
    if not known:
        raise InputError(f"{run.folder} holds no image that can be read ({WARPED}, {JACOBIAN}); register again.")
    return max(known[0].grid.spacing)


def _changed_limits(reviews: Sequence[Review], tolerances: Tolerances) -> Iterator[str]:
    """A sentence for each review that was of other limits."""
    for one in reviews:
        if other := one.other_limits(tolerances):
            yield (
                f"Limits have changed since the review by {one.reviewer} of {one.date} ({other} then): the verdicts "
                f"shown are not those that were reviewed."
            )


def _material(reader: Reader, shown: Shown | None) -> PictureMaterial:
    read = partial(read_image, fill_nan=reader.run.record.get("fill_nan"))
    fixed, moving = reader.input(read, "fixed"), reader.input(read, "moving")
    jacobian, warped = reader.output(_read_map, JACOBIAN), reader.output(read_image, WARPED)
    points = _landmarks(reader, fixed, moving) if fixed and moving else None
    points = points if shown is None else shown.points
    worst = _worst(reader, points)
    if warped is None:
        return PictureMaterial(None, fixed, moving, jacobian, points, worst)
    grid, field = warped.grid, reader.output(read_displacement, DISPLACEMENT)
    scene = Scene(
        warped=warped,
        fixed=fixed if fixed and fixed.grid.close_to(grid) else None,
        before=resample(moving, grid) if moving else None,
        field=field if field and field.grid.close_to(grid) else None,
        jacobian=jacobian if jacobian and jacobian.grid.close_to(grid) else None,
    )
    return PictureMaterial(scene, fixed, moving, jacobian, points, worst)


def _read_map(path: Path) -> Image:
    """A map of real values; unlike an image it may be constant, as the determinant of a shift is."""
    found = read_scalar(path)
    return Image(found.array.astype(np.float32), found.grid)


def _landmarks(reader: Reader, fixed: Image, moving: Image) -> tuple[Landmarks, Landmarks] | None:
    first = reader.input(lambda path: read_landmarks(path, fixed.grid), "fixed_landmarks")
    second = reader.input(lambda path: read_landmarks(path, moving.grid), "moving_landmarks")
    if not (first and second and len(first) == len(second)):
        return None
    kept = pairs_inside(first, second, fixed.grid, moving.grid)  # the run measured no others
    return (first.where(kept), second.where(kept)) if kept.any() else None


def _landmark_rows(
    run: RunFolder, points: tuple[Landmarks, Landmarks] | None, tolerances: Tolerances, voxel_mm: float
) -> tuple[LandmarkRow, ...]:
    """The run's landmarks, worst first; those of equal error in their order."""
    recorded = (run.measures.get("tre") or {}).get("landmarks") or []
    places = points[0].points.tolist() if points and len(points[0]) == len(recorded) else [None] * len(recorded)
    rows = [
        LandmarkRow(
            name=str(one["name"]),
            point=(place[0], place[1], place[2]) if place else None,
            before=one["before_mm"],
            linear=one["linear_mm"],
            after=one["after_mm"],
            judgement=tolerances.judge("tre_max_mm", Figure(one["after_mm"]), voxel_mm),
        )
        for one, place in zip(recorded, places, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: -row.after))


def _worst(reader: Reader, points: tuple[Landmarks, Landmarks] | None) -> Worst | None:
    if points is None:
        return None
    transform = reader.output(read_transform, TRANSFORM)
    if transform is None:
        return None
    fixed, moving = points
    mapped = apply_to_points(transform, fixed.points)
    errors = np.linalg.norm(mapped - moving.points, axis=1)
    k = int(errors.argmax())
    return Worst(fixed.names[k], float(errors[k]), fixed.points[k], moving.points[k], mapped[k])


def _statistics(material: PictureMaterial) -> Iterator[MapStatistics]:
    if material.jacobian is not None:
        yield _of_values("Jacobian determinant", "", material.jacobian.array)
    if material.scene is not None and material.scene.field is not None:
        yield _of_values("Length of the displacement", "mm", np.linalg.norm(material.scene.field.array, axis=-1))


def _of_values(title: str, unit: str, array: np.ndarray) -> MapStatistics:
    low, first, middle, last, high = (float(value) for value in np.percentile(array, (0, 1, 50, 99, 100)))
    mean = float(array.mean(dtype=np.float64))
    values = {"min": low, "p1": first, "median": middle, "mean": mean, "p99": last, "max": high}
    return MapStatistics(title, unit, values)


def _reviews(run: RunFolder) -> tuple[tuple[Review, ...], tuple[str, ...]]:
    """Reviews of this run, and a warning for each of another one."""
    try:
        everything = read_reviews(run.folder / REVIEWS)
    except InputError as error:
        return (), (str(error),)
    foreign = [one for one in everything if one.run_sha256 != run.sha256]
    warnings = tuple(
        f"{REVIEWS} holds a review by {one.reviewer} of {one.date} that is of an earlier run in this folder; it does "
        f"not count for this one."
        for one in foreign
    )
    return tuple(one for one in everything if one.run_sha256 == run.sha256), warnings


def model_card(model: Mapping[str, Any] | None) -> tuple[str | None, tuple[str, ...]]:
    """The card of a recorded model, Markdown.

    Args:
        model: `model` of `run.json`: its name, path and checksum.
    Returns:
        The card, or None and a warning that says why there is none.
    """
    if not model or not model.get("sha256"):
        return None, ("The run did not record a model file; there is no model card.",)
    for path in _model_files(model):
        if path.is_file() and sha256(path) == model["sha256"]:
            try:
                return _card_text(path), ()
            except (InputError, OSError) as error:
                return None, (f"The model card cannot be read: {error}",)
    return None, (f"The model {model.get('name')} of this run is not installed here any more; its card is left out.",)


def _model_files(model: Mapping[str, Any]) -> Iterator[Path]:
    """Where the model lay, then wherever one of its name lies now."""
    if model.get("path"):
        yield Path(model["path"])
    yield from (entry.path for entry in list_models() if entry.name == model.get("name"))


def _card_text(path: Path) -> str:
    beside = path.parent / CARD
    if path.name == MODEL and beside.is_file():  # without loading the network
        return beside.read_text(encoding="utf-8")
    return card_text(load_model(path))
