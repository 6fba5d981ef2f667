"""`robustdir register`: register a moving image to a fixed one and write everything to a folder."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path
from RobustDIRLib.cli.progress import KINDS, JsonLines, Terminal, ended_by_sigterm, keeping
from RobustDIRLib.cli.repeating import remember_options, repeating_command
from RobustDIRLib.errors import InputError
from RobustDIRLib.model_store import DEFAULT_MODEL
from RobustDIRLib.presets import DEFAULT, PRESETS

if TYPE_CHECKING:
    from RobustDIRLib.geometry import Grid
    from RobustDIRLib.registration.result import PairExtras, RegistrationOptions, RegistrationResult

_GIB = 2**30
# Arguments that name what is read: a file or folder each, and several label maps.
_SINGLE = ("fixed", "moving", "fixed_mask", "moving_mask", "fixed_landmarks", "moving_landmarks")
_FILES = (*_SINGLE, "labels", "fixed_labels")


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
    group.add_argument("--model", default=DEFAULT_MODEL, help="name or file of a model (default: %(default)s)")
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
    group.add_argument(
        "--hand-over", type=as_path, metavar="FOLDER", help="write the results there too, as plain files (3D Slicer)"
    )


def run(args: argparse.Namespace) -> int:
    """Read, register, write, and sum up; returns 0."""
    from RobustDIRLib.cli import in_options

    if args.stop_file and args.progress != "json":
        raise InputError("`stop_file` goes with --progress json; without it nobody would look for that file.")
    progress = JsonLines(args.stop_file) if args.progress == "json" else Terminal()
    try:
        with ended_by_sigterm():
            _register(args, progress)
    except (InputError, OSError) as error:
        progress.failed(in_options(str(error), args))
        raise
    finally:
        progress.close()
    return 0


def _register(args: argparse.Namespace, progress: Terminal | JsonLines) -> None:
    """All of it in order: the folders that results go to are held before anything is read, and files come last."""
    from RobustDIRLib.io.files import provisional_folder, refuse_inputs
    from RobustDIRLib.io.images import read_image
    from RobustDIRLib.io.remarks import heard
    from RobustDIRLib.model_file import read_model
    from RobustDIRLib.model_store import find_model
    from RobustDIRLib.panelparts.handover import FILES, write_handover
    from RobustDIRLib.registration.journal import Journal
    from RobustDIRLib.registration.register import register
    from RobustDIRLib.registration.saving import reserved, save

    begun, journal = time.perf_counter(), Journal(progress)
    options, weights = _options(args), find_model(args.model)
    given = [path for name in _FILES for path in _paths(args, name)]
    refuse_inputs([args.hand_over / name for name in FILES] if args.hand_over else [], [*given, weights])
    holding = reserved(args.output, overwrite=args.overwrite, inputs=[*given, weights])
    with holding as folder, provisional_folder(args.hand_over) if args.hand_over else nullcontext():
        with journal.stage("read"):
            model = read_model(weights)
            with heard() as remarks:
                fixed, moving = (read_image(path, fill_nan=args.fill_nan) for path in (args.fixed, args.moving))
                extras = _extras(args, fixed.grid, moving.grid)
            provenance = _provenance(args, extras)
        with keeping(args.keep_file, progress) as enough:
            result = register(fixed, moving, model, options=options, extras=extras, progress=progress, enough=enough)
        told = tuple(dict.fromkeys((*remarks, *result.warnings)))
        result = replace(result, timings={**journal.timings, **result.timings}, warnings=told)
        with journal.stage("write"):
            save(result, folder, overwrite=args.overwrite, provenance=provenance)
            if args.hand_over:
                write_handover(result, moving.grid, args.hand_over)
    _tell(result, folder, time.perf_counter() - begun, progress)


def _options(args: argparse.Namespace) -> RegistrationOptions:
    """The arguments that bear the names of options, checked before anything is read."""
    from RobustDIRLib.registration.checks import check_options
    from RobustDIRLib.registration.result import RegistrationOptions

    names = {field.name for field in fields(RegistrationOptions)}
    given = {name: value for name, value in vars(args).items() if name in names}
    options = RegistrationOptions(**{**given, "memory_limit": _bytes(args.memory_limit)})
    check_options(options)
    return options


def _bytes(limit: float | None) -> int | None:
    """Of a limit in GiB."""
    if limit is not None and not limit > 0:
        raise InputError(f"`memory_limit` {limit:g}: give a number of GiB above 0.")
    return None if limit is None else int(min(limit, 2**20) * _GIB)


def _paths(args: argparse.Namespace, name: str) -> list[str]:
    """The files or folders that an argument names; none where it was not given."""
    value = getattr(args, name) or []
    return value if isinstance(value, list) else [value]


def _extras(args: argparse.Namespace, fixed: Grid, moving: Grid) -> PairExtras:
    """What was given with the images, read."""
    from RobustDIRLib.evaluation.label_pairs import read_pairs
    from RobustDIRLib.io.labels import read_mask
    from RobustDIRLib.io.landmarks import read_landmarks
    from RobustDIRLib.registration.result import PairExtras

    readers: dict[str, Callable[[str], Any]] = {
        "fixed_mask": read_mask,
        "moving_mask": read_mask,
        "fixed_landmarks": partial(read_landmarks, grid=fixed),
        "moving_landmarks": partial(read_landmarks, grid=moving),
    }
    moving_labels, fixed_labels = read_pairs(args.labels, args.fixed_labels)
    extras = {name: read(path) for name, read in readers.items() for path in _paths(args, name)}
    return PairExtras(**extras, moving_labels=moving_labels, fixed_labels=fixed_labels)


def _provenance(args: argparse.Namespace, extras: PairExtras) -> dict[str, Any]:
    """Inputs with checksums, and the command that repeats the run.

    A file of segments that overlap became several label maps, and is listed for each: pairs are counted by maps.
    """
    from RobustDIRLib.io.input_files import input_sha256

    def identity(path: str) -> dict[str, str]:
        return {"path": str(Path(path).absolute()), "sha256": input_sha256(path)}

    inputs: dict[str, Any] = {name: identity(path) for name in _SINGLE for path in _paths(args, name)}
    for name, maps in (("labels", extras.moving_labels), ("fixed_labels", extras.fixed_labels)):
        inputs |= {name: [identity(getattr(one, "source", "")) for one in maps]} if maps else {}
    command = repeating_command(args, paths=("output", *_FILES))
    filled = {} if args.fill_nan is None else {"fill_nan": args.fill_nan}
    return {"command": command, "inputs": inputs, **filled}


def _tell(result: RegistrationResult, folder: Path, seconds: float, progress: Terminal | JsonLines) -> None:
    """What came of it, for programs or for people."""
    if not isinstance(progress, JsonLines):
        _summarise(result, folder, seconds)
        return
    for sentence in result.warnings:
        progress.tell("warning", message=sentence)
    progress.tell("result", folder=str(folder), seconds=round(seconds, 3))


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
    if record["ended"] == "apart":
        return "not: the masks have no place in common"
    if record["ended"] == "no gain":
        return "not: it did not help"
    kept = sum(level["kept"] for level in record["levels"])
    ended = {"asked": "; ended when asked to", "budget": "; ended by --refine-seconds"}.get(record["ended"], "")
    return f"{kept} of {len(record['levels'])} levels kept{ended}"
