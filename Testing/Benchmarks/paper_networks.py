"""Time and memory of one forward pass of the paper's networks, as a row of a Markdown table.

    python Testing/Benchmarks/paper_networks.py --kind cascade --size 192 --threads 1

Peak memory is that of the whole process, Python and torch included.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))

from RobustDIRLib.networks.build import build_network  # noqa: E402

HEADER = """\
| network | images | precision | threads | forward pass, s | of processor time, s | peak memory of the process, GiB |
|---|---|---|---|---|---|---|"""


def timed_pass(config: dict[str, Any], size: int, reduced: bool) -> tuple[float, float]:
    """Seconds to register one pair of random images, both directions: by the clock, and of processor time."""
    torch.manual_seed(0)
    network = build_network(config).eval()
    fixed, moving = torch.rand(2, 1, 1, size, size, size) * 2 - 1
    precision = torch.autocast("cpu", torch.bfloat16) if reduced else contextlib.nullcontext()
    start, processor_start = time.perf_counter(), time.process_time()
    with torch.inference_mode(), precision:
        network(fixed, moving)
    return time.perf_counter() - start, time.process_time() - processor_start


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("unet", "cascade"), default="cascade")
    parser.add_argument("--channels", type=int, nargs="+", help="as in the paper if not given")
    parser.add_argument("--downsampling", choices=("pooling", "stride"), default="pooling")
    parser.add_argument("--size", type=int, default=192, help="side of the images, voxels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bf16", action="store_true", help="bf16 autocast instead of single precision")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    paper = {"unet": [256], "cascade": [64, 128]}
    channels = options.channels or paper[options.kind]
    config = {
        "kind": options.kind,
        "channels": channels if options.kind == "cascade" else channels[0],
        "downsampling": options.downsampling,
    }
    seconds, processor = timed_pass(config, options.size, options.bf16)
    unit = 2**30 if sys.platform == "darwin" else 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    name = f"{options.kind} {'/'.join(map(str, channels))}, {options.downsampling}"
    precision = "bf16" if options.bf16 else "fp32"
    print(HEADER)
    measured = f"{seconds:.1f} | {processor:.1f} | {peak:.1f}"
    print(f"| {name} | {options.size}^3 | {precision} | {options.threads} | {measured} |")


if __name__ == "__main__":
    main()
