"""Forecasts of runs: what they grow with, what they learn of this machine, and what they say will not do."""

import json
import time
from dataclasses import replace

import pytest

from RobustDIRLib.runner.outlook import Paces, Work, epochs_within, foresee, paces_of

WORK = Work("finetune", False, pairs=12, epochs=7, voxels=150_000, validation=3, test=5, scans=20)
GIB = 2**30


def write_run(folder, kind: str, seconds: float, voxels: int, device: str = "cpu") -> None:
    folder.mkdir(parents=True)
    settings = {"dataset": "x", "judge": "auto"} if kind == "finetune" else {"banks": ["x"]}
    (folder / "run.json").write_text(json.dumps(settings))
    steps = [{"kind": "step", "step": k, "seconds_per_step": seconds, "voxels": voxels} for k in (1, 2, 3)]
    records = [{"kind": "start", "step": 0, "device": device}, *steps, {"kind": "end", "step": 3}]
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.mark.parametrize(
    "more", [{"pairs": 24}, {"epochs": 14}, {"voxels": 300_000}, {"validation": 9}, {"test": 40}, {"scans": 80}]
)
def test_more_work_takes_longer(more):
    assert foresee(replace(WORK, **more), Paces()).seconds > foresee(WORK, Paces()).seconds


def test_learning_takes_most_of_a_long_run_and_grows_with_its_steps():
    short, long = (foresee(replace(WORK, epochs=n), Paces()).seconds for n in (100, 200))
    assert 1.9 < long / short < 2.0


def test_a_machine_is_known_by_its_own_runs(tmp_path):
    assert not foresee(WORK, paces_of([tmp_path])).timed
    write_run(tmp_path / "one", "finetune", 3.0, 100_000)
    write_run(tmp_path / "two", "finetune", 5.0, 100_000)
    write_run(tmp_path / "three", "finetune", 0.2, 100_000, "cuda")
    paces = paces_of([tmp_path])
    assert paces.own[("finetune", "cpu")] == pytest.approx(40.0)
    outlook = foresee(replace(WORK, validation=0, test=0, scans=0, epochs=1000), paces)
    assert outlook.timed
    assert outlook.seconds == pytest.approx(1000 * 12 * 40 * 0.15, rel=0.01)
    assert foresee(replace(WORK, accelerated=True), paces).seconds < outlook.seconds / 10
    assert not foresee(replace(WORK, kind="pretrain"), paces).timed


def test_the_last_runs_count_and_damaged_ones_do_not(tmp_path):
    write_run(tmp_path / "old", "finetune", 100.0, 100_000)
    time.sleep(0.02)
    for number in range(8):
        write_run(tmp_path / f"new{number}", "finetune", 1.0, 100_000)
    assert paces_of([tmp_path]).own[("finetune", "cpu")] == pytest.approx(10.0)
    for number in range(8):
        (tmp_path / f"new{number}" / "records.jsonl").write_text('{"kind": "st\n[1, 2]\n{"voxels": "many"}\n')
    assert paces_of([tmp_path, tmp_path / "missing"]).own == {}


def test_ten_minutes_are_kept_and_used():
    many = replace(WORK, pairs=500, epochs=300)
    pairs, epochs = epochs_within(many, Paces(), 600)
    seconds = foresee(replace(many, pairs=pairs, epochs=epochs), Paces()).seconds
    assert 500 < seconds <= 600 and epochs > 1
    assert epochs_within(replace(WORK, pairs=3, epochs=300), Paces(), 1e9) == (3, 5)
    assert epochs_within(replace(WORK, voxels=1e9), Paces(), 600) == (1, 1)


@pytest.mark.parametrize(
    ("memory", "disk", "said"), [(16 * GIB, GIB, ""), (16 * GIB, 10_000_000, "of disk"), (GIB // 2, GIB, "of memory")]
)
def test_what_will_not_do_is_said_before(memory, disk, said):
    problem = foresee(WORK, Paces(), memory, disk).problem
    assert (said in problem) and bool(problem) == bool(said)


def test_large_pairs_are_cut_and_so_fit():
    outlook = foresee(replace(WORK, voxels=1e8), Paces(), 16 * GIB, 100 * GIB)
    assert outlook.cut and outlook.problem == "" and outlook.memory < 16 * GIB


def test_the_disk_holds_a_checkpoint_that_replaces_another(tmp_path):
    assert foresee(replace(WORK, model_bytes=100_000_000), Paces()).disk > 2 * 4 * 100_000_000
