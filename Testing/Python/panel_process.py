"""Stands in for the registering process: answers at once, without torch, in a way the test chooses.

`python panel_process.py MODE register FIXED MOVING --output FOLDER ... --hand-over FOLDER`
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "RobustDIR"))

from RobustDIRLib.panelparts import exchange

SHIFT = (3.0, -2.0, 1.0)  # fixed to moving, mm, LPS
RECORD = {
    "measures": {
        "folding_percent": 0.25,
        "sdlogj": 0.125,
        "inverse_residual_mm": {"mean": 0.1, "p95": 0.2, "max": 0.3},
        "tre": {"landmarks": []},
        "dice": [],
    },
    "device": "cpu",
    "alignment": {"kind": "none"},
    "timings_s": {"network": 0.01},
    "model": {"name": "standin"},
}


def tell(event: str, **values) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def option(words: list[str], name: str) -> Path:
    return Path(words[words.index(name) + 1])


def register(words: list[str]) -> None:
    fixed, moving = (exchange.read(Path(word)) for word in words[1:3])
    (option(words, "--output")).mkdir()
    (option(words, "--output") / "run.json").write_text(json.dumps(RECORD))
    folder = option(words, "--hand-over")
    folder.mkdir()
    shift = np.array(SHIFT, np.float32) * np.array([-1, -1, 1], np.float32)  # components in RAS
    for name, (array, grid), sign in (("transform_field", fixed, 1), ("inverse_field", moving, -1)):
        exchange.write(folder / f"{name}.mha", np.broadcast_to(sign * shift, (*array.shape, 3)), grid)
    exchange.write(folder / "warped.mha", fixed[0].astype(np.float32), fixed[1])
    exchange.write(folder / "jacobian.mha", np.ones(fixed[1].shape, np.float32), fixed[1])


def main(mode: str, words: list[str]) -> int:
    for stage in ("read", "align", "network"):
        tell("stage", stage=stage, done=False)
    if mode == "hang":
        time.sleep(600)
    if mode == "refuse":
        tell("error", message="the images share no space.")
        return 2
    if mode == "crash":
        raise KeyError("no more")
    if mode == "full":
        raise OSError(28, "No space left on device")
    register(words)
    if mode == "warn":
        tell("warning", message="the images hardly overlap.")
    tell("result", folder=str(option(words, "--output")), seconds=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
