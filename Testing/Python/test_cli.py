"""The frame of the command line: versions, help, exit codes, and messages instead of tracebacks."""

import io
import os
import subprocess
import sys
from importlib import import_module

import pytest

from RobustDIRLib import __version__, cli
from RobustDIRLib.errors import InputError


@pytest.fixture
def a_stdout_of(monkeypatch):
    """Makes the standard output one of an encoding, strict as Python's own."""

    def of(encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    return of


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


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, ["PASSIVE", "1000"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None]),
        ({"GOMP_SPINCOUNT": "300000"}, [None, "300000"]),
    ],
)
def test_threads_that_wait_leave_the_processor_to_others_unless_asked_otherwise(monkeypatch, asked, taken):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert [os.environ.get(name) for name in names] == taken


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command.replace("_", "-"), "--help"])
    assert ended.value.code == 0
    assert f"usage: robustdir {command.replace('_', '-')}" in capsys.readouterr().out


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
        (
            OSError(28, "No space left on device"),
            1,
            "robustdir: what was to be written did not fit (No space left on device); free some space, or raise the "
            "limit, and try again.\n",
        ),
        *(
            (
                error,
                1,
                "robustdir: memory ran out; close other programs, crop the images, or allow this one more, and "
                "try again.\n",
            )
            for error in (
                MemoryError(),
                RuntimeError("std::bad_alloc"),
                OSError(12, "Cannot allocate memory"),
                RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
                ImportError("libtorch.so: failed to map segment from shared object"),
            )
        ),
    ],
)
def test_errors_become_one_line_and_a_code(a_failing_command, capsys, error, code, message):
    assert a_failing_command(error) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", message)


def test_a_mistake_of_ours_keeps_its_traceback(a_failing_command):
    with pytest.raises(ZeroDivisionError):
        a_failing_command(ZeroDivisionError())


@pytest.mark.parametrize(("argument", "code", "said"), [("--version", 0, __version__), ("fly", 2, "invalid choice")])
def test_module_runs_as_the_command(argument, code, said):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "RobustDIRLib", argument]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["demo", "-o", "{}/out", "--seed", "-1"], "--seed -1"),
        (["synthesize", "-o", "{}/out", "--seed", str(10**30)], "--seed 1000"),
        (["synthesize", "-o", "{}/out", "--bank", "--side", "-3"], "--side -3"),
        (["synthesize", "-o", "{}/out", "--bank", "--side", "1000000"], "--side 1000000"),
        (["synthesize", "-o", "{}/out", "--count", "0"], "--count 0"),
        (["synthesize", "-o", "{}/file", "--bank", "--side", "16"], "file cannot be made"),
        (["synthesize", "-o", "{}/file", "--side", "1024"], "file cannot be made"),
        (["dataset", "check", ""], "PATH is empty"),
        (["register", "a\0b", "c", "-o", "{}/out"], "FIXED holds a character"),
        (["register", "", "c", "-o", "{}/out"], "FIXED is empty"),
        (["register", "a", "b", "-o", "{}/" + "x" * 300], "cannot be written"),
        (["register", "a", "b", "-o", "{}/file/deeper"], "file is a file"),
        (["models", "show", ""], "--model is empty"),
        (["register", "a", "b", "-o", "{}/" + "x/" * 20_000], "--output is longer than any path"),
        (["register", "a", "b", "-o", "{}/\udcff"], "not UTF-8"),
        (["register", "a", "b", "-o", "{}/out", "--stop-file", "{}/stop"], "--stop-file goes with --progress json"),
        (["register", "a", "b", "-o", "{}/out", "--refine-seconds", "inf"], "--refine-seconds inf"),
        (["register", "a", "b", "-o", "{}/out", "--hand-over", "{}/file"], "file cannot be made"),
    ],
)
def test_what_no_good_can_come_of_is_one_sentence_and_leaves_nothing(tmp_path, capsys, words, message):
    (tmp_path / "file").write_text("mine")
    assert cli.main([word.format(tmp_path) for word in words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_the_terminal_cannot_write_end_no_run(a_stdout_of, monkeypatch, encoding):
    stream = a_stdout_of(encoding)
    name = "scan \u6f22 \udcff"

    def run(args):
        print(f"files in {name}")
        return 0

    monkeypatch.setattr(import_module("RobustDIRLib.cli.models"), "run", run)
    assert cli.main(["models", "path"]) == 0
    stream.flush()
    assert rb"\udcff" in stream.buffer.getvalue()


def test_a_reader_of_the_output_that_ended_is_said(a_failing_command, capsys):
    assert a_failing_command(BrokenPipeError(32, "Broken pipe")) == 1
    assert capsys.readouterr().err == "robustdir: the program that read this output has ended, and so has this.\n"


def test_a_folder_that_is_gone_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["models", "path"]) == 2
    assert "current folder is gone" in capsys.readouterr().err
    os.chdir(tmp_path)


def test_a_term_of_the_loss_that_is_named_twice_is_refused(tmp_path, capsys):
    assert cli.main(["finetune", str(tmp_path), "-o", str(tmp_path / "run"), "--loss", "dice=1, dice=2"]) == 2
    assert "names dice twice" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
