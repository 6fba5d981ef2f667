"""Hit rate of a run's judgement of itself: right registrations called failed, and failures made from them that are not.

    python Testing/Benchmarks/judgement.py DATA --threads 2

DATA holds any of the folders in `PAIRS`. Every pair is registered as it lies, on images of 60^3 voxels, by the defaults
without refinement: that is right. Then failures are made of it, each judged as `register` would:

- turned: by a random rotation of 60 to 180 degrees, taken as aligned;
- shifted: by half of the object's size in a random direction, taken as aligned;
- other: the moving image of another body part;
- noise: smooth noise instead of the moving image;
- bent: a random deformation of about an eighth of the object's size on top of the right result;
- mirrored: left and right of the moving image exchanged;
- part, right: the moving image cut to a box of 60 % of its sides.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from known_truth import smooth_displacement  # noqa: E402
from poses import judged, small  # noqa: E402

from RobustDIRLib.io.images import Image  # noqa: E402
from RobustDIRLib.model_store import load_model  # noqa: E402
from RobustDIRLib.registration.alignment import align  # noqa: E402
from RobustDIRLib.registration.content import Box  # noqa: E402
from RobustDIRLib.registration.judgement import Judgement  # noqa: E402
from RobustDIRLib.registration.linear import Linear, LinearAlignment  # noqa: E402
from RobustDIRLib.registration.orientation import foreground  # noqa: E402

# Body part, then folder, fixed and moving file.
PAIRS = (
    ("liver", "liver_4dmri/subject18", "exhale", "cyc_3_10"),
    ("liver", "liver_4dmri/subject19", "exhale", "cyc_1_6"),
    ("liver", "liver_4dmri/subject19", "exhale", "cyc_1_9"),
    ("lung", "lung_4dct/case01", "T00", "T50"),
    ("lung", "lung_4dct/case09", "T00", "T50"),
    ("lung", "lung_4dct/popi", "phase00", "phase50"),
    ("brain", "brain_t1_labels", "1000_t1", "1001_t1"),
    ("brain", "brain_t1_labels", "1005_t1", "1107_t1"),
    ("brain", "brain_t1_labels", "1110_t1", "1113_t1"),
    ("brain", "brain_t1", "t1_A", "t1_B"),
    ("skull", "mouse_skull_ct", "A_J_ct", "AKR_J_ct"),
    ("head and trunk", "ct_mr", "sts_002_ct", "sts_002_t1"),
    ("head and trunk", "ct_mr", "sts_022_ct", "sts_022_t1"),
)
LISTED = (("mouse", "mouse_brain/imagesTr", 3), ("hippocampus", "hippocampus/imagesTr", 5))  # neighbours by name
KINDS = ("as it lies", "part, right", "turned", "shifted", "other", "noise", "bent", "mirrored")
RIGHT = KINDS[:2]


def files(data: Path) -> Iterator[tuple[str, Path, Path]]:
    """Body part and the two files of every pair that is there."""
    for part, folder, *names in PAIRS:
        fixed, moving = (data / folder / f"{name}.nii.gz" for name in names)
        if fixed.exists() and moving.exists():
            yield part, fixed, moving
    for part, folder, count in LISTED:
        held = sorted((data / folder).glob("*.nii.gz"))[: 2 * count]
        yield from ((part, held[i], held[i + 1]) for i in range(0, len(held) - 1, 2))


def moved(right: LinearAlignment, after: Linear) -> LinearAlignment:
    """A wrong alignment that is taken for right."""
    return replace(right, linear=after.after(right.linear), mirrored=False)


def attempts(
    network: torch.nn.Module, fixed: Image, moving: Image, others: list[Image], seed: int
) -> dict[str, Callable[[], Judgement]]:
    """What is judged of one pair, by kind."""
    random = np.random.default_rng(seed)
    right, shape = align(fixed, moving), foreground(moving)
    axis = random.normal(size=3)
    matrix = Rotation.from_rotvec(np.radians(random.uniform(60, 180)) * axis / np.linalg.norm(axis)).as_matrix()
    turn = Linear(matrix, shape.centre - matrix @ shape.centre)
    step = random.normal(size=3)
    shift = Linear(np.eye(3), 2 * shape.radius * step / np.linalg.norm(step))
    smooth = ndimage.gaussian_filter(random.normal(size=moving.array.shape), 2)
    noise = replace(moving, array=np.clip(smooth / (3 * smooth.std()), -1, 1).astype(np.float32))
    size = foreground(fixed).radius / 4 / fixed.grid.voxel_side
    gentle = smooth_displacement(fixed.array.shape, seed, 1.0).norm(dim=1).mean()
    bend = smooth_displacement(fixed.array.shape, seed, float(size / gentle))
    mirrored = replace(moving, array=np.ascontiguousarray(moving.array[:, :, ::-1]))
    return {
        "as it lies": lambda: judged(network, fixed, moving, right),
        "part, right": lambda: judged(network, fixed, part_of(moving), right),
        "turned": lambda: judged(network, fixed, moving, moved(right, turn)),
        "shifted": lambda: judged(network, fixed, moving, moved(right, shift)),
        "other": lambda: judged(network, fixed, others[seed % len(others)]),
        "noise": lambda: judged(network, fixed, noise),
        "bent": lambda: judged(network, fixed, moving, right, bend),
        "mirrored": lambda: judged(network, fixed, mirrored),
    }


def part_of(image: Image) -> Image:
    """A box of it about the middle."""
    z, y, x = (round(0.2 * n) for n in image.array.shape)
    return Box((z, y, x), (z, y, x)).cut(image)


def main() -> None:
    """Print each pair's judgements, then how many of each kind were called failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = load_model("generic").network
    pairs = [(part, small(fixed), small(moving)) for part, fixed, moving in files(arguments.data)]
    failed, made = Counter[str](), Counter[str]()
    for number, (part, fixed, moving) in enumerate(pairs):
        others = [one for other, _, one in pairs if other != part]
        said = {kind: make().likely_failed for kind, make in attempts(network, fixed, moving, others, number).items()}
        made.update(list(said))
        failed.update(kind for kind, ill in said.items() if ill)
        wrong = [kind for kind, ill in said.items() if ill == (kind in RIGHT)]
        print(
            f"{part} {number}: {', '.join(wrong) or 'all told rightly'}{' are told wrongly' if wrong else ''}",
            flush=True,
        )
    print("\n| what | made | said to have failed |\n|---|---|---|")
    for kind in KINDS:
        print(f"| {kind} | {made[kind]} | {failed[kind]} |")


if __name__ == "__main__":
    main()
