"""Stands in for a subcommand of `robustdir`: keeps records, heeds its stop and pause files, without torch.

`python runner_process.py SUBCOMMAND --output FOLDER [--steps N] [--seconds S] [--resume] [--deaf] ...`
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def settings(subcommand: str) -> dict:
    """What tells the kind of a run by its `run.json` alone."""
    return {"banks": ["bank"], "steps": 9} if subcommand == "pretrain" else {"dataset": "d", "judge": "auto"}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("subcommand")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.01)
    for flag in ("resume", "deaf", "child", "lock"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--fail", default="")
    args = parser.parse_args()
    if args.lock:
        sys.path.insert(0, str(Path(__file__).parents[2] / "RobustDIR"))
        from RobustDIRLib.io.lock import Rank, locked

        with locked(args.output, Rank.alone()):
            return work(args)
    return work(args)


def work(args) -> int:
    folder = args.output
    folder.mkdir(exist_ok=True)
    if args.child:
        print(f"child {subprocess.Popen(SLEEPER).pid}", flush=True)
    (folder / "run.json").write_text(json.dumps(settings(args.subcommand)))
    checkpoint = folder / "checkpoint.pt"
    step = int(checkpoint.read_text(encoding="utf-8")) if args.resume else 0
    records = folder / "records.jsonl"
    earlier = records.read_text(encoding="utf-8").splitlines(True) if args.resume else []
    whole = [line for line in earlier if line.endswith("\n")]  # a full disk cuts the last one short
    records.write_text("".join(line for line in whole if json.loads(line)["step"] <= step))

    def tell(kind: str, **values) -> None:
        with records.open("a") as file:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")

    tell("start", steps=args.steps, epochs=args.steps // 5)
    while step < args.steps:
        time.sleep(args.seconds)
        step += 1
        tell("step", steps=args.steps, epoch=step // 5, loss=1 / step, seconds_per_step=args.seconds)
        if step % 5 == 0:
            tell("epoch", epoch=step // 5, dice=0.5 + 0.01 * (step // 5), tre_mm=9 - step / 5)
        half = folder / "checkpoint.half"
        half.write_text(str(step))
        half.replace(checkpoint)  # whole at any moment, after its records, as a training's is
        if args.fail:
            print(args.fail, file=sys.stderr)
            return 2
        if (folder / "pause").exists() and not args.deaf:
            tell("pause")
            while (folder / "pause").exists() and not (folder / "stop").exists():
                time.sleep(0.01)
        if (folder / "stop").exists() and not args.deaf:
            (folder / "stop").unlink()
            tell("stop")
            return 0
    tell("end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
