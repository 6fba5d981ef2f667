"""One run at a time in a folder; the dead hold nothing."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import RobustDIRLib
from RobustDIRLib.errors import InputError
from RobustDIRLib.io import lock
from RobustDIRLib.io.lock import HOME, LockHolder, Rank, locked
from RobustDIRLib.io.processes import start_of

LIBRARY = str(Path(RobustDIRLib.__file__).parents[1])
HOLD = f"""
import sys, time; sys.path.insert(0, {LIBRARY!r})
from pathlib import Path
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.errors import InputError
try:
    with locked(Path(sys.argv[1]), Rank.alone()) as scratch:
        (scratch / "left").write_text("")
        print("held", scratch, flush=True)
        time.sleep(float(sys.argv[2]))
except InputError as error:
    print("refused", error, flush=True)
"""


def holding(folder: Path, seconds: float = 60) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", HOLD, str(folder), str(seconds)], stdout=-1, encoding="utf-8")


def entries(folder: Path) -> list[Path]:
    return list((folder / HOME).glob("*.json"))


def test_a_second_run_is_refused_and_told_by_whom(tmp_path):
    with locked(tmp_path, Rank.alone()):
        with (
            pytest.raises(InputError, match=rf"process {os.getpid()} on {socket.gethostname()}"),
            locked(tmp_path, Rank.alone()),
        ):
            pass
        assert len(entries(tmp_path)) == 1
    assert not entries(tmp_path)


def test_the_folder_is_free_afterwards_also_after_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path, Rank.alone()) as scratch:
        raise ZeroDivisionError
    assert not scratch.exists()
    with locked(tmp_path, Rank.alone()):
        pass


def test_of_two_that_start_together_one_runs(tmp_path):
    processes = [holding(tmp_path, 3) for _ in range(2)]
    words = sorted(process.stdout.readline().split()[0] for process in processes)
    for process in processes:
        process.communicate()
    assert words == ["held", "refused"]


def test_what_a_killed_run_held_and_left_is_taken_over(tmp_path):
    process = holding(tmp_path)
    scratch = Path(process.stdout.readline().split()[1])
    with pytest.raises(InputError), locked(tmp_path, Rank.alone()):
        pass
    process.kill()  # and not waited for: it stays in the system's list
    time.sleep(0.3)
    assert (scratch / "left").exists()
    with locked(tmp_path, Rank.alone()):
        assert len(entries(tmp_path)) == 1
        assert not scratch.exists()
    process.communicate()


def test_ranks_of_one_run_share_and_those_of_another_do_not(tmp_path):
    with locked(tmp_path, Rank(0, 2, "r")), locked(tmp_path, Rank(1, 2, "r")):
        assert len(entries(tmp_path)) == 2
        for other in (Rank(0, 2, "other"), Rank(1, 2, "r"), Rank.alone()):
            with pytest.raises(InputError, match="another run"), locked(tmp_path, other):
                pass


@pytest.fixture
def an_entry(tmp_path):
    """Puts an entry of some process into the folder."""
    (tmp_path / HOME).mkdir()
    mine = LockHolder("r", 0, socket.gethostname(), os.getpid(), start_of(os.getpid()), "", True)

    def put(age: float = 0, **changes) -> Path:
        path = tmp_path / HOME / "other.json"
        path.write_text(json.dumps(asdict(replace(mine, **changes))))
        os.utime(path, (time.time() - age,) * 2)
        return path

    return put


def test_a_number_given_to_a_new_process_is_not_taken_for_the_old_one(an_entry, tmp_path):
    an_entry(started="1")
    with locked(tmp_path, Rank.alone()):
        pass


def test_an_old_entry_of_a_living_process_holds(an_entry, tmp_path):
    an_entry(age=1e6)
    with pytest.raises(InputError), locked(tmp_path, Rank.alone()):
        pass


@pytest.mark.parametrize(("age", "free"), [(5, False), (1000, True)])
def test_a_process_of_another_machine_is_judged_by_its_signs_of_life(an_entry, tmp_path, age, free):
    an_entry(age=age, host="elsewhere", pid=1)
    if free:
        with locked(tmp_path, Rank.alone()):
            return
    with pytest.raises(InputError, match="process 1 on elsewhere"), locked(tmp_path, Rank.alone()):
        pass


def test_scratch_of_another_machine_is_not_touched(an_entry, tmp_path):
    there = tmp_path / "same path on another machine"
    there.mkdir()
    an_entry(age=1000, host="elsewhere", scratch=str(there))
    with locked(tmp_path, Rank.alone()):
        assert there.exists()


def test_nothing_is_removed_that_no_run_made(an_entry, tmp_path):
    """An entry can name any folder, and the name of a machine can be another's, too, as `localhost`."""
    there = tmp_path / "robustdir-data"
    there.mkdir()
    an_entry(started="long ago", scratch=str(there))
    with locked(tmp_path, Rank.alone()):
        assert len(entries(tmp_path)) == 1
    assert there.exists()


def test_signs_of_life_are_given(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_S", 0.05)
    with locked(tmp_path, Rank.alone()):
        (path,) = entries(tmp_path)
        os.utime(path, (1, 1))
        end = time.monotonic() + 10
        while path.stat().st_mtime < 100:
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}'])
def test_a_damaged_entry_holds_nothing(tmp_path, text):
    (tmp_path / HOME).mkdir()
    (tmp_path / HOME / "broken.json").write_text(text)
    with locked(tmp_path, Rank.alone()):
        pass


def test_a_file_in_the_folders_place_is_said(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="is a file where a folder is needed"), locked(tmp_path / "run", Rank.alone()):
        pass
    assert (tmp_path / "run").read_text() == "mine"
