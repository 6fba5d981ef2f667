"""Commands that tests have forked are to everybody else what processes that were started afresh are."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import forked_commands
from forked_commands import ForkedCommand
from RobustDIRLib.io.processes import start_of
from RobustDIRLib.runner import launching
from RobustDIRLib.runner.launching import launch, library_command
from runner_cases import gone

pytestmark = pytest.mark.skipif(not forked_commands.POSSIBLE, reason="only Linux has what forking takes")


@pytest.fixture(autouse=True)
def _forking(monkeypatch):
    """Whatever the environment has become."""
    monkeypatch.setattr(launching, "subprocess", forked_commands.forking_subprocess())


def started(folder: Path, *words: str, **environment: str) -> tuple:
    """The process, and where it says what it says."""
    output = folder / "output.txt"
    return launch(library_command(*words), output, environment), output


@pytest.fixture
def waiting(tmp_path):
    """A command that waits for settings, of which nothing comes."""
    os.mkfifo(tmp_path / "settings")
    process, _ = started(tmp_path, "finetune", "--config", str(tmp_path / "settings"), "-o", str(tmp_path / "ü ö"))
    with (tmp_path / "settings").open("w"):  # opens as soon as it reads
        yield process
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)


def fresh(folder: Path, *words: str) -> subprocess.CompletedProcess:
    here = {**os.environ, "PYTHONPATH": str(forked_commands.LIBRARY)}
    return subprocess.run(library_command(*words), capture_output=True, encoding="utf-8", env=here, cwd=folder)


def test_words_output_and_exit_code_are_those_of_a_process_started_afresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("register", "größe.nii.gz", "moving.nii.gz", "-o", "out")
    process, output = started(tmp_path, *words)
    assert isinstance(process, ForkedCommand)
    expected = fresh(tmp_path, *words)
    assert process.wait(60) == expected.returncode == 2
    assert output.read_text(encoding="utf-8") == expected.stdout + expected.stderr
    assert "größe.nii.gz" in expected.stderr


def test_an_environment_that_is_read_at_the_start_gets_a_process_of_its_own(tmp_path):
    for environment in ({"OMP_NUM_THREADS": "7"}, {"PYTHONPATH": "/elsewhere"}):
        process, _ = started(tmp_path, "--version", **environment)
        assert isinstance(process, subprocess.Popen)
        assert process.wait(60) == 0


def test_its_environment_is_the_one_that_was_given(tmp_path, monkeypatch):
    monkeypatch.delenv("ROBUSTDIR_MODELS", raising=False)
    process, output = started(tmp_path, "models", "path", ROBUSTDIR_MODELS=str(tmp_path / "mine"))
    assert process.wait(60) == 0
    assert output.read_text(encoding="utf-8").strip() == str(tmp_path / "mine")


def test_number_group_and_words_tell_the_process(waiting, tmp_path):
    known = psutil.Process(waiting.pid)
    assert known.cmdline()[1:] == waiting.args[1:]
    assert os.getpgid(waiting.pid) == os.getsid(waiting.pid) == waiting.pid != os.getpid()
    assert known.cwd() == os.getcwd()
    assert start_of(waiting.pid) and waiting.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_ends_it_and_its_number_is_given_back(waiting, number):
    os.kill(waiting.pid, number)
    assert waiting.wait(10) == waiting.poll() == -number
    assert gone(waiting.pid)
    with pytest.raises(ProcessLookupError):
        os.kill(waiting.pid, 0)


def test_output_and_errors_are_read_apart(tmp_path):
    code = "import os, sys; print(sys.argv[1:], os.environ['GIVEN']); print('oh', file=sys.stderr); sys.exit(3)"
    command = [sys.executable, "-c", code, "--word", "größe"]
    process = forked_commands.started(command, {"GIVEN": "x"})
    assert isinstance(process, ForkedCommand)
    assert process.communicate(60) == ("['--word', 'größe'] x\n", "oh\n")
    assert process.returncode == 3


def test_ctrl_c_interrupts_it(waiting):
    os.killpg(waiting.pid, signal.SIGINT)
    assert waiting.wait(10) == 130


def test_what_they_are_forked_from_ends_with_who_asked():
    name = f"robustdir-test-{os.getpid()}"
    code = f"import command_server; command_server.Server({name!r}).serve()"
    here = {**os.environ, "PYTHONPATH": str(forked_commands.SERVER.parent)}
    server = subprocess.Popen([sys.executable, "-c", code], env=here)
    try:
        first, second = (forked_commands.connected(name) for _ in range(2))
        first.close()
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.2)
        second.close()
        assert server.wait(10) == 0
    finally:
        server.kill()
