"""`robustdir synthesize`: banks of label maps for pretraining, and pairs with their truth to look at or to test on."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from RobustDIRLib.cli import as_path
from RobustDIRLib.errors import InputError

if TYPE_CHECKING:
    from RobustDIRLib.synthesis.files import SynthesisSettings


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "synthesize", help="make synthetic label maps, or pairs with their exact displacement"
    )
    parser.add_argument("-o", "--output", type=as_path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--bank", action="store_true", help="write a bank of label maps instead of pairs")
    parser.add_argument(
        "--count", type=int, default=1, help="how many pairs or label maps (default 1; the paper: 100 maps)"
    )
    parser.add_argument(
        "--from-labels", type=as_path, nargs="+", metavar="FILE", help="make the bank of these anatomical label maps"
    )
    parser.add_argument(
        "--scans", action="store_true", help="with --from-labels: write a data set of --count scans of each, painted"
    )
    parser.add_argument(
        "--keep", type=_labels, metavar="LABELS", help="of those only these labels, such as 2-5,41 (default: all)"
    )
    parser.add_argument(
        "--motions",
        type=as_path,
        nargs="+",
        metavar="FILE",
        help="write displacements of breathing for chests, as FOLDER/motions.npz, from tables of matched points of two "
        "breaths, rows x,y,z,x,y,z with z upwards",
    )
    parser.add_argument("--seed", type=int, default=0, help="equal seeds and settings give equal files")
    parser.add_argument("--config", type=as_path, help="JSON object with any of `labels` and `pairs` settings")
    parser.add_argument("--side", type=int, help="voxels a side of maps and pairs (default 192)")
    parser.add_argument("--hand-over", action="store_true", help=argparse.SUPPRESS)  # a pair for the panel of Slicer


def _labels(text: str) -> list[int]:
    """Numbers and ranges, both ends included, separated by commas."""
    chosen: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of labels: write numbers and ranges, such as 2-5,41")
        chosen += range(int(first), int(last or first) + 1)
    return chosen


def run(args: argparse.Namespace) -> int:
    """Write what was asked for; returns 0."""
    from RobustDIRLib.synthesis.bank import import_bank, make_bank
    from RobustDIRLib.synthesis.files import read_settings, write_pairs
    from RobustDIRLib.synthesis.motions import write_motions
    from RobustDIRLib.synthesis.scans import write_scans

    if args.scans and not args.from_labels:
        raise InputError("--scans makes scans of the label maps that --from-labels names: name some.")
    settings = read_settings(args.config, args.side, args.count)
    if args.hand_over:
        _hand_over(settings, args)
    elif args.motions:
        write_motions(args.output / "motions.npz", args.motions)
    elif args.scans:
        made = settings.pairs, settings.scans
        write_scans(
            args.output, args.from_labels or (), made, args.count, args.seed, keep=args.keep, progress=_progress("scan")
        )
    elif args.from_labels:
        progress = _progress("label map")
        import_bank(args.output, args.from_labels, settings.labels.side, progress, keep=args.keep)
    elif args.bank:
        make_bank(args.output, settings.labels, args.count, args.seed, _progress("label map"))
    else:
        write_pairs(args.output, settings, args.count, args.seed, _progress("pair"))
    print(f"written to {args.output}")
    return 0


def _hand_over(settings: SynthesisSettings, args: argparse.Namespace) -> None:
    from RobustDIRLib.datasets.cases import CaseData
    from RobustDIRLib.synthesis.files import make_pair, pair_images
    from RobustDIRLib.trainpanel.case_files import write_case, write_field

    made = pair_images(make_pair(settings, args.seed, 0))
    case = CaseData(made.fixed, made.moving, fixed_labels=made.fixed_labels, moving_labels=made.moving_labels)
    write_case(case, None, args.output)
    write_field(args.output, made.displacement.array, made.displacement.grid)


def _progress(what: str) -> Any:
    return lambda done, count: print(f"{what} {done} of {count}", file=sys.stderr, flush=True)
