"""Seconds and memory of what users wait for, each in a process of its own, as Markdown rows.

    python Testing/Benchmarks/timing.py --threads 2 --model generic

Peak memory is that of the whole process, Python and torch included. The pair is made of random shapes, 192 voxels a
side; what the voxels hold changes neither time nor memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "RobustDIR"
HEADER = """\
| what | threads | seconds: median of 3 | peak memory, GiB |
|---|---|---|---|"""

_NETWORK = """
import sys, time, torch
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.model_store import load_model
from RobustDIRLib.registration.deformable import run_network
from RobustDIRLib.synthesis.random import generator, smooth_noise
torch.set_num_threads(int(sys.argv[2]))
network, side = load_model(sys.argv[1]).network, (192, 192, 192)
noise = (smooth_noise(side, 40, generator(k)).clamp(-1, 1)[0, 0].numpy() for k in (0, 1))
fixed, moving = (Image(array, Grid(side, (1.0, 1.0, 1.0))) for array in noise)
with torch.inference_mode():
    begun = time.perf_counter()
    run_network(network, fixed, moving, torch.device("cpu"))
    print("seconds", time.perf_counter() - begun)
"""

_PAIR = """
import sys
from pathlib import Path
from RobustDIRLib.synthesis.files import SynthesisSettings, write_pairs
from RobustDIRLib.synthesis.kinds import LabelMapConfig
from RobustDIRLib.synthesis.pairs import PairConfig
write_pairs(Path(sys.argv[1]), SynthesisSettings(LabelMapConfig(("medium",), 192), PairConfig(192)), 1, 0)
"""


def _run(command: list[str], threads: int) -> tuple[str, float, float]:
    """Output, seconds and peak GiB of a command."""
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": str(threads)}
    begun = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return output, time.perf_counter() - begun, usage.ru_maxrss / unit


def _row(what: str, threads: int, runs: list[tuple[float, float]]) -> str:
    seconds = sorted(seconds for seconds, _ in runs)[len(runs) // 2]
    return f"| {what} | {threads} | {seconds:.1f} | {max(memory for _, memory in runs):.2f} |"


def network_alone(model: str, threads: int) -> str:
    """One forward pass, both directions, 192^3; the process also loads torch and the model."""
    runs = []
    for _ in range(3):
        output, _, memory = _run([sys.executable, "-c", _NETWORK, model, str(threads)], threads)
        runs.append((float(output.split()[-1]), memory))
    return _row(f"network alone, both directions, 192^3, `{model}`", threads, runs)


def whole_command(model: str, threads: int, folder: Path) -> str:
    """`robustdir register` of a 192^3 pair, from reading to the last file written."""
    _run([sys.executable, "-c", _PAIR, str(folder)], threads)
    pair, runs = folder / "pair_0000", []
    for number in range(3):
        command = [sys.executable, "-m", "RobustDIRLib", "register", str(pair / "fixed.nii.gz")]
        command += [str(pair / "moving.nii.gz"), "-o", str(folder / f"run_{number}"), "--model", model]
        runs.append(_run([*command, "--threads", str(threads)], threads)[1:])
    return _row("`robustdir register`, 192^3, all outputs", threads, runs)


def training_share(folder: Path) -> str:
    """Share of the loop's time that network, loss and optimiser take: 40 steps at 64^3, default pyramid."""
    run = {
        "network": {"kind": "pyramid"},
        "banks": [str(folder / "bank")],
        "pairs": {"side": 64, "reduction": 2, "mirror": True},
        "steps": 40,
        "threads": 1,
        "validation_pairs": 0,
    }
    (folder / "run.json").write_text(json.dumps(run))
    robustdir = [sys.executable, "-m", "RobustDIRLib"]
    _run([*robustdir, "synthesize", "--bank", "--count", "2", "--side", "80", "-o", str(folder / "bank")], 1)
    output, _, _ = _run([*robustdir, "pretrain", str(folder / "run.json"), "-o", str(folder / "training")], 1)
    last = [record for record in map(json.loads, output.splitlines()) if record["kind"] == "step"][-1]
    return (
        f"Training loop, 64^3, one thread and one worker: {last['seconds_per_step']:.2f} s a step, "
        f"{100 * last['network_share']:.1f} % of it in the network, its loss and its optimiser."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="generic")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(HEADER, flush=True)
        print(network_alone(options.model, options.threads), flush=True)
        print(whole_command(options.model, options.threads, Path(name)), flush=True)
        print(f"\n{training_share(Path(name))}", flush=True)


if __name__ == "__main__":
    main()
