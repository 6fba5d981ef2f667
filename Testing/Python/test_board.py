"""The board of runs: found in their folder, attached to, stopped, paused, resumed, deleted; after a Slicer ended."""

import os
import signal
import subprocess
import sys
import time

import pytest

import runner_cases as cases
from RobustDIRLib.errors import InputError
from RobustDIRLib.runner import registry, watching
from RobustDIRLib.runner.states import RunState
from RobustDIRLib.trainpanel.board import Board, model_of


@pytest.fixture
def board(tmp_path, monkeypatch):
    """On a folder for runs; what it starts is the stand-in."""
    begin = watching.start
    monkeypatch.setattr(watching, "start", lambda folder, words: begin(folder, words, program=cases.PROGRAM))
    board = Board()
    board.use(tmp_path / "runs")
    (tmp_path / "runs").mkdir()
    yield board
    board.kill_all()


def looked(board):
    while not board.look(0.01):
        pass
    return {entry.folder.name: entry for entry in board.entries}


def wait(board, name, condition, seconds=20.0):
    end = time.monotonic() + seconds
    while True:
        board.poll(0.05)
        entry = next((entry for entry in board.entries if entry.folder.name == name), None)
        if entry is not None and condition(entry):
            return entry
        assert time.monotonic() < end, entry
        time.sleep(0.01)


def begin(board, name="first", *words, kind="finetune"):
    folder = board.home / name
    return board.start(folder, [kind, "--output", str(folder), *words])


def test_a_run_from_start_over_a_stop_to_its_end(board):
    begin(board, "first", "--seconds", "0.005")
    assert [entry.folder.name for entry in board.entries] == ["first"]  # before anything is listed
    entry = wait(board, "first", lambda e: e.state is RunState.RUNNING and e.best.get("dice", 0) > 0.5)
    assert board.can_stop(entry) and board.can_pause(entry) and not entry.resumable
    assert entry.best["tre_mm"] < 9 and entry.epoch >= 1 and entry.steps == 10_000
    board.stop(entry.folder)
    entry = wait(board, "first", lambda e: not e.alive)
    assert entry.state is RunState.STOPPED and entry.resumable
    assert not board.watched
    board.resume(entry.folder)
    entry = wait(board, "first", lambda e: e.state is RunState.RUNNING and e.step > entry.step)
    assert looked(board)["first"].alive


def test_a_pause_and_its_end(board):
    run = begin(board)
    wait(board, "first", lambda e: e.step > 1)
    board.pause(run.folder)
    entry = wait(board, "first", lambda e: e.state is RunState.PAUSED)
    assert board.can_pause(entry) and board.can_stop(entry)
    board.pause(run.folder, wait=False)
    wait(board, "first", lambda e: e.state is RunState.RUNNING)


def test_runs_of_another_process_are_attached_to(board):
    """As those of a 3D Slicer that was quit: what it started goes on, and this one may stop it."""
    folder = board.home / "theirs"
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import runner_cases as cases; from pathlib import Path; "
        f"print(cases.begin(Path({str(folder)!r})).process_id)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout)
    assert looked(board)["theirs"].alive
    wait(board, "theirs", lambda e: e.state is RunState.RUNNING and e.step > 3)
    board.stop(folder)
    entry = wait(board, "theirs", lambda e: not e.alive)
    assert entry.state is RunState.STOPPED and entry.resumable
    assert cases.gone(pid)


def test_a_run_that_died_is_offered_to_be_resumed(board):
    run = begin(board)
    wait(board, "first", lambda e: e.step > 3)
    os.kill(run.process_id, signal.SIGKILL)
    entry = wait(board, "first", lambda e: not e.alive)
    assert entry.state is RunState.KILLED and entry.resumable
    assert "ended from outside" in entry.message
    assert "ended from outside" in looked(board)["first"].message


def test_one_that_does_not_stop_is_ended_within_five_seconds_with_its_tree(board):
    run = begin(board, "first", "--deaf", "--child")
    wait(board, "first", lambda e: e.step > 3)
    (child,) = [int(line.split()[1]) for line in run.log if line.startswith("child")]
    begun = time.monotonic()
    board.stop(run.folder)
    assert wait(board, "first", lambda e: True).state is RunState.STOPPING
    entry = wait(board, "first", lambda e: not e.alive)
    assert time.monotonic() - begun < 5.0
    assert cases.gone(run.process_id) and cases.gone(child)
    assert entry.state is RunState.KILLED
    assert "did not stop in time" in entry.message
    assert "did not stop in time" in looked(board)["first"].message


def test_one_folder_takes_one_run(board):
    run = begin(board)
    wait(board, "first", lambda e: e.step > 1)
    for act in (lambda: begin(board), lambda: board.resume(run.folder), lambda: board.delete(run.folder)):
        with pytest.raises(InputError, match="at work in this folder"):
            act()
    assert run.poll() is RunState.RUNNING


def test_a_deleted_run_is_gone_at_once(board):
    folder = cases.a_finished_run(board.home / "old")
    cases.a_finished_run(board.home / "other")
    assert set(looked(board)) == {"old", "other"}
    assert board.delete(folder) == []
    assert [entry.folder.name for entry in board.entries] == ["other"]
    assert set(looked(board)) == {"other"}


def test_what_nobody_runs_here_cannot_be_stopped(board):
    folder = cases.a_finished_run(board.home / "old")
    for act in (board.stop, board.pause):
        with pytest.raises(InputError, match="no process of this computer"):
            act(folder)


def test_a_run_of_a_newer_version_is_listed_and_left_alone(board):
    folder = cases.a_finished_run(board.home / "newer", final="")
    (folder / "process.json").write_text('{"format": "robustdir-process-9", "pid": 1}')
    entry = looked(board)["newer"]
    assert "another version" in entry.message and not entry.resumable
    assert not board.can_stop(entry)
    with pytest.raises(InputError, match="another version"):
        board.resume(folder)


def test_listing_takes_its_time_in_small_parts(board):
    for number in range(30):
        cases.a_finished_run(board.home / f"run{number}", records=20)
    steps = 0
    while not board.look(0.0):
        steps += 1
    assert steps > 25
    assert len(board.entries) == 30


def test_another_folder_lets_the_first_ones_runs_go_on(board, tmp_path):
    run = begin(board)
    wait(board, "first", lambda e: e.step > 1)
    home = board.home
    board.use(tmp_path / "elsewhere")
    assert looked(board) == {}
    board.use(home)
    assert looked(board)["first"].alive
    assert run.poll() is RunState.RUNNING


def test_a_runs_folder_that_moves_is_told(board, tmp_path):
    begin(board)
    wait(board, "first", lambda e: e.step > 1)
    (board.home / "first").rename(tmp_path / "moved")
    end = time.monotonic() + 20
    while board.watched and time.monotonic() < end:
        board.poll(0.05)
        time.sleep(0.01)
    assert looked(board) == {}
    assert registry.read_run(tmp_path / "moved").resumable


def test_the_model_of_a_run(board):
    folder = cases.a_finished_run(board.home / "old")
    assert model_of(folder) is None
    (folder / "weights.pt").write_text("")
    assert model_of(folder) == folder / "weights.pt"
