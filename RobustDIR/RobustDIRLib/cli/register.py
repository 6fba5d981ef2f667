"""`robustdir register`: register a moving image to a fixed one and write everything to a folder."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli.progress import KINDS, JsonLines, Terminal, keeping
from RobustDIRLib.cli.repeating import remember_options, repeating_command
from RobustDIRLib.presets import DEFAULT, PRESETS, find_preset

if TYPE_CHECKING:
    from RobustDIRLib.geometry import Grid
    from RobustDIRLib.io.images import Image
    from RobustDIRLib.registration.result import PairExtras, RegistrationOptions, RegistrationResult

_GIB = 2**30
_PATHS = ("fixed_mask", "moving_mask", "fixed_landmarks", "moving_landmarks")
_LISTS = ("labels", "fixed_labels")


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "register",
        help="register two images",
        description="Register MOVING to FIXED; transforms, warped image, Jacobian and run.json go to FOLDER.",
    )
    parser.add_argument("fixed", metavar="FIXED", help="image that stays: a file, or a folder with one DICOM series")
    parser.add_argument("moving", metavar="MOVING", help="image to be warped onto it")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="where everything is written")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that FOLDER holds")
    _add_method(parser.add_argument_group("how"))
    _add_extras(parser.add_argument_group("what goes with the images"))
    _add_machine(parser.add_argument_group("for programs that run this command"))
    remember_options(parser, unlike=("progress", "stop_file", "keep_file", "hand_over"))


def _add_method(group: Any) -> None:
    group.add_argument("--preset", default=DEFAULT, help=f"{', '.join(PRESETS)} (default: {DEFAULT})")
    group.add_argument("--model", default="generic", help="name or file of a model (default: generic)")
    group.add_argument("--device", default="auto", help="auto (default: CUDA if there is), cpu, cuda or mps")
    group.add_argument(
        "--alignment", default="automatic", help="linear part: automatic (default), none, centre, rigid or affine"
    )
    group.add_argument(
        "--quality", default="balanced", help="fast (network alone), balanced (default: refined on the pair) or best"
    )
    group.add_argument(
        "--refine", action=argparse.BooleanOptionalAction, help="refine the network's result (default: as --quality)"
    )
    group.add_argument("--refine-seconds", type=float, metavar="S", help="time at most for the refinement")
    group.add_argument("--threads", type=int, metavar="N", help="threads to use; results repeat for equal numbers")
    group.add_argument("--memory-limit", type=float, metavar="GIB", help="memory to keep to (default: what is free)")
    group.add_argument(
        "--fill-nan", type=float, metavar="VALUE", help="what NaN becomes (default: smallest value, outside alone)"
    )


def _add_extras(group: Any) -> None:
    group.add_argument("--fixed-mask", metavar="FILE", help="where the alignment looks in FIXED, above 0 inside")
    group.add_argument("--moving-mask", metavar="FILE", help="where the alignment looks in MOVING, above 0 inside")
    group.add_argument(
        "--blank-outside", action="store_true", help="let the network, too, see nothing outside the masks"
    )
    group.add_argument("--fixed-landmarks", metavar="FILE", help="points in FIXED, for the TRE; they guide nothing")
    group.add_argument("--moving-landmarks", metavar="FILE", help="the same places in MOVING, row by row")
    group.add_argument(
        "--labels", metavar="FILE", action="append", default=[], help="label map of MOVING to warp along; repeatable"
    )
    group.add_argument(
        "--fixed-labels", metavar="FILE", action="append", default=[], help="its counterpart of FIXED, for the Dice"
    )


def _add_machine(group: Any) -> None:
    group.add_argument("--progress", choices=KINDS, default="text", help="json: one JSON object a line")
    group.add_argument("--stop-file", metavar="FILE", help="with --progress json: end early once it is there")
    group.add_argument("--keep-file", metavar="FILE", help="end the refinement and keep its result once it is there")
    group.add_argument("--hand-over", metavar="FOLDER", help="write the results there too, as plain files (3D Slicer)")


def run(args: argparse.Namespace) -> int:
    """Read, register, write, and sum up; returns 0."""
    from RobustDIRLib.cli import in_options
    from RobustDIRLib.errors import InputError

    if args.progress == "json":
        lines = JsonLines(args.stop_file)
        try:
            return _run(args, lines)
        except (InputError, OSError) as error:
            lines.tell("error", message=in_options(str(error), args))
            raise
    terminal = Terminal()
    try:
        return _run(args, terminal)
    finally:
        terminal.close()


def _run(args: argparse.Namespace, progress: Terminal | JsonLines) -> int:
    from RobustDIRLib.registration.saving import reserved

    with reserved(args.output, overwrite=args.overwrite, inputs=_input_paths(args)):
        return _register(args, progress)


def _register(args: argparse.Namespace, progress: Terminal | JsonLines) -> int:
    from RobustDIRLib.io.images import read_image
    from RobustDIRLib.io.remarks import heard
    from RobustDIRLib.registration.register import register
    from RobustDIRLib.registration.saving import save

    begun = time.perf_counter()
    options = _options(args)
    model = _model(args.model, options.device)
    progress("read")
    with heard() as remarks:
        fixed, moving = (read_image(path, fill_nan=args.fill_nan) for path in (args.fixed, args.moving))
        extras = _extras(args, fixed.grid, moving)
    provenance = _provenance(args, extras)
    reading = time.perf_counter() - begun
    progress("read", reading)
    with keeping(args.keep_file, progress) as enough:
        result = register(fixed, moving, model, options=options, extras=extras, progress=progress, enough=enough)
    told = dict.fromkeys((*remarks, *result.warnings))
    result = replace(result, timings={"read": reading, **result.timings}, warnings=tuple(told))
    progress("write")
    writing = time.perf_counter()
    folder = save(result, args.output, overwrite=args.overwrite, provenance=provenance)
    if args.hand_over:
        _hand_over(result, moving.grid, args.hand_over)
    progress("write", time.perf_counter() - writing)
    seconds = time.perf_counter() - begun
    if isinstance(progress, JsonLines):
        for sentence in result.warnings:
            progress.tell("warning", message=sentence)
        progress.tell("result", folder=str(folder), seconds=round(seconds, 3))
    else:
        _summarise(result, folder, seconds)
    return 0


def _hand_over(result: RegistrationResult, moving: Grid, folder: str) -> None:
    from RobustDIRLib.panelparts.handover import write_handover

    write_handover(result, moving, Path(folder))


def _options(args: argparse.Namespace) -> RegistrationOptions:
    """Options, checked before anything is read."""
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.registration.alignment import check_kind
    from RobustDIRLib.registration.devices import check_threads, find_device
    from RobustDIRLib.registration.refinement.settings import check_seconds, find_quality
    from RobustDIRLib.registration.result import RegistrationOptions

    find_quality(args.quality)
    check_seconds(args.refine_seconds)
    find_preset(args.preset)
    check_kind(args.alignment)
    limit = args.memory_limit
    if limit is not None and not limit > 0:
        raise InputError(f"--memory-limit {limit:g}: give a number of GiB above 0.")
    check_threads(args.threads)
    return RegistrationOptions(
        preset=args.preset,
        alignment=args.alignment,
        device=str(find_device(args.device)),
        threads=args.threads,
        memory_limit=None if limit is None else int(min(limit, 2**20) * _GIB),
        blank_outside=args.blank_outside,
        quality=args.quality,
        refine=args.refine,
        refine_seconds=args.refine_seconds,
    )


def _input_paths(args: argparse.Namespace) -> list[str]:
    """Every file and folder that the run reads."""
    from RobustDIRLib.model_store import list_models

    given = [getattr(args, name) for name in ("fixed", "moving", *_PATHS) if getattr(args, name)]
    given += [path for name in _LISTS for path in getattr(args, name)]
    models = {entry.name: str(entry.path) for entry in list_models()}
    return [*given, models.get(args.model, args.model)]


def _model(name: str, device: str) -> Any:
    from RobustDIRLib.model_store import load_model

    return load_model(name, device)


def _extras(args: argparse.Namespace, fixed: Grid, moving: Image) -> PairExtras:
    from RobustDIRLib.evaluation.label_pairs import read_pairs
    from RobustDIRLib.io.labels import read_mask
    from RobustDIRLib.io.landmarks import read_landmarks
    from RobustDIRLib.registration.result import PairExtras

    moving_labels, fixed_labels = read_pairs(args.labels, args.fixed_labels)
    return PairExtras(
        fixed_mask=read_mask(args.fixed_mask) if args.fixed_mask else None,
        moving_mask=read_mask(args.moving_mask) if args.moving_mask else None,
        fixed_landmarks=read_landmarks(args.fixed_landmarks, fixed) if args.fixed_landmarks else None,
        moving_landmarks=read_landmarks(args.moving_landmarks, moving.grid) if args.moving_landmarks else None,
        moving_labels=moving_labels,
        fixed_labels=fixed_labels,
    )


def _provenance(args: argparse.Namespace, extras: PairExtras) -> dict[str, Any]:
    """Inputs with checksums, and the command that repeats the run.

    A file of segments that overlap became several label maps, and is listed for each: pairs are counted by maps.
    """
    from RobustDIRLib.io.checksums import sha256

    def identity(path: str) -> dict[str, str]:
        return {"path": str(Path(path).absolute()), "sha256": sha256(path)}

    inputs: dict[str, Any] = {name: identity(getattr(args, name)) for name in ("fixed", "moving")}
    inputs.update({name: identity(getattr(args, name)) for name in _PATHS if getattr(args, name)})
    for name, maps in (("labels", extras.moving_labels), ("fixed_labels", extras.fixed_labels)):
        inputs |= {name: [identity(getattr(one, "source", "")) for one in maps]} if maps else {}
    command = repeating_command(args, paths=("fixed", "moving", "output", *_PATHS, *_LISTS))
    filled = {} if args.fill_nan is None else {"fill_nan": args.fill_nan}
    return {"command": command, "inputs": inputs, **filled}


def _summarise(result: RegistrationResult, folder: Path, seconds: float) -> None:
    """What came of it, for people."""
    measures = result.measures
    for sentence in result.warnings:
        print(f"warning: {sentence}")
    kept = [stage.name for stage in result.alignment.stages if stage.kept]
    print(f"linear     {', '.join(kept) or 'as the images lie'}; {100 * result.alignment.overlap:.0f} % overlap")
    size = " x ".join(str(n) for n in result.working_grid.size)
    spacing = " x ".join(f"{s:.3g}" for s in result.working_grid.spacing)
    print(f"network    on {size} voxels of {spacing} mm")
    print(f"refined    {_refined(result.record)}")
    if measures.landmarks:
        figures = measures.landmarks.summary()
        print(
            f"TRE        {figures['before_mean_mm']:.2f} mm before, {figures['linear_mean_mm']:.2f} after linear "
            f"alignment, {figures['after_mean_mm']:.2f} after registration (median {figures['after_median_mm']:.2f}), "
            f"{figures['count']} landmarks"
        )
    for overlap in (labels.summary() for labels in measures.labels):
        if overlap["after_mean"] is not None:
            print(f"Dice       {overlap['before_mean']:.3f} before, {overlap['after_mean']:.3f} after")
    residual = measures.inverse_residual_mm
    print(f"folding    {measures.folding_percent:.4f} % of voxels, SDlogJ {measures.sdlogj:.3f}")
    print(f"inverse    off by {residual['mean']:.3f} mm on average, {residual['p95']:.3f} at the 95th percentile")
    print(f"done       in {seconds:.1f} s; files in {folder}")


def _refined(run: Mapping[str, Any]) -> str:
    """What the refinement did, in a few words."""
    record = run.get("refinement")
    if run.get("refinement_ruled_out"):
        return "not: the model's card rules it out; --refine does it all the same"
    if record is None:
        return "not asked for"
    if record["ended"] == "unlike":
        return "not: the contrasts are too unlike"
    if record["ended"] == "no gain":
        return "not: it did not help"
    kept = sum(level["kept"] for level in record["levels"])
    ended = {"asked": "; ended when asked to", "budget": "; ended by --refine-seconds"}.get(record["ended"], "")
    return f"{kept} of {len(record['levels'])} levels kept{ended}"
