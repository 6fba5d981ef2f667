"""The frame of the command line: versions, help, exit codes, and messages instead of tracebacks."""

import subprocess
import sys
import time
from importlib import import_module

import pytest

from RobustDIRLib import __version__, cli
from RobustDIRLib.errors import InputError


@pytest.fixture
def a_failing_command(monkeypatch):
    """Makes `robustdir models path` raise what the test chooses."""

    def failing_with(error):
        def run(args):
            raise error

        monkeypatch.setattr(import_module("RobustDIRLib.cli.models"), "run", run)
        return cli.main(["models", "path"])

    return failing_with


def test_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"robustdir {__version__}"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: robustdir {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["models"], ["doctor", "--fast"]])
def test_unknown_or_missing_arguments_end_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("a.nii is 2D; give a volume."), 2, "robustdir: a.nii is 2D; give a volume.\n"),
        (KeyboardInterrupt(), 130, "robustdir: interrupted\n"),
        (OSError(28, "No space left on device", "x.h5"), 1, "robustdir: [Errno 28] No space left on device: 'x.h5'\n"),
    ],
)
def test_errors_become_one_line_and_a_code(a_failing_command, capsys, error, code, message):
    assert a_failing_command(error) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", message)


def test_a_mistake_of_ours_keeps_its_traceback(a_failing_command):
    with pytest.raises(ZeroDivisionError):
        a_failing_command(ZeroDivisionError())


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "RobustDIRLib", "models", "show", "no-such-model"],
        capture_output=True, text=True, env=_environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("robustdir: no model is named 'no-such-model'")
    assert done.stderr.count("\n") == 1


def test_starting_is_quick_beside_starting_python():
    def seconds(*arguments):
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True, env=_environment())
            times.append(time.perf_counter() - begun)
        return min(times)

    assert seconds("-m", "RobustDIRLib", "--version") - seconds("-c", "pass") < 0.3


def _environment():
    import os

    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
