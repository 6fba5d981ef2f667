"""Our own method beside its rivals on real scans that are not part of the project: one Markdown row a set and method.

    python Testing/Benchmarks/rivals.py DATA --methods linear,generic,elastix-quick,convexadam --sets liver --threads 1

DATA holds any of the folders liver_4dmri, mouse_brain and hippocampus, of which a few pairs are taken. Every
registration runs in a process of its own, all alike. Where the machine does other work at the same time, look at the
CPU seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))

from RobustDIRLib.baselines.method import Pair, find_method, list_methods  # noqa: E402
from RobustDIRLib.baselines.rivals import versions  # noqa: E402
from RobustDIRLib.baselines.timing import Cost, measured  # noqa: E402
from RobustDIRLib.errors import InputError  # noqa: E402
from RobustDIRLib.evaluation.metrics import dice_per_label, folding_percent, sdlogj, tre  # noqa: E402
from RobustDIRLib.io.displacements import apply_to_points, sample_transform  # noqa: E402
from RobustDIRLib.io.images import Image, read_image  # noqa: E402
from RobustDIRLib.io.labels import read_labels  # noqa: E402
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks  # noqa: E402
from RobustDIRLib.registration.transforms import jacobian, warp_labels  # noqa: E402

HEADER = """\
| set | pairs | method | measure | mean | folding, % | SDlogJ | wall, s | CPU, s | peak memory, GiB |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Case:
    """A pair and the truth about it: landmarks, or label maps, of the fixed and of the moving image."""

    pair: Pair
    landmarks: tuple[Landmarks, Landmarks] | None = None
    labels: tuple[Image, Image] | None = None


def liver(data: Path) -> list[Case]:
    """Exhale is fixed, one phase is moving; expert landmarks in the liver."""
    folder, names = data / "liver_4dmri" / "subject19", ("exhale", "cyc_1_6")
    images = [read_image(folder / f"{name}.nii.gz") for name in names]
    fixed, moving = (read_landmarks(folder / f"{name}_liver_landmarks.csv") for name in names)
    return [Case(Pair(*images), landmarks=(fixed, moving))]


def _labelled(folder: Path, pairs: int) -> list[Case]:
    files = sorted((folder / "imagesTr").glob("*.nii.gz"))[: 2 * pairs]
    images, labels = [read_image(f) for f in files], [read_labels(folder / "labelsTr" / f.name) for f in files]
    return [Case(Pair(*images[k : k + 2]), labels=(labels[k], labels[k + 1])) for k in range(0, len(files) - 1, 2)]


def mouse(data: Path) -> list[Case]:
    """The first neighbours by name; 37 labels."""
    return _labelled(data / "mouse_brain", 1)


def hippocampus(data: Path) -> list[Case]:
    """The first two pairs of neighbours by name; two labels."""
    return _labelled(data / "hippocampus", 2)


SETS: dict[str, Callable[[Path], list[Case]]] = {"liver": liver, "mouse": mouse, "hippocampus": hippocampus}


@dataclass(frozen=True)
class Figures:
    """What came of one pair: TRE in mm, or Dice; regularity; cost."""

    value: float
    folding: float
    sdlogj: float
    cost: Cost


def run(case: Case, method: str, threads: int) -> Figures:
    """One pair by one method."""
    outcome, cost = measured(find_method(method), case.pair, threads)
    field = sample_transform(outcome.transform, case.pair.fixed.grid)
    determinant = jacobian(field).array
    if case.landmarks:
        fixed, moving = case.landmarks
        value = float(np.mean(tre(apply_to_points(outcome.transform, fixed.points), moving.points)))
    else:
        assert case.labels
        warped = warp_labels(case.labels[1], field).array
        dice = dice_per_label(case.labels[0].array, warped)
        value = float(np.mean([m.value for m in dice.values() if m.value is not None]))
    return Figures(value, folding_percent(determinant), sdlogj(determinant), cost)


def row(name: str, cases: list[Case], method: str, threads: int) -> str:
    """A line of the table: means over pairs, the highest peak."""
    found = [run(case, method, threads) for case in cases]
    value, folding, spread, wall, cpu = np.mean(
        [(f.value, f.folding, f.sdlogj, f.cost.wall_s, f.cost.cpu_s) for f in found], axis=0
    )
    peak = max(f.cost.peak_bytes for f in found) / 2**30
    measure = "TRE, mm" if cases[0].landmarks else "Dice"
    return (
        f"| {name} | {len(cases)} | {method} | {measure} | {value:.3f} | {folding:.3f} | {spread:.2f} "
        f"| {wall:.1f} | {cpu:.1f} | {peak:.2f} |"
    )


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", default=",".join(list_methods()))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(f"{', '.join(f'{name} {number}' for name, number in versions().items())}; {options.threads} threads\n")
    print(HEADER)
    for name in options.sets.split(","):
        cases = SETS[name](options.data)
        for method in options.methods.split(","):
            try:
                print(row(name, cases, method, options.threads), flush=True)
            except InputError as error:
                print(f"| {name} | {len(cases)} | {method} | {error} | | | | | | |", flush=True)


if __name__ == "__main__":
    main()
