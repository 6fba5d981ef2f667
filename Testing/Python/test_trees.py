"""Processes by more than their number, and trees of them ended whole."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest

from RobustDIRLib.io import processes
from RobustDIRLib.io.processes import process_exists, start_of
from RobustDIRLib.runner import reasons, trees
from RobustDIRLib.runner.trees import Identity, Tree
from runner_cases import gone

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=%s)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def start():
    """Starts a process that is gone after the test."""
    started = []

    def begin(command, **named):
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", **named))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def parent(start, own_session=False, **named):
    process = start([sys.executable, "-c", PARENT % own_session], **named)
    return process, int(process.stdout.readline())


class TestIdentity:
    def test_a_process_is_itself(self, start):
        process = start(SLEEPER)
        identity = Identity.of(process.pid, tuple(SLEEPER))
        assert identity.alive
        process.kill()
        assert gone(process.pid)  # ended, though nobody has taken note of it yet
        assert not identity.alive

    def test_another_process_of_the_same_number_is_not_it(self, start):
        process = start(SLEEPER)
        identity = Identity.of(process.pid, tuple(SLEEPER))
        ends = time.monotonic() + 5
        while not trees.command_of(process.pid) and time.monotonic() < ends:
            time.sleep(0.01)  # for a moment a new program does not say its command
        assert not replace(identity, started=str(int(identity.started) - 1)).alive
        assert not replace(identity, words=(sys.executable, "-c", "another")).alive
        assert not replace(identity, started="").alive

    def test_a_launcher_may_put_words_first(self, start, tmp_path):
        script = tmp_path / "launcher"
        script.write_text(f"#!/bin/sh\n{sys.executable} -c 'import time; time.sleep(60)' \"$@\" & wait\n")
        script.chmod(0o755)
        process = start([str(script), "finetune", "--output", "x"], start_new_session=True)
        time.sleep(0.1)
        identity = Identity.of(process.pid, (str(script), "finetune", "--output", "x"))
        assert identity.alive
        assert Tree(identity, leads_group=True).kill(5)

    def test_numbers_that_no_process_has(self):
        pid = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
        assert start_of(int(pid.stdout)) == ""
        assert not process_exists(int(pid.stdout))
        assert not Identity(int(pid.stdout), "1").alive


class TestOtherSystems:
    """As Windows and macOS do it, with stand-ins for what they say."""

    def test_a_child_is_found_by_its_parents_number_and_command(self, start, monkeypatch):
        """No groups there; a launcher that was killed leaves its number with its child, and with others' children."""
        arguments = ("-c", "import time; time.sleep(60)", "finetune")
        child, other = start([sys.executable, *arguments]), start(SLEEPER)
        launcher = Identity(2**22 + 5, "1", ("PythonSlicer", *arguments))  # a number that no process has
        said = [SimpleNamespace(pid=p.pid, info={"ppid": launcher.pid}) for p in (child, other)]
        monkeypatch.setattr(trees, "_PARENTS_STAY", True)
        monkeypatch.setattr(psutil, "process_iter", lambda _what: said)
        tree = Tree(launcher, leads_group=True)
        assert [p.pid for p in tree.living()] == [child.pid]
        assert tree.kill(5)
        assert gone(child.pid) and start_of(other.pid)
        assert Tree(Identity(launcher.pid, "1"), leads_group=True).living() == []  # of an unknown command

    @pytest.mark.parametrize("newer", [True, False])
    def test_beginnings_are_as_the_system_wrote_them_down(self, monkeypatch, newer):
        """psutil moves them with the clock, from 7.1 on, and says how they were."""

        def create_time(**asked):
            if asked and not newer:
                raise TypeError
            return 12.5 if asked or not newer else 99.0

        process = SimpleNamespace(status=lambda: "running", create_time=create_time)
        process._proc = SimpleNamespace(create_time=create_time)
        monkeypatch.setattr(psutil, "Process", lambda pid: process)
        assert processes._start_by_psutil(7) == "12.500"

    @pytest.mark.parametrize(
        ("code", "forced", "told"),
        [
            (15, True, -9),
            (15, False, 15),
            (2, False, 2),
            (0, True, 0),
            (0xC000013A, False, -9),
            (0x40010004, False, -9),
        ],
    )
    def test_exit_codes_of_windows(self, monkeypatch, code, forced, told):
        monkeypatch.setattr(reasons, "os", SimpleNamespace(name="nt"))
        assert reasons.exit_code_of(code, forced) == told


class TestTree:
    def test_all_of_it_is_ended(self, start):
        process, child = parent(start, start_new_session=True)
        tree = Tree(Identity.of(process.pid), leads_group=True)
        assert {p.pid for p in tree.living()} == {process.pid, child}
        assert tree.kill(5)
        assert gone(process.pid) and gone(child)

    def test_children_without_a_group_of_their_own_too_and_nobody_else(self, start):
        """As of a run from a terminal, whose group is the shell's."""
        process, child = parent(start)
        other = start(SLEEPER)
        tree = Tree(Identity.of(process.pid), leads_group=False)
        assert tree.kill(5)
        assert gone(process.pid) and gone(child)
        assert start_of(other.pid)

    def test_a_child_outlives_no_launcher_that_was_killed_before_anyone_looked(self, start):
        process, child = parent(start, start_new_session=True)
        identity = Identity.of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        tree = Tree(identity, leads_group=True)
        assert [p.pid for p in tree.living()] == [child]
        assert tree.kill(5)
        assert gone(child)

    def test_a_child_that_left_the_group_is_remembered(self, start):
        """As workers of torchrun do."""
        process, child = parent(start, own_session=True, start_new_session=True)
        tree = Tree(Identity.of(process.pid), leads_group=True)
        tree.look()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert tree.kill(5)
        assert gone(child)

    def test_a_number_that_was_given_again_is_left_alone(self, start):
        process, child = parent(start, start_new_session=True)
        stale = Identity(process.pid, "1")
        tree = Tree(stale, leads_group=True)
        assert tree.living() == []
        assert tree.kill(1)
        assert start_of(process.pid) and start_of(child)
        assert Tree(Identity.of(process.pid), leads_group=True).kill(5)
