"""The README's table of rivals: every method on the same pairs, on one working grid, by `robustdir evaluate`.

    python Testing/Benchmarks/rivals.py DATA -o FOLDER --methods none,linear,generic,convexadam --sets liver,hippocampus

DATA holds any of the folders liver_4dmri, mouse_brain, hippocampus, lung_4dct and brain_t1_labels. FOLDER keeps an
evaluation a set: started again, the script goes on where it was, and methods can be added. Every registration runs in a
process of its own, all alike. Where the machine does other work at the same time, look at the processor seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))

from RobustDIRLib.cli import main as robustdir  # noqa: E402

HEADER = """\
| set | method | pairs | measure | mean | folding, % | SDlogJ | processor s a pair | peak memory, GiB |
|---|---|---|---|---|---|---|---|---|"""


def _liver_case(subject: str, phase: str) -> dict[str, str]:
    case = {"name": f"{subject}-{phase}", "subject": subject}
    for role, name in (("fixed", "exhale"), ("moving", phase)):
        case[role] = f"{subject}/{name}.nii.gz"
        case[f"{role}_landmarks"] = f"{subject}/{name}_liver_landmarks.csv"
    return case


def _lung_case(name: str, fixed: str, moving: str) -> dict[str, str]:
    case = {"name": name, "subject": name, "preset": "lung-ct"}
    for role, phase in (("fixed", fixed), ("moving", moving)):
        case[role] = f"{name}/{phase}.nii.gz"
        case[f"{role}_landmarks"] = f"{name}/{phase}_landmarks.csv"
    return case


def _brain_case(fixed: str, moving: str) -> dict[str, str]:
    case = {"name": f"{fixed}-{moving}", "preset": "brain-mri"}
    for role, person in (("fixed", fixed), ("moving", moving)):
        case[role], case[f"{role}_labels"] = f"{person}_t1.nii.gz", f"{person}_seg.nii.gz"
    return case


_LUNGS = (("case01", "T00", "T50"), ("case09", "T00", "T50"), ("popi", "phase00", "phase50"))
_BRAINS = (("1000", "1001"), ("1005", "1107"), ("1110", "1113"))
_LIVERS = (("subject18", "cyc_3_10"), ("subject19", "cyc_1_6"), ("subject19", "cyc_1_9"))
# As `robustdir-dataset.json` has them, but for the folder: of a breathing liver exhale is fixed, of a lung inhale,
# expert landmarks; of labelled scans the neighbours by name.
_SCANS = {"image": "imagesTr/{subject}.nii.gz", "labels": "labelsTr/{subject}.nii.gz"}
SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "liver": ("liver_4dmri", {"cases": [_liver_case(*one) for one in _LIVERS]}),
    "mouse": ("mouse_brain", {"scans": _SCANS, "pairing": "neighbours", "limit": 8}),
    "hippocampus": ("hippocampus", {"scans": _SCANS, "pairing": "neighbours", "limit": 20}),
    "lung": ("lung_4dct", {"cases": [_lung_case(*one) for one in _LUNGS]}),
    "brain": ("brain_t1_labels", {"cases": [_brain_case(*one) for one in _BRAINS]}),
}


def evaluate(name: str, data: Path, output: Path, options: list[str]) -> Path:
    """Evaluate a set; gives the folder of the evaluation."""
    folder, settings = SETS[name]
    home = output / name
    home.mkdir(parents=True, exist_ok=True)
    described = home / "robustdir-dataset.json"
    described.write_text(json.dumps({"folder": str((data / folder).absolute()), "name": name, **settings}))
    robustdir(["evaluate", str(described), "-o", str(home / "evaluation"), "--worst", "0", *options])
    return home / "evaluation"


def rows(name: str, folder: Path) -> Iterator[str]:
    """A line a method: means over pairs, the highest peak."""
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        results = list(csv.DictReader(file))
    for method in dict.fromkeys(row["method"] for row in results):
        mine = [row for row in results if row["method"] == method and row["status"] == "done"]
        measure = "tre_mean_mm" if any(row["tre_mean_mm"] for row in mine) else "dice"
        cells = [_mean(mine, measure, 3), _mean(mine, "folding_percent", 3), _mean(mine, "sdlogj", 2)]
        peak = max((float(row["peak_gib"]) for row in mine), default=float("nan"))
        words = "TRE, mm" if measure == "tre_mean_mm" else "Dice"
        yield "| " + " | ".join([name, method, str(len(mine)), words, *cells, _mean(mine, "cpu_s", 1), f"{peak:.2f} |"])


def _mean(results: Iterable[dict[str, str]], measure: str, digits: int) -> str:
    values = [float(row[measure]) for row in results if row[measure]]
    return f"{statistics.fmean(values):.{digits}f}" if values else ""


def main() -> None:
    """Evaluate the sets that are there, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("rivals"))
    parser.add_argument("--methods", default="none,linear,generic,convexadam,demons")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--spacing", default="automatic")
    parser.add_argument("--threads", default="1")
    options = parser.parse_args()
    words = ["--methods", options.methods, "--spacing", options.spacing, "--threads", options.threads]
    lines = []
    for name in options.sets.split(","):
        if (options.data / SETS[name][0]).is_dir():
            lines += rows(name, evaluate(name, options.data, options.output, words))
    print(HEADER, *lines, sep="\n")


if __name__ == "__main__":
    main()
