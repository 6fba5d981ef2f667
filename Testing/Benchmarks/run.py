"""`make bench`: the figures of the README. Accuracy needs real scans: `ROBUSTDIR_DATA=FOLDER make bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run every benchmark, each in a process of its own."""
    commands = [["timing.py"], ["network.py"], ["paper_networks.py"], ["metrics.py"], ["panel.py"]]
    commands += [["cohort.py"], ["cohort.py", "--empty", "1000"], ["cohort.py", "--spread", "4", "--side", "96"]]
    data = os.environ.get("ROBUSTDIR_DATA")
    commands += [["accuracy.py", data]] if data else []
    for script, *arguments in commands:
        print(f"\n`python Testing/Benchmarks/{' '.join([script, *arguments])}`\n", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *arguments], check=script != "panel.py")  # needs Qt
    if not data:
        print("\nSet ROBUSTDIR_DATA to a folder of scans for the accuracy table (see accuracy.py).")


if __name__ == "__main__":
    main()
