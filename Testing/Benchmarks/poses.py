"""Random rotations of real scans: aligned, said to have failed, or failed in silence.

    python Testing/Benchmarks/poses.py DATA --rotations 100 --threads 2

DATA holds any of brain_t1, brain_t1_labels, liver_4dmri, lung_4dct and mouse_skull_ct. The moving image of each pair is
turned by a random rotation of up to 180 degrees and shifted by up to 60 mm; the alignment without either, composed with
both, is the truth. A pose is right where it leads points of the foreground to within a fifth of its radius of gyration.
The skulls lie turned from the beginning: their truth is what the alignment makes of them, which the landmarks confirm.
The network and the judgement then run on images of 60^3 voxels, to keep the bench short.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))

from RobustDIRLib import warping  # noqa: E402
from RobustDIRLib.geometry import Grid  # noqa: E402
from RobustDIRLib.io.images import Image, read_image  # noqa: E402
from RobustDIRLib.model_store import load_model  # noqa: E402
from RobustDIRLib.networks.deformation import Deformation  # noqa: E402
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration.alignment import align  # noqa: E402
from RobustDIRLib.registration.deformable import run_network  # noqa: E402
from RobustDIRLib.registration.judgement import Judgement, judge  # noqa: E402
from RobustDIRLib.registration.linear import Linear, LinearAlignment  # noqa: E402
from RobustDIRLib.registration.measures import regularity  # noqa: E402
from RobustDIRLib.registration.orientation import at_spacing, foreground  # noqa: E402
from RobustDIRLib.registration.poses import volume  # noqa: E402
from RobustDIRLib.registration.preprocessing import normalise, to_working_grid  # noqa: E402
from RobustDIRLib.registration.transforms import ComposedTransform, covered, jacobian  # noqa: E402

PAIRS = {
    "brain": ("brain_t1/t1_A.nii.gz", "brain_t1/t1_B.nii.gz"),
    "old brain": ("brain_t1_labels/1110_t1.nii.gz", "brain_t1_labels/1113_t1.nii.gz"),
    "liver": ("liver_4dmri/subject19/exhale.nii.gz", "liver_4dmri/subject19/cyc_1_6.nii.gz"),
    "liver, deep breath": ("liver_4dmri/subject18/exhale.nii.gz", "liver_4dmri/subject18/cyc_3_10.nii.gz"),
    "thorax": ("lung_4dct/popi/phase00.nii.gz", "lung_4dct/popi/phase50.nii.gz"),
    "skull": ("mouse_skull_ct/A_J_ct.nii.gz", "mouse_skull_ct/AKR_J_ct.nii.gz"),
}
SIDE = 60
RIGHT = 0.2  # of the radius of gyration


def small(file: Path) -> Image:
    """A scan, normalised, on at most `SIDE`^3 voxels."""
    image = normalise(read_image(file), PRESETS["generic"])
    return at_spacing(image, max((volume(image.grid) / SIDE**3) ** (1 / 3), min(image.grid.spacing)))


def turned(image: Image, turn: Linear) -> Image:
    """The image moved in space, voxels untouched."""
    grid = image.grid
    direction = tuple(map(tuple, turn.matrix @ np.asarray(grid.direction)))
    return replace(image, grid=Grid(grid.shape, grid.spacing, tuple(turn(np.asarray(grid.origin))), direction))


def random_turn(centre: np.ndarray, seed: int) -> Linear:
    """About a point, then a shift."""
    matrix = Rotation.random(random_state=seed).as_matrix()
    shift = np.random.default_rng(seed).uniform(-60, 60, 3)
    return Linear(matrix, centre - matrix @ centre + shift)


def attempt(fixed: Image, moving: Image, turn: Linear, true: Linear, network: torch.nn.Module) -> tuple[str, float]:
    """What became of one turned pair, and the alignment's seconds."""
    begun = time.process_time()
    alignment = align(fixed, turned(moving, turn))
    seconds = time.process_time() - begun
    shape = foreground(fixed)
    points = shape.centre + shape.radius * np.concatenate([np.eye(3), -np.eye(3)])
    error = float(np.linalg.norm(alignment.linear(points) - turn(true(points)), axis=1).mean())
    if error < RIGHT * shape.radius * np.cbrt(np.linalg.det(true.matrix)):
        return "aligned", seconds
    said = judged(network, fixed, turned(moving, turn), alignment).likely_failed
    return ("said to have failed" if said else "silent"), seconds


def judged(
    network: torch.nn.Module,
    fixed: Image,
    moving: Image,
    alignment: LinearAlignment | None = None,
    bend: torch.Tensor | None = None,
) -> Judgement:
    """What `register` says of a pair, without refinement.

    Args:
        network: Any.
        fixed: Scaled to [-1, 1]; its grid is the working one.
        moving: Likewise.
        alignment: Taken for right; found here if not given.
        bend: A displacement on top of the network's, `(1, 3, D, H, W)`, voxels.
    """
    alignment = alignment or align(fixed, moving)
    warped = to_working_grid(moving, fixed.grid, alignment.transform)
    with torch.inference_mode():
        found = run_network(network, fixed, warped, torch.device("cpu"))
        if bend is not None:
            found = Deformation(warping.compose(found.displacement, bend), found.inverse)
        reached = covered(fixed.grid, alignment.linear, moving.grid)
        said = judge(fixed, warped, found.displacement, reached).with_mirror(alignment.mirrored)
        composed = ComposedTransform(alignment.linear, found, fixed.grid)
        strain = regularity(jacobian(composed.field(fixed.grid)))
    return said.with_strain(strain["sdlogj"], strain["folding_percent"])


def main() -> None:
    """Print one line a pair and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rotations", type=int, default=100, help="in all, shared among the pairs")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = load_model("generic").network
    present = {name: pair for name, pair in PAIRS.items() if all((arguments.data / file).exists() for file in pair)}
    print("| pair | rotations | aligned | said to have failed | silent | s unturned | s turned, mean | most |")
    print("|---|---|---|---|---|---|---|---|")
    each = -(-arguments.rotations // max(len(present), 1))
    for name, pair in present.items():
        fixed, moving = (small(arguments.data / file) for file in pair)
        begun = time.process_time()
        true = align(fixed, moving).linear
        unturned = time.process_time() - begun
        centre = foreground(moving).centre
        results = [attempt(fixed, moving, random_turn(centre, seed), true, network) for seed in range(each)]
        counts, seconds = Counter(outcome for outcome, _ in results), [s for _, s in results]
        kinds = " | ".join(str(counts[kind]) for kind in ("aligned", "said to have failed", "silent"))
        print(
            f"| {name} | {each} | {kinds} | {unturned:.1f} | {np.mean(seconds):.1f} | {max(seconds):.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
