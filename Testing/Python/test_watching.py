"""Runs in real processes: started, watched, stopped, killed, lost and found again; no Qt."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import runner_cases as cases
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.processes import start_of
from RobustDIRLib.runner import watching
from RobustDIRLib.runner.folders import NOTE, read_note
from RobustDIRLib.runner.registry import read_run, resume_words
from RobustDIRLib.runner.states import RunState

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture
def begin(tmp_path):
    """Starts runs; nothing of them is left after the test."""
    runs = []

    def start(*words, folder=tmp_path / "run", kind="finetune"):
        runs.append(cases.begin(folder, *words, kind=kind))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


def child_of(run) -> int:
    cases.wait(run, lambda run: any(line.startswith("child") for line in run.log))
    return int(next(line for line in run.log if line.startswith("child")).split()[1])


def running(run, steps=3):
    cases.wait(run, lambda run: run.history.step >= steps)
    assert run.state is RunState.RUNNING
    return run


class TestGoingOn:
    def test_a_run_goes_from_start_to_end(self, begin, folder):
        run, states = begin("--steps", "20"), []
        while not run.state.over:
            run.poll()
            states += [] if states[-1:] == [run.state] else [run.state]
            time.sleep(0.01)
        assert states == [RunState.STARTING, RunState.RUNNING, RunState.ENDED]
        assert (run.history.step, run.history.steps, run.exit_code, run.message) == (20, 20, 0, "")
        assert run.history.best["dice"].value == pytest.approx(0.54)
        assert run.history.curves["step/loss"].steps == list(range(1, 21))
        assert read_note(folder).exit_code == 0

    def test_time_left_is_told(self, begin):
        run = running(begin("--steps", "1000", "--seconds", "0.02"), 10)
        assert 10 < run.history.seconds_left < 100

    def test_what_it_says_is_kept_with_the_run(self, begin, folder):
        run = begin("--fail", "robustdir: the data set is gone; put it back.")
        cases.wait_for_state(run, RunState.FAILED)
        assert run.message == "the data set is gone; put it back."
        assert "the data set is gone" in (folder / "output.txt").read_text(encoding="utf-8")
        assert read_run(folder).message == run.message

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ("Traceback (most recent call last):\n  File\nValueError: odd", "ValueError: odd"),
            ("Traceback (most recent call last):\nMemoryError", "Memory ran out"),
            ("Traceback (most recent call last):\nOSError: [Errno 28] No space left on device", "disk .* is full"),
            ("no words of ours", "code 2: no words of ours"),
        ],
    )
    def test_every_failure_is_one_sentence(self, begin, folder, said, words):
        import re

        run = begin("--fail", said)
        cases.wait_for_state(run, RunState.FAILED)
        for message in (run.message, read_run(folder).message):
            assert re.search(words, message), message
            assert "\n" not in message
            assert "register again" not in message


class TestStopping:
    def test_it_is_asked_first_and_leaves_a_checkpoint(self, begin, folder):
        run = running(begin())
        run.stop()
        assert run.poll() in (RunState.STOPPING, RunState.STOPPED)
        cases.wait_for_state(run, RunState.STOPPED)
        assert run.exit_code == 0
        assert int((folder / "checkpoint.pt").read_text(encoding="utf-8")) == run.history.step
        assert not (folder / "stop").exists()
        assert read_run(folder).state is RunState.STOPPED

    def test_a_deaf_tree_is_gone_within_five_seconds(self, begin, folder):
        run = running(begin("--deaf", "--child"))
        child, begun = child_of(run), time.monotonic()
        run.stop()
        cases.wait_for_state(run, RunState.KILLED)
        assert time.monotonic() - begun < 5
        assert cases.gone(run.process_id) and cases.gone(child)
        assert "did not stop in time" in run.message and read_run(folder).message == run.message
        assert not (folder / "stop").exists()  # it would stop the run when that is resumed

    def test_a_run_can_be_given_all_the_time_it_needs(self, begin):
        run = running(begin("--deaf"))
        run.stop(grace=float("inf"))
        time.sleep(0.1)
        assert run.poll() is RunState.STOPPING
        assert start_of(run.process_id)

    @pytest.mark.parametrize("ours", [signal.default_int_handler, signal.SIG_IGN], ids=["heeded", "ignored"])
    def test_kinds_without_a_stop_file_get_ctrl_c(self, begin, folder, ours):
        """Also where this process ignores it, as what a script starts in the background does."""
        before = signal.signal(signal.SIGINT, ours)
        try:
            run = begin("--deaf", "--child", kind="evaluate")
            assert signal.getsignal(signal.SIGINT) == ours
        finally:
            signal.signal(signal.SIGINT, before)
        child = child_of(run)
        run.stop()
        cases.wait_for_state(run, RunState.STOPPED)
        assert any("KeyboardInterrupt" in line for line in run.log)
        assert not (folder / "stop").exists()
        assert cases.gone(child)
        assert read_run(folder).state is RunState.STOPPED

    def test_a_folder_that_cannot_take_the_stop_file_means_no_waiting(self, begin, folder, tmp_path):
        run = running(begin("--child"))
        child = child_of(run)
        folder.rename(tmp_path / "away")  # at once: the run would write into a folder that is being deleted
        run.stop()
        begun = time.monotonic()
        cases.wait(run, lambda run: run.state.over)
        assert time.monotonic() - begun < watching.GRACE_SECONDS
        assert cases.gone(child)

    def test_where_there_is_no_ctrl_c_it_is_ended_at_once_and_counts_as_stopped(self, begin, folder, monkeypatch):
        """On Windows an evaluation cannot be asked; its results lie there, and it goes on from them."""
        run = begin("--deaf", "--child", kind="evaluate")
        child = child_of(run)
        monkeypatch.setattr(run._job, "_interrupt", lambda: False)
        begun = time.monotonic()
        run.stop()
        cases.wait_for_state(run, RunState.STOPPED)
        assert time.monotonic() - begun < watching.GRACE_SECONDS and cases.gone(child)
        assert run.message == "" and read_run(folder).state is RunState.STOPPED

    def test_an_end_from_outside_is_told_and_leaves_no_child(self, begin, folder):
        run = running(begin("--child"))
        child = child_of(run)
        os.kill(run.process_id, signal.SIGKILL)
        cases.wait_for_state(run, RunState.KILLED)
        assert "ended from outside" in run.message
        assert cases.gone(child)
        assert read_run(folder).state is RunState.KILLED


class TestPausing:
    def test_it_waits_and_goes_on(self, begin, folder):
        run = running(begin())
        run.pause()
        cases.wait_for_state(run, RunState.PAUSED)
        assert read_run(folder).state is RunState.PAUSED
        step = run.history.step
        time.sleep(0.1)
        run.poll()
        assert run.history.step == step
        run.unpause()
        cases.wait(run, lambda run: run.history.step > step)
        assert run.state is RunState.RUNNING

    def test_a_run_that_waits_can_be_stopped(self, begin):
        run = running(begin())
        run.pause()
        cases.wait_for_state(run, RunState.PAUSED)
        run.stop()
        cases.wait_for_state(run, RunState.STOPPED)

    def test_what_cannot_wait_says_so(self, begin):
        with pytest.raises(InputError, match="a run of evaluate cannot wait"):
            begin(kind="evaluate").pause()


class TestFoundAgain:
    LEAVE = """
import sys
sys.path[:0] = {paths!r}
import runner_cases as cases
from pathlib import Path
run = cases.begin(Path(sys.argv[1]), "--child")
cases.wait(run, lambda run: run.history.step > 3)
print(run.process_id, flush=True)
"""

    @pytest.fixture
    def left(self, folder):
        """A run whose starter has ended, as a Slicer that was quit; its number."""
        paths = [str(Path(cases.__file__).parent), *sys.path]
        done = subprocess.run(
            [sys.executable, "-c", self.LEAVE.format(paths=paths), str(folder)],
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        yield int(done.stdout)
        run = watching.attach(folder)
        if run is not None:
            run.kill()

    def test_a_run_outlives_who_started_it_and_is_watched_and_stopped_again(self, left, folder):
        run = watching.attach(folder)
        assert run.process_id == left
        before = run.history.step
        cases.wait(run, lambda run: run.history.step > before + 5)
        child = child_of(run)  # from the output, which was written to a file
        assert run.state is RunState.RUNNING
        run.stop()
        cases.wait_for_state(run, RunState.STOPPED)
        assert cases.gone(left) and cases.gone(child)
        assert watching.attach(folder) is None

    def test_a_tree_found_again_can_be_killed(self, left, folder):
        run = watching.attach(folder)
        child = child_of(run)
        run.kill()
        assert cases.gone(left) and cases.gone(child)
        cases.wait_for_state(run, RunState.KILLED)

    def test_nobody_starts_a_second_run_there(self, left, folder):
        with pytest.raises(InputError, match=f"at work in this folder \\(process {left}\\)"):
            cases.begin(folder)
        assert start_of(left)
        assert read_note(folder).pid == left

    def test_a_folder_that_was_moved_is_still_its_own(self, left, folder, tmp_path):
        folder.rename(tmp_path / "elsewhere")
        run = watching.attach(tmp_path / "elsewhere")
        assert run.process_id == left
        run.kill()
        assert cases.gone(left)

    def test_a_copy_of_a_folder_is_not(self, left, folder, tmp_path):
        shutil.copytree(folder, tmp_path / "copy")
        assert watching.attach(tmp_path / "copy") is None
        assert not read_run(tmp_path / "copy").alive
        assert start_of(left)

    def test_a_laptop_that_is_called_otherwise_in_another_network_finds_its_run(self, left, folder, monkeypatch):
        monkeypatch.setattr(socket, "gethostname", lambda: "laptop.guests.example")
        assert read_run(folder).alive and read_run(folder).message == ""
        with pytest.raises(InputError, match="at work in this folder"):
            cases.begin(folder)
        run = watching.attach(folder)
        assert run.process_id == left
        run.stop()
        cases.wait_for_state(run, RunState.STOPPED)

    def test_a_process_that_got_its_number_is_not_it(self, folder, begin):
        run = begin("--steps", "3")
        cases.wait_for_state(run, RunState.ENDED)
        content = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        (folder / NOTE).write_text(json.dumps({**content, "pid": os.getpid(), "exit_code": None}))
        assert watching.attach(folder) is None

    def test_a_change_of_the_clock_changes_nothing(self, left, folder):
        content = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        for began in (0.0, 4e9, -5.0):
            (folder / NOTE).write_text(json.dumps({**content, "began": began}))
            os.utime(folder / "output.txt", (4e9, 4e9))
            assert watching.attach(folder).process_id == left
            assert read_run(folder).alive

    def test_a_note_of_a_newer_version_is_a_sentence(self, left, folder):
        content = (folder / NOTE).read_text(encoding="utf-8")
        (folder / NOTE).write_text(json.dumps({"format": "robustdir-process-2", "who": {}}))
        with pytest.raises(InputError, match="another version of RobustDIR"):
            watching.attach(folder)
        assert "another version" in read_run(folder).message
        (folder / NOTE).write_text(content)

    def test_a_run_from_a_terminal_is_found_by_its_lock(self, folder):
        command = [*cases.PROGRAM, "finetune", "--output", "run", "--lock", "--child"]
        process = subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.PIPE, encoding="utf-8")
        try:
            child = int(process.stdout.readline().split()[1])
            run = watching.attach(folder)
            assert run.process_id == process.pid
            running(run)
            run.stop()
            cases.wait_for_state(run, RunState.STOPPED)
            process.wait(5)
            process = subprocess.Popen(
                [*command, "--resume"], cwd=folder.parent, stdout=subprocess.PIPE, encoding="utf-8"
            )
            second = int(process.stdout.readline().split()[1])
            running(watching.attach(folder))
            watching.attach(folder).kill()
            assert cases.gone(process.pid) and cases.gone(second)
            assert cases.gone(child)
        finally:
            process.kill()
            process.wait()


class TestGoingOnAgain:
    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_a_run_is_resumed(self, begin, folder, end):
        run = running(begin("--steps", "60"), 5)
        if end == "stop":
            run.stop()
        else:
            os.kill(run.process_id, signal.SIGKILL)
        cases.wait(run, lambda run: run.state.over)
        assert read_run(folder).resumable
        words = resume_words(folder)
        assert words == ["finetune", "--output", str(folder), "--resume"]
        again = watching.start(folder, [*words, "--steps", "60"], program=cases.PROGRAM)
        assert again.poll() is RunState.STARTING  # whatever the records of the first go say
        cases.wait_for_state(again, RunState.ENDED)
        assert again.history.curves["step/loss"].steps == list(range(1, 61))

    def test_files_left_over_do_not_stop_it(self, begin, folder):
        folder.mkdir()
        for name in ("stop", "pause"):
            (folder / name).touch()
        running(begin())

    @pytest.mark.parametrize("name", ["stop", "pause"])
    def test_a_folder_of_such_a_name_is_told(self, begin, folder, name):
        (folder / name).mkdir(parents=True)
        with pytest.raises(InputError, match=f"{name} cannot be taken away"):
            begin()

    def test_records_that_were_damaged_are_passed_over(self, begin, folder):
        run = running(begin())
        with (folder / "records.jsonl").open("ab") as file:
            file.write(b'\xff{"kind": "st\n[1]\n{"kind": 7}\n')
        step = run.history.step
        cases.wait(run, lambda run: run.history.step > step + 3)


class TestTrouble:
    def test_a_folder_deleted_meanwhile_is_told(self, begin, folder):
        run = running(begin("--child"))
        child = child_of(run)
        folder.rename(folder.with_name("away"))
        shutil.rmtree(folder.with_name("away"))
        cases.wait(run, lambda run: run.state.over)
        assert run.state is RunState.FAILED
        assert "moved or deleted" in run.message
        assert cases.gone(child)

    def test_a_program_that_is_not_there_is_a_sentence(self, folder):
        with pytest.raises(InputError, match="cannot be started"):
            watching.start(folder, ["finetune", "--output", str(folder)], program=["/no/such/program"])

    def test_a_place_that_is_no_folder_is_a_sentence(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="cannot be made"):
            cases.begin(tmp_path / "file" / "run")

    def test_polling_returns_at_once(self, begin):
        run = running(begin())
        begun = time.perf_counter()
        for _ in range(100):
            run.poll()
        assert time.perf_counter() - begun < 2
