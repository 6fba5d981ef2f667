"""Register two images: normalise, align linearly, run the network, carry its result to the original fixed grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial

import SimpleITK as sitk
import torch

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.pairing import pairing_hints
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.io.free_memory import ran_out_of_memory
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.model_file import LoadedModel
from RobustDIRLib.networks.network import Network
from RobustDIRLib.registration import devices
from RobustDIRLib.registration.alignment import SEED, align, warn_of_little_overlap
from RobustDIRLib.registration.checks import check_extras, check_images, check_options, tell_idle_masks, tell_one_image
from RobustDIRLib.registration.deformable import Means, Prepared, deformable
from RobustDIRLib.registration.journal import Journal, Progress
from RobustDIRLib.registration.judgement import judge
from RobustDIRLib.registration.measures import measured
from RobustDIRLib.registration.memory import Budget, Forecast, fitting_grid
from RobustDIRLib.registration.preprocessing import (
    Warn,
    as_seen_and_detailed,
    inside,
    normalise,
    prepare_mask,
    sharpening,
)
from RobustDIRLib.registration.record import model_record, versions
from RobustDIRLib.registration.refinement.refine import Patience
from RobustDIRLib.registration.refinement.settings import levels_for
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions, RegistrationResult
from RobustDIRLib.registration.transforms import ComposedTransform, covered, jacobian, warp_image, warp_labels


@dataclass(frozen=True)
class _Setting:
    """What is asked for, and what the options stand for here."""

    options: RegistrationOptions
    extras: PairExtras
    grid: Grid
    means: Means


def register(
    fixed: Image,
    moving: Image,
    model: LoadedModel | Network,
    *,
    options: RegistrationOptions | None = None,
    extras: PairExtras | None = None,
    progress: Progress | None = None,
    enough: Callable[[], bool] = bool,
) -> RegistrationResult:
    """Register a moving image to a fixed one.

    Args:
        fixed: Any grid.
        moving: Any grid.
        model: A loaded model (`model_store.load_model`), or a bare `Network`.
        options: Preset, alignment, device, threads, memory; the defaults if not given.
        extras: Masks, landmarks and label maps, if there are any.
        progress: Told of every stage, and, if it has a method `level`, of every level of the refinement: its number
            from 1, and how many there are.
        enough: Asked often while refining; once it says so, the best result so far is kept and the rest goes on.
    Returns:
        Transforms fixed to moving and back, displacement, warped image and labels, Jacobian, measures. The same input
        on the same machine with as many threads gives the same output, bit by bit, unless a budget of seconds or
        `enough` ends the refinement.
    Raises:
        InputError: If an option is unknown, the extras do not fit, the images cannot overlap (`alignment="none"`),
            there is not enough memory, or the network fails.
    """
    options, extras, journal = options or RegistrationOptions(), extras or PairExtras(), Journal(progress)
    preset, device = check_options(options)
    network = _network_of(model)
    ruled_out = options.refine is None and _rules_refinement_out(model)
    check_images(fixed, moving, preset, journal.warn)
    tell_one_image(fixed, moving, journal.warn)
    extras = check_extras(extras, fixed, moving, journal.warn)
    with devices.repeatable(options.threads) as threads, torch.inference_mode():
        free = devices.free_device_memory(device)
        budget = Budget.now(float(network.bytes_per_voxel), free, options.memory_limit)
        grid, outlook = fitting_grid(fixed.grid, moving.grid, preset, budget, journal.warn, options.spacing)
        wanted = False if ruled_out else options.refine
        levels = levels_for(options.quality, wanted, preset, grid, (fixed.grid, moving.grid))
        tell_idle_masks(options, extras, refined=bool(levels), warn=journal.warn)
        patience = Patience(options.refine_seconds, enough, journal.level)
        setting = _Setting(options, extras, grid, Means(network, device, preset, levels, patience))
        with _spoken_of(outlook):
            result = _run(fixed, moving, setting, journal)
    record = {
        **asdict(options),
        "refinement_ruled_out": ruled_out,
        **result.record,
        "device": str(device),
        "threads": threads,
        "seeds": {"alignment": SEED},
        "model": model_record(model),
        "versions": versions(),
        "memory_forecast_bytes": {part.where: part.needed for part in outlook},
    }
    return replace(result, warnings=tuple(journal.warnings), timings=journal.timings, record=record)


def _network_of(model: LoadedModel | Network) -> Network:
    """What registers.

    Raises:
        InputError: If it lacks a part of `Network`.
    """
    network = model.network if hasattr(model, "network") else model
    if not isinstance(network, Network):
        raise InputError(
            f"`model`: {type(model).__name__} is no network; it has to be called with two images, and to say its "
            "bytes_per_voxel."
        )
    return network


def _rules_refinement_out(model: LoadedModel | Network) -> bool:
    """Whether a model's card does: refinement by intensities undoes what labels taught of borders that do not show."""
    card = getattr(model, "card", None)
    return isinstance(card, dict) and card.get("refine") is False


@contextmanager
def _spoken_of(outlook: Sequence[Forecast]) -> Iterator[None]:
    """Turns running out of memory, against the forecast, into a sentence."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        raise InputError(
            f"memory ran out although {' and '.join(map(str, outlook))} should have done; close other programs, crop "
            f"the images, or give a lower `memory_limit` for a coarser grid."
        ) from error


def _run(fixed: Image, moving: Image, setting: _Setting, journal: Journal) -> RegistrationResult:
    """The stages in order; of the record what became of the refinement."""
    extras = setting.extras
    pair = _prepared(fixed, moving, setting, journal)
    deformation, refinement = deformable(pair, setting.means, journal)
    alignment = pair.alignment
    composed = ComposedTransform(alignment.linear, deformation, setting.grid)
    with journal.stage("resample"):
        reached = covered(setting.grid, alignment.linear, moving.grid)
        judgement = judge(*pair.images, deformation.displacement, reached).with_mirror(alignment.mirrored)
        del pair  # what lies on the fixed grid needs its memory
        displacement = composed.field(fixed.grid)
        warped = warp_image(moving, displacement)
        labels = tuple(warp_labels(labels, displacement) for labels in extras.moving_labels)
        determinant = jacobian(displacement)
    with journal.stage("measure"):
        compared = zip(extras.fixed_labels, extras.moving_labels, labels, strict=False)
        figures = measured(composed, determinant, extras.landmarks, compared)
        _warn_of_pairing(extras.landmarks, composed.transform, (fixed.grid, moving.grid), journal.warn)
        judgement = judgement.with_strain(figures.sdlogj, figures.folding_percent)
        if judgement.likely_failed:
            journal.warn(judgement.sentence())
    return RegistrationResult(
        transform=composed.transform,
        inverse=composed.inverse,
        displacement=displacement,
        warped=warped,
        warped_labels=labels,
        jacobian=determinant,
        measures=figures,
        alignment=alignment,
        working_grid=setting.grid,
        record={"refinement": refinement},
        judgement=judgement,
    )


def _prepared(fixed: Image, moving: Image, setting: _Setting, journal: Journal) -> Prepared:
    """Both images normalised, aligned and brought to the working grid."""
    images, sides = (fixed, moving), ("fixed", "moving")
    blank_outside = setting.options.blank_outside
    with journal.stage("normalise"):
        masks = [prepare_mask(*one, journal.warn) for one in zip(setting.extras.masks, images, sides, strict=True)]
        scaled = [
            normalise(image, setting.means.preset, mask if blank_outside else None)
            for image, mask in zip(images, masks, strict=True)
        ]
    with journal.stage("align"):
        looked_at = [inside(image, mask) for image, mask in zip(scaled, masks, strict=True)]
        alignment = align(looked_at[0], looked_at[1], setting.options.alignment)
        warn_of_little_overlap(alignment, journal.warn)
        shown = looked_at if blank_outside else scaled
        del scaled, looked_at  # so that no image is there twice while it is resampled
        grid = setting.grid
        amount = sharpening(setting.means.preset, (fixed.grid, moving.grid)) if setting.means.levels else 0.0
        placed = (
            as_seen_and_detailed(image, grid, amount, transform)
            for image, transform in zip(shown, (None, alignment.transform), strict=True)
        )
        pair, detailed = zip(*placed, strict=True)
    return Prepared(pair, detailed, masks, alignment, moving.grid)


def _warn_of_pairing(
    landmarks: tuple[Landmarks, Landmarks] | None, transform: sitk.Transform, grids: tuple[Grid, Grid], warn: Warn
) -> None:
    if landmarks is not None:
        first, second = (one.points for one in landmarks)
        for sentence in pairing_hints(first, second, partial(apply_to_points, transform), grids):
            warn(sentence)
