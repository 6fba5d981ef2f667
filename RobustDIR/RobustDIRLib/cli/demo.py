"""`robustdir demo`: make a brain pair whose deformation is known, register it, tell how well that went."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path
from typing import Any

from RobustDIRLib.cli import as_path
from RobustDIRLib.model_store import DEFAULT_MODEL
from RobustDIRLib.presets import BRAIN_MRI
from RobustDIRLib.run_files import DISPLACEMENT, RECORD, TRANSFORM, WARPED

RESULT, PICTURE, PRESET = "result", "picture.png", BRAIN_MRI


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("demo", help="register a brain with a known deformation, and tell how well it went")
    parser.add_argument("-o", "--output", type=as_path, required=True, help="folder for the pair and the results")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or path of a model (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the deformation, contrast and noise (default: 0)")
    parser.add_argument("--pair-only", action="store_true", help="make the pair and register nothing")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote there")


def run(args: argparse.Namespace) -> int:
    """Make the pair, run `robustdir register` on it, measure what that wrote; returns its exit code."""
    from RobustDIRLib import demo
    from RobustDIRLib.cli import main
    from RobustDIRLib.model_store import find_model

    find_model(args.model)  # before anything is made
    folder = _folder(args.output, args.overwrite)
    print("making a brain pair with a known deformation", flush=True)
    demo.write_pair(folder, demo.make_pair(demo.template_brain(), args.seed))
    if args.pair_only:
        return 0
    command = register_command(folder, args.model, args.device)
    print(shlex.join(["robustdir", *command]), flush=True)
    begun = time.perf_counter()
    if code := main([*command, "--overwrite"] if args.overwrite else command):
        return code
    seconds = time.perf_counter() - begun
    measured = demo.assess(folder, folder / RESULT / TRANSFORM)
    _draw(folder, measured)
    print(_text(folder, measured, seconds))
    return 0


def register_command(folder: Path, model: str, device: str) -> list[str]:
    """Arguments of `robustdir` that register a written pair."""
    from RobustDIRLib import demo

    landmarks = [("--fixed-landmarks", demo.FIXED_LANDMARKS), ("--moving-landmarks", demo.MOVING_LANDMARKS)]
    command = ["register", str(folder / demo.FIXED), str(folder / demo.MOVING), "-o", str(folder / RESULT)]
    command += [part for option, name in landmarks for part in (option, str(folder / name))]
    return [*command, "--preset", PRESET, "--model", model, "--device", device]


def _folder(folder: Path, overwrite: bool) -> Path:
    from RobustDIRLib.errors import InputError

    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise InputError(f"--output: {folder} is not empty; choose another folder or add --overwrite.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output: {folder} cannot be made ({error.strerror}); choose another folder.") from error
    return folder


def _draw(folder: Path, measured: dict[str, Any]) -> None:
    from RobustDIRLib import demo
    from RobustDIRLib.evaluation.pictures import draw_registration
    from RobustDIRLib.io.displacements import read_displacement
    from RobustDIRLib.io.images import read_image

    fixed, moving = (read_image(folder / name) for name in (demo.FIXED, demo.MOVING))
    warped, field = (
        read_image(folder / RESULT / WARPED),
        read_displacement(folder / RESULT / DISPLACEMENT),
    )
    before, after = measured["before"]["mean"], measured["after"]["mean"]
    title = f"mean TRE {before:.2f} mm before, {after:.2f} mm after registration"
    draw_registration(folder / PICTURE, fixed, moving, warped, field, title=title)


def _text(folder: Path, measured: dict[str, Any], seconds: float) -> str:
    """What the terminal says at the end."""
    record = json.loads((folder / RESULT / RECORD).read_text(encoding="utf-8"))
    lines = [f"TRE at {measured['landmarks']} known points, mm     mean  median     max"]
    for when in ("before", "after"):
        values = measured[when]
        lines.append(f"  {when:32} {values['mean']:6.2f}  {values['median']:6.2f}  {values['max']:6.2f}")
    lines.append(f"folding                            {record['measures']['folding_percent']:.4f} % of voxels")
    lines.append(f"time                               {seconds:.1f} s for reading, registering and writing")
    lines.append(f"transform, inverse, warped image and run record: {folder / RESULT}; picture: {folder / PICTURE}")
    return "\n".join(lines)
