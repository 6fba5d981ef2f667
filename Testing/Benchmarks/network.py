"""The network alone at growing sizes, beside what the machine's convolutions can do, as Markdown rows.

    python Testing/Benchmarks/network.py --threads 2 --sides 96,128,160,192,224,256

The ceiling is a 32-channel convolution of 3x3x3 with its channels innermost, in the precision that the network uses.
Operations are those of convolutions and matrix products. Each size has a process of its own; memory is its peak beyond
what torch and the model take.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "RobustDIR"
HEADER = """\
| side | seconds | processor seconds | us a voxel | peak memory, GiB | GFLOP | GFLOP/s | share of the ceiling |
|---|---|---|---|---|---|---|---|"""

_CEILING = """
import sys, time, torch
from RobustDIRLib.networks.precision import autocast
torch.set_num_threads(int(sys.argv[1]))
layer = torch.nn.Conv3d(32, 32, 3, padding=1).to(memory_format=torch.channels_last_3d)
x = torch.randn(2, 32, 64, 64, 64).contiguous(memory_format=torch.channels_last_3d)
best = float("inf")
with torch.inference_mode(), autocast("auto", torch.device("cpu")):
    for _ in range(6):
        begun = time.perf_counter()
        layer(x)
        best = min(best, time.perf_counter() - begun)
print(2 * 27 * 32 * 32 * 2 * 64**3 / best / 1e9)
"""

_PASS = """
import resource, sys, time, torch
from torch.utils.flop_counter import FlopCounterMode
from RobustDIRLib.model_store import load_model
from RobustDIRLib.networks.precision import autocast
from RobustDIRLib.synthesis.random import generator, smooth_noise
torch.set_num_threads(int(sys.argv[2]))
network, side = load_model(sys.argv[1]).network.eval(), int(sys.argv[3])
pair = [smooth_noise((side,) * 3, side // 5, generator(k)).clamp(-1, 1) for k in (0, 1)]
unit = 2**30 if sys.platform == "darwin" else 2**20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.inference_mode(), autocast("auto", torch.device("cpu")):
    clocks = time.perf_counter(), time.process_time()
    network(*pair)
    taken = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit
    small = [image[..., :64, :64, :64] for image in pair]
    with FlopCounterMode(display=False) as counter:
        network(*small)
print(*taken, memory, counter.get_total_flops() * (side / 64) ** 3 / 1e9)
"""


def _numbers(script: str, *arguments: object) -> list[float]:
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8").stdout
    return [float(word) for word in output.split()]


def row(model: str, threads: int, side: int, ceiling: float) -> str:
    """One size."""
    seconds, busy, memory, work = _numbers(_PASS, model, threads, side)
    rate = work / seconds
    return (
        f"| {side} | {seconds:.1f} | {busy:.1f} | {1e6 * seconds / side**3:.2f} | {memory:.2f} | {work:.0f} "
        f"| {rate:.0f} | {100 * rate / ceiling:.0f} % |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="generic")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sides", default="96,128,160,192,224,256")
    options = parser.parse_args()
    (ceiling,) = _numbers(_CEILING, options.threads)
    print(f"Convolution ceiling, {options.threads} threads: {ceiling:.0f} GFLOP/s\n\n{HEADER}", flush=True)
    for side in options.sides.split(","):
        print(row(options.model, options.threads, int(side), ceiling), flush=True)


if __name__ == "__main__":
    main()
