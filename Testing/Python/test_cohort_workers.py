"""Processes side by side: one that dies costs one result, a killed run leaves nothing half done and nothing running."""

import csv
import os
import random
import signal
import subprocess
import time
from dataclasses import replace

import pytest

import cohort_cases as cases
from RobustDIRLib.cohort import workers
from RobustDIRLib.cohort.results import AS_THEY_ARE, Key, State, look
from RobustDIRLib.cohort.work import Ended, Task, WorkSettings
from RobustDIRLib.cohort.workers import Lost, work_through

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills processes by signals")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    cases.write_dataset(folder, 4)
    return folder


def results_of(folder):
    return sorted(path for path in (folder / "results").rglob("*") if path.is_file())


def rows_of(folder):
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_process_that_dies_costs_its_result_alone(dataset, tmp_path):
    opened = cases.open_dataset(dataset).cases
    broken = replace(opened[1], fixed=cases.DeadlyFile(dataset / "case1" / "fixed.nii.gz"))
    methods = (cases.Still("one"), cases.Still("two"))
    tasks = [Task(broken, tuple((m, AS_THEY_ARE) for m in methods)), Task(opened[2], ((methods[0], AS_THEY_ARE),))]
    events = []
    work_through(tasks, 2, WorkSettings(tmp_path, pictures=0), tmp_path, events.append)
    ended = [event for event in events if isinstance(event, Ended)]
    lost = [event for event in events if isinstance(event, Lost)]
    assert [event.key for event in ended] == [Key("case2", "one")]
    assert ended[0].reason == ""
    assert [event.task.places()[0] for event in lost] == [Key("case1", "one"), Key("case1", "two")]
    assert all("signal 9" in event.why for event in lost)
    assert look(tmp_path, Key("case2", "one")).state is State.DONE
    assert [path.name for path in results_of(tmp_path)] == ["case2.json"]


def test_nothing_runs_on_once_the_main_process_is_killed(dataset, tmp_path):
    report = tmp_path / "pids"
    process = subprocess.Popen(cases.command("work_once", dataset, report))
    wait_for(report.exists, 120)
    method, worker = map(int, report.read_text().split())
    assert running(method)
    assert running(worker)
    process.kill()
    process.wait()
    wait_for(lambda: not running(method) and not running(worker), 20)


@pytest.mark.parametrize(
    ("count", "visible", "rank", "ranks", "places", "taken"),
    [
        (4, None, 0, 1, range(5), ["0", "1", "2", "3", "0"]),
        (4, None, 1, 2, range(2), ["1", "3"]),
        (2, "5,7", 0, 1, range(2), ["5", "7"]),
        (1, "6", 0, 1, range(2), ["6", "6"]),
        (0, None, 0, 1, range(1), [None]),
    ],
)
def test_gpus_are_taken_in_turn(monkeypatch, count, visible, rank, ranks, places, taken):
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    found = []
    for place in places:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        workers._take_gpu(place)
        found.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert found == taken


def wait_for(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def running(pid: int) -> bool:
    """Whether a process is at work; one that has ended but is not yet taken note of is not."""
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(status) and not status.startswith("Z")


def test_killed_at_any_moment_and_resumed_each_result_is_there_once(dataset, tmp_path):
    chance, kept, kills = random.Random(4), {}, 0
    for _ in range(30):
        process = subprocess.Popen(cases.command("main", dataset, tmp_path, "still", "good", "fair"), stdout=-1)
        for line in process.stdout:
            if kills < 3 and not line.startswith(b"said"):
                time.sleep(chance.uniform(0, 0.15))
                process.kill()
                kills += 1
                break
        process.stdout.close()
        if process.wait() == 0:
            break
        now = {p: p.stat().st_mtime_ns for p in results_of(tmp_path) if not p.name.startswith(".")}
        assert all(now[path] == time for path, time in kept.items()), "a finished result was made again"
        kept = now
    assert process.returncode == 0
    assert kills == 3
    assert kept
    keys = {Key(f"case{n}", method) for n in range(4) for method in ("still", "good", "fair")}
    assert set(results_of(tmp_path)) == {key.path(tmp_path) for key in keys}
    assert all(look(tmp_path, key).state is State.DONE for key in keys)
    rows = rows_of(tmp_path)
    assert sorted((row["case"], row["method"]) for row in rows) == sorted((key.case, key.method) for key in keys)
    assert all(row["status"] == "done" for row in rows)
    assert not list(tmp_path.glob(".running/*"))


def test_two_ranks_at_once_share_the_work(dataset, tmp_path):
    environment = {**os.environ, "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "r", "MASTER_PORT": "29500"}
    command = cases.command("main", dataset, tmp_path, "still", "good")
    ranks = [
        subprocess.Popen(command, stdout=-1, text=True, env={**environment, "RANK": str(rank)}) for rank in range(2)
    ]
    outputs = [rank.communicate()[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    made = [{line.split()[0] for line in output.splitlines() if line.startswith("case")} for output in outputs]
    assert made == [{"case0", "case2"}, {"case1", "case3"}]
    assert len(rows_of(tmp_path)) == 8
    assert all(row["status"] == "done" for row in rows_of(tmp_path))


@pytest.mark.long
def test_an_interrupted_run_ends_its_processes(dataset, tmp_path):
    report = tmp_path / "pids"
    process = subprocess.Popen(cases.command("work_once", dataset, report), stderr=subprocess.DEVNULL)
    wait_for(report.exists, 120)
    pids = list(map(int, report.read_text().split()))
    process.send_signal(signal.SIGINT)
    process.wait(30)
    wait_for(lambda: not any(map(running, pids)), 20)
