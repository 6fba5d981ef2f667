"""Processor seconds and memory of the metrics of pairs, 192 voxels a side and 35 labels, on one core, as Markdown rows.

    python Testing/Benchmarks/metrics.py --pairs 5

Each row is a process of its own. Peak memory is that of the whole process with its two images, two label maps and
Jacobian determinant (150 MB); "growth" is what the peak gained from the second pair to the last, to tell whether a
thousand pairs stream.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))

from RobustDIRLib.evaluation.label_scores import evaluate_labels  # noqa: E402
from RobustDIRLib.evaluation.landmarks import summarise_errors  # noqa: E402
from RobustDIRLib.evaluation.regularity import regularity, regularity_per_label  # noqa: E402
from RobustDIRLib.evaluation.similarity import ncc, nmi, ssim  # noqa: E402
from RobustDIRLib.evaluation.surfaces import surface_distances_per_label  # noqa: E402
from RobustDIRLib.geometry import Grid  # noqa: E402
from RobustDIRLib.io.images import Image  # noqa: E402

SIDE, LABELS = 192, 35
GRID = Grid((SIDE,) * 3, (0.9, 1.2, 1.5))
HEADER = f"""\
| {SIDE}^3, {LABELS} labels, one core | processor seconds: mean | slowest | peak memory, GiB | growth, GiB |
|---|---|---|---|---|"""


def smooth(rng: np.random.Generator, coarse: int, side: int = SIDE) -> np.ndarray:
    """Noise of a coarse grid, drawn to the full side."""
    return zoom(rng.normal(size=(coarse,) * 3).astype(np.float32), side / coarse, order=1)


def organs(rng: np.random.Generator) -> np.ndarray:
    """Compact structures: the parts of a ball nearest to each of so many points, with ragged borders."""
    places = np.stack(np.meshgrid(*[np.arange(SIDE, dtype=np.float32)] * 3, indexing="ij"))
    places += np.stack([8 * smooth(rng, 16) for _ in range(3)])
    centres = rng.uniform(0.2 * SIDE, 0.8 * SIDE, (LABELS, 3))
    return _nearest(np.sum((places - SIDE / 2) ** 2, axis=0) < (0.45 * SIDE) ** 2, places, centres)


def _nearest(inside: np.ndarray, places: np.ndarray, centres: np.ndarray) -> np.ndarray:
    least, labels = np.full(inside.shape, np.inf, np.float32), np.zeros(inside.shape, np.uint8)
    for number, centre in enumerate(centres, start=1):
        apart = sum((axis - c) ** 2 for axis, c in zip(places, centre, strict=True))
        labels[nearer := apart < least] = number
        least[nearer] = apart[nearer]
    return np.where(inside, labels, 0).astype(np.uint8)


def shapes(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Shapes strewn over the whole volume, so that no label's box is smaller: the worst case."""
    most, labels = np.full((side,) * 3, -np.inf, np.float32), np.zeros((side,) * 3, np.uint8)
    for number in range(1, LABELS + 1):
        noise = smooth(rng, 12, side)
        labels[higher := noise > most] = number
        most[higher] = noise[higher]
    return labels


def pair(make: Callable[[np.random.Generator], np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Label maps and images a smooth displacement of some voxels apart, and a Jacobian determinant."""
    rng = np.random.default_rng(seed)
    fixed = make(rng)
    image = gaussian_filter(20 * fixed.astype(np.float32), 1)
    places = np.indices(fixed.shape, np.float32)
    for axis in range(3):
        places[axis] += 3 * smooth(rng, 8)
    warped = map_coordinates(fixed, places, order=0, mode="nearest")
    moved = map_coordinates(image, places, order=1, mode="nearest")
    jacobian = np.exp(0.3 * smooth(rng, 12))
    return {"fixed": fixed, "warped": warped, "image": image, "moved": moved, "jacobian": jacobian}


def distances(data: dict[str, np.ndarray]) -> None:
    """HD95, ASSD and mean distance to agreement of all labels."""
    assert len(surface_distances_per_label(data["fixed"], data["warped"], GRID)) == LABELS


def everything(data: dict[str, np.ndarray]) -> None:
    """All metrics of a pair that need no transform."""
    mask = data["fixed"] > 0
    found = evaluate_labels(Image(data["fixed"], GRID), Image(data["warped"], GRID))
    assert found.mean(lambda one: one.distances.hd95_mm).defined
    assert ssim(data["image"], data["moved"], mask).defined
    assert ncc(data["image"], data["moved"], mask).defined and nmi(data["image"], data["moved"], mask).defined
    regularity(data["jacobian"], mask)
    regularity_per_label(data["jacobian"], data["fixed"])
    summarise_errors(np.linalg.norm(np.random.default_rng(0).normal(size=(300, 3)), axis=1))


ROWS = {
    "surface distances, compact structures": (organs, distances),
    "surface distances, shapes strewn over the volume": (shapes, distances),
    "all metrics, compact structures": (organs, everything),
}


def measure(name: str, pairs: int) -> str:
    """A row, measured in this process."""
    make, task = ROWS[name]
    seconds, peaks = [], []
    for seed in range(pairs):
        data = _made_elsewhere(name, seed)
        begun = time.process_time()
        task(data)
        seconds.append(time.process_time() - begun)
        unit = 2**30 if sys.platform == "darwin" else 2**20
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
    growth = peaks[-1] - peaks[min(1, pairs - 1)]
    return f"| {name} | {np.mean(seconds):.1f} | {max(seconds):.1f} | {peaks[-1]:.2f} | {growth:.2f} |"


def _made_elsewhere(name: str, seed: int) -> dict[str, np.ndarray]:
    """A pair made by a process of its own, whose memory is not that of the metrics."""
    command = [sys.executable, __file__, "--make", name, "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        kinds = {"fixed": np.uint8, "warped": np.uint8, "image": np.float32, "moved": np.float32}
        kinds["jacobian"] = np.float32
        size = SIDE**3
        return {
            key: np.frombuffer(process.stdout.read(size * np.dtype(kind).itemsize), kind).reshape((SIDE,) * 3)
            for key, kind in kinds.items()
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        for array in pair(ROWS[options.make][0], options.seed).values():
            sys.stdout.buffer.write(np.ascontiguousarray(array).tobytes())
    elif options.row:
        print(measure(options.row, options.pairs), flush=True)
    else:
        print(HEADER, flush=True)
        for name in ROWS:
            command = [sys.executable, __file__, "--row", name, "--pairs", str(options.pairs)]
            subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)


if __name__ == "__main__":
    main()
