"""What refinement costs, part by part, and what it gains on a known deformation and on real scans.

    python Testing/Benchmarks/refinement.py --side 192 --threads 2
    python Testing/Benchmarks/refinement.py DATA --sets lungs,t1 --threads 2

Seconds of the processor are given beside those of the wall: only they can be compared on a machine that is shared.
DATA and its sets are those of accuracy.py; each pair is registered without refinement, then with it.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import accuracy  # noqa: E402
import known_truth as known  # noqa: E402

from RobustDIRLib import warping  # noqa: E402
from RobustDIRLib.model_store import load_model  # noqa: E402
from RobustDIRLib.networks.deformation import Deformation  # noqa: E402
from RobustDIRLib.registration.refinement.refine import Refinement, WorkingPair, refine  # noqa: E402
from RobustDIRLib.registration.refinement.settings import QUALITIES  # noqa: E402
from RobustDIRLib.synthesis.random import generator, smooth_noise  # noqa: E402

PARTS = {
    "both images to the middle": "lattices",
    "similarity and its gradient": "similarity_gradient",
    "roughness and its gradient": "roughness",
    "halves of the network's result": "of",
    "folding, inverse and judgement of a level": "_verdict",
    "whole transform": "whole",
}


def texture(side: int) -> torch.Tensor:
    """Blobs of 4 and 12 voxels in [-1, 1]."""
    g = generator(0)
    coarse, fine = (smooth_noise((side,) * 3, max(2, side // n), g) * w for n, w in ((12, 0.5), (4, 0.35)))
    return (coarse + fine).clamp(-1, 1)


def shares(profile: cProfile.Profile, whole: float) -> None:
    """Print what each part took of the processor."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for part, function in PARTS.items():
        took = sum(v[3] for (file, _, name), v in stats.items() if name == function and "refinement" in file)
        print(f"| {part} | {took:.1f} | {100 * took / whole:.0f} % |")
    sampling = sum(v[2] for (_, _, name), v in stats.items() if "grid_sampler" in name)
    print(f"| (of all these: sampling images and displacements) | {sampling:.1f} | {100 * sampling / whole:.0f} % |")


def known_deformation(side: int, quality: str) -> None:
    """Refine a texture against itself under a known deformation, from no motion."""
    moving = texture(side)
    truth = known.smooth_displacement(moving.shape[2:], 1, 2.0)
    pair = WorkingPair(warping.warp(moving, truth), moving, (1.0, 1.0, 1.0))
    still = Deformation(torch.zeros_like(truth), torch.zeros_like(truth))
    profile, begun = cProfile.Profile(time.process_time), time.process_time()
    result: Refinement = profile.runcall(refine, pair, still, QUALITIES[quality].levels)
    whole = time.process_time() - begun
    found = result.deformation
    errors = [float((u - truth).norm(dim=1).mean()) for u in (still.displacement, found.displacement)]
    residual = float(warping.compose(found.inverse, found.displacement).norm(dim=1).mean())
    print(f"{side}^3 voxels, {quality}: {result.seconds:.1f} s, {whole:.1f} s of the processor")
    print(f"error {errors[0]:.2f} voxels before, {errors[1]:.3f} after; inverse off by {residual:.3f}")
    print("\n| part | s of the processor | share |\n|---|---|---|")
    shares(profile, whole)


def main() -> None:
    """Print the parts, or one row of accuracy.py for each pair and quality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--sets", default="lungs,t1,liver,ctmr")
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--quality", default="balanced", choices=("balanced", "best"))
    parser.add_argument("--model", default="generic")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.data is None:
        with torch.inference_mode():
            known_deformation(options.side, options.quality)
        return
    print(accuracy.HEADER, flush=True)
    model = load_model(options.model)
    for name in options.sets.split(","):
        for quality in ("fast", options.quality):
            for row in accuracy.SETS[name][1](accuracy.Bench(options.data, model, options.threads, quality)):
                print(row, quality, flush=True)


if __name__ == "__main__":
    main()
