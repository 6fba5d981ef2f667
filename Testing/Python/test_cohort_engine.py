"""Tasks on a cluster: a worker, scheduler or client that dies costs nothing that is finished; figures are the same."""

import csv
import json
import os
import random
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import cohort_cases as cases
from forked_commands import forking_subprocess
from RobustDIRLib import clusters
from RobustDIRLib.clusters import Place
from RobustDIRLib.cohort import engine
from RobustDIRLib.cohort import run as running
from RobustDIRLib.cohort.engine import crew
from RobustDIRLib.cohort.results import AS_THEY_ARE, Key, State, look
from RobustDIRLib.cohort.run import Request, evaluate
from RobustDIRLib.cohort.task import Ended, Lost, Task, TaskSettings
from RobustDIRLib.errors import InputError
from RobustDIRLib.runner import launching
from RobustDIRLib.runner.job import Job

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills processes by signals")
pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    cases.write_dataset(folder, 4)
    return folder


@pytest.fixture(scope="module")
def cluster():
    """Two workers, for all tests of this file: they are dear to start."""
    with cases.a_cluster(2) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def evaluating(dataset, tmp_path, monkeypatch):
    """Evaluate into a folder; gives the summary and what was told. Paths are from a folder that no worker is in."""
    cases.stand_in(monkeypatch)
    monkeypatch.chdir(dataset.parent)

    def run(*methods: str, folder: str = "out", ear: cases.Ear | None = None, **wanted):
        ear = ear or cases.Ear()
        place = Path(os.path.relpath(dataset))
        request = Request(place, methods or ("still", "good"), **{"worst": 0, "threads": 1, **wanted})
        return evaluate(request, tmp_path / folder, ear), ear

    return run


@pytest.fixture
def working(tmp_path):
    """Work through tasks on the cluster, without an evaluation about it; gives what was told."""
    (tmp_path / "evaluation.json").touch()  # as it lies in every evaluation's folder

    def run(scheduler, tasks, folder=tmp_path):
        events = []
        with crew(Place(scheduler=scheduler), tasks, TaskSettings(folder, pictures=0), print) as work:
            work(events.append)
        return events

    return run


def results_of(folder):
    return sorted(path for path in (folder / "results").rglob("*") if path.is_file())


def rows_of(folder):
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def wait_for(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def at_work(pid: int) -> bool:
    """Whether a process runs; one that has ended but is not yet taken note of does not."""
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, encoding="utf-8").stdout.strip()
    return bool(status) and not status.startswith("Z")


class TestFigures:
    def test_are_those_of_one_process_to_the_last_digit(self, evaluating, cluster, tmp_path):
        methods, wanted = ("good", "fair", "refusing"), {"perturb": ("low-dose=5",), "limit": 3}
        evaluating(*methods, folder="one", **wanted)
        _, ear = evaluating(*methods, folder="many", scheduler=cluster, **wanted)
        one, many = (
            {
                path.relative_to(tmp_path / name): json.loads(path.read_text(encoding="utf-8"))["result"]
                for path in results
            }
            for name in ("one", "many")
            for results in [results_of(tmp_path / name)]
        )
        assert len(one) == len(ear.made) == 18
        for passing in ("seconds", "stamps"):
            assert all(result.pop(passing) is not None for result in [*one.values(), *many.values()])
        assert one == many
        assert (tmp_path / "one" / "pairs.csv").read_bytes() == (tmp_path / "many" / "pairs.csv").read_bytes()

    def test_are_the_same_whatever_ran_before_in_the_process(self, evaluating, tmp_path, monkeypatch):
        class Untidy(cases.Still):
            """Leaves the process in another state than it found it."""

            def register(self, pair, threads):
                import numpy as np
                import SimpleITK as sitk
                import torch

                torch.set_num_threads(2)
                sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
                np.random.seed(3)  # noqa: NPY002
                random.seed(3)
                torch.manual_seed(3)
                return super().register(pair, threads)

        monkeypatch.setitem(cases.METHODS, "untidy", Untidy("untidy"))
        wanted = {"perturb": ("low-dose=5",), "limit": 1}
        evaluating("untidy", "good", folder="after", **wanted)
        evaluating("good", folder="alone", **wanted)
        after, alone = (
            [
                json.loads(path.read_text(encoding="utf-8"))["result"]
                for path in results_of(tmp_path / name)
                if "good" in path.parts
            ]
            for name in ("after", "alone")
        )
        assert len(alone) == 2
        assert [r["values"] for r in after] == [r["values"] for r in alone]
        assert [r["landmarks"] for r in after] == [r["landmarks"] for r in alone]


class TestDeaths:
    def test_a_worker_that_dies_in_the_middle_costs_nothing(self, evaluating, cluster, tmp_path, monkeypatch):
        monkeypatch.setitem(cases.METHODS, "deadly", cases.DeadlyOnce(tmp_path / "died"))
        summary, ear = evaluating("good", "deadly", "fair", scheduler=cluster)
        assert (tmp_path / "died").exists()
        assert (summary.done, summary.failed, summary.missing) == (12, 0, 0)
        assert len(ear.made) == len(set(ear.made)) == 12
        assert [row["status"] for row in rows_of(tmp_path / "out")] == ["done"] * 12

    def test_one_whose_workers_always_die_costs_its_results_alone(self, dataset, cluster, working, tmp_path):
        opened = cases.open_dataset(dataset).cases
        broken = replace(opened[0], fixed=cases.DeadlyFile(dataset / "case0" / "fixed.nii.gz"))
        wanted = ((cases.Still("one"), AS_THEY_ARE),)
        events = working(cluster, [Task(case, wanted) for case in (broken, *opened[1:])])
        assert [event.task.places()[0] for event in events if isinstance(event, Lost)] == [Key("case0", "one")]
        assert all("memory ran out" in event.why for event in events if isinstance(event, Lost))
        ended = [event.key for event in events if isinstance(event, Ended)]
        assert sorted(key.case for key in ended) == ["case1", "case2", "case3"]
        assert all(look(tmp_path, key).state is State.DONE for key in ended)
        assert len(results_of(tmp_path)) == 3

    def test_a_scheduler_that_dies_leaves_a_run_that_goes_on(self, evaluating, tmp_path, monkeypatch):
        begun, leave = tmp_path / "begun", tmp_path / "leave"
        monkeypatch.setitem(cases.METHODS, "held", cases.Held(begun, leave))
        file = tmp_path / "scheduler.json"
        scheduler = cases.begun("a_scheduler", file)
        worker = cases.begun("a_worker", file)
        try:
            wait_for(file.exists, 300)
            threading.Thread(target=lambda: (wait_for(begun.exists, 300), scheduler.kill())).start()
            with pytest.raises(ConnectionError, match="the same command goes on from there"):
                evaluating("good", "held", scheduler=str(file))
        finally:
            for process in (scheduler, worker):
                process.kill()
                process.communicate()
        kept = {path: path.stat().st_mtime_ns for path in results_of(tmp_path / "out")}
        assert [path.name for path in kept] == ["case0.json"]
        assert not list((tmp_path / "out").glob(".running/*"))
        leave.touch()
        summary, ear = evaluating("good", "held")
        assert (summary.done, summary.failed, summary.missing) == (8, 0, 0)
        assert len(ear.made) == 7
        assert all(path.stat().st_mtime_ns == at for path, at in kept.items())

    def test_killed_at_any_moment_and_resumed_each_result_is_there_once(self, dataset, tmp_path):
        chance, kept, kills = random.Random(4), {}, 0
        for _ in range(30):
            process = cases.begun("main", dataset, tmp_path, "still", "good", "fair")
            for line in process.stdout:
                if kills < 3 and line.strip() and not line.startswith("said"):
                    time.sleep(chance.uniform(0, 0.15))
                    process.kill()
                    kills += 1
                    break
            process.communicate()
            if process.returncode == 0:
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


class TestTwoClients:
    def test_in_one_folder_the_second_is_refused_and_costs_nothing(self, evaluating, cluster, tmp_path, monkeypatch):
        begun, leave = tmp_path / "begun", tmp_path / "leave"
        monkeypatch.setitem(cases.METHODS, "held", cases.Held(begun, leave))
        came = []
        first = threading.Thread(target=lambda: came.append(evaluating("good", "held", scheduler=cluster)))
        first.start()
        try:
            wait_for(begun.exists, 300)
            with pytest.raises(InputError, match="another run is at work"):
                evaluating("good", "held", scheduler=cluster)
        finally:
            leave.touch()
            first.join(300)
        ((summary, ear),) = came
        assert (summary.done, summary.failed, summary.missing) == (8, 0, 0)
        assert len(ear.made) == len(set(ear.made)) == 8

    def test_what_a_lost_client_had_begun_ends_and_is_counted_once(self, evaluating, cluster, tmp_path, monkeypatch):
        """Its worker is still at a result when the next client makes the same."""
        begun, leave = tmp_path / "begun", tmp_path / "leave"
        monkeypatch.setitem(cases.METHODS, "held", cases.Held(begun, leave))

        class Gone(BaseException):
            pass

        class Leaving(cases.Ear):
            def ended(self, event):
                wait_for(begun.exists, 300)
                raise Gone

        with pytest.raises(Gone):
            evaluating("good", "held", "fair", scheduler=cluster, limit=1, ear=Leaving())
        assert not Key("case0", "held").path(tmp_path / "out").exists()
        leave.touch()
        summary, ear = evaluating("good", "held", "fair", limit=1)
        assert (summary.done, summary.failed, summary.missing) == (3, 0, 0)
        assert len(results_of(tmp_path / "out")) == len(rows_of(tmp_path / "out")) == 3
        wait_for(lambda: not list((tmp_path / "out").rglob("*.part")), 5)


class TestRefusals:
    def test_a_worker_of_another_version(self, dataset, cluster, working, monkeypatch):
        monkeypatch.setattr(engine, "__version__", "0.0.1")
        task = Task(cases.open_dataset(dataset).cases[0], ((cases.Still(), AS_THEY_ARE),))
        with pytest.raises(InputError, match=r"has RobustDIR .*, and this is 0\.0\.1"):
            working(cluster, [task])

    def test_a_worker_that_does_not_see_the_folder(self, dataset, cluster, working, tmp_path):
        task = Task(cases.open_dataset(dataset).cases[0], ((cases.Still(), AS_THEY_ARE),))
        with pytest.raises(InputError, match="does not see"):
            working(cluster, [task], tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://there", "evaluation.json"])
    def test_a_scheduler_that_is_none(self, evaluating, tmp_path, monkeypatch, address):
        monkeypatch.setattr(clusters, "_CONNECT_S", 0.5)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "evaluation.json").write_text("{}")
        with pytest.raises(InputError, match="no Dask scheduler answers there"):
            evaluating(scheduler=address)
        assert not (tmp_path / "out" / "evaluation.json").exists()

    def test_ranks_of_torchrun(self, evaluating, tmp_path, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(InputError, match="start it once, with `jobs` or a `scheduler`"):
            evaluating()
        assert not (tmp_path / "out").exists()


class TestWithoutDask:
    @pytest.fixture(autouse=True)
    def _missing(self, monkeypatch):
        monkeypatch.setattr(clusters, "find_spec", lambda name: None)

    def test_several_jobs_are_done_in_one_process_which_is_said(self, evaluating):
        summary, ear = evaluating(jobs=4)
        assert summary.done == 8
        assert ear.said[0] == (
            "several jobs need Dask (pip install 'robustdir[cluster]'); without it all is done in one process"
        )

    def test_it_has_all_processors(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
        assert running.threads_of(4, None) == 16

    def test_a_cluster_is_refused(self, evaluating):
        with pytest.raises(InputError, match=r"robustdir\[cluster\]"):
            evaluating(scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    ("count", "visible", "taken"),
    [
        (4, None, ["0", "1", "2", "3", "0"]),
        (2, "5,7", ["5", "7", "5"]),
        (1, "6", ["6", "6"]),
        (0, None, [None]),
    ],
)
def test_gpus_are_taken_in_turn(monkeypatch, count, visible, taken):
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    found = []
    for place in range(len(taken)):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        engine._take_gpu(place)
        found.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert found == taken


class TestEnds:
    """The command with real workers and registrations, ended from outside: nothing runs on, nothing is half done."""

    @pytest.mark.parametrize(
        "end",
        ["kill", pytest.param("stop", marks=pytest.mark.long), pytest.param("terminate", marks=pytest.mark.long)],
    )
    def test_nothing_runs_on(self, dataset, tmp_path, monkeypatch, end):
        monkeypatch.setattr(launching, "subprocess", forking_subprocess(code=True))
        out = tmp_path / "out"
        job = Job(cases.command("evaluate_in_pairs", dataset, out), output=tmp_path / "output.txt")
        try:
            self._see_it_end(job, out, end)
        finally:
            job.kill()
        said = (tmp_path / "output.txt").read_text(encoding="utf-8")
        assert "Traceback" not in said
        if end != "kill":
            going_on = "what is finished is kept; the same command goes on from there"
            assert said.endswith(f"{going_on}\nrobustdir: interrupted\n")
            assert not (out / ".running").exists()

    def _see_it_end(self, job, out, end):
        wait_for(lambda: len([path for path in (out / "pids").glob("*") if path.suffix == ""]) == 2, 300)
        pids = [int(word) for path in (out / "pids").glob("*") for word in path.read_text(encoding="utf-8").split()]
        assert len(set(pids)) == 4
        assert all(map(at_work, pids))
        if end == "stop":  # as the runner and the panel do, with all the time it wants
            job.stop(60)
        else:
            os.kill(job.process_id, signal.SIGKILL if end == "kill" else signal.SIGTERM)
        wait_for(lambda: job.poll().over, 60)
        assert not job.forced
        wait_for(lambda: not any(map(at_work, pids)), 20)
        assert not results_of(out)
