"""Work in the background: whatever happens in a step, no process starts on half of its input."""

import sys
from types import SimpleNamespace

import pytest

import panel_cases as cases


@pytest.fixture
def worked(desktop, tmp_path, monkeypatch):
    """Runs steps and a process that leaves a file; gives how it ended and whether the process ran."""
    from RobustDIRLib.panelparts.background import Background

    def work(steps):
        ended, mark = [], tmp_path / "ran"
        background = Background(lambda events, problem: ended.append(problem))
        folder = background.new_folder(tmp_path)
        background.start(steps, [sys.executable, "-c", f"open({str(mark)!r}, 'w')"])
        desktop.wait_until(lambda: not background.busy, 30)
        cases.settle(desktop)
        assert not folder.exists()
        return ended, mark.exists()

    return work


def steps(error=None):
    yield
    if error is not None:
        raise error
    yield


def test_the_process_runs_after_the_steps(worked):
    assert worked(steps()) == ([""], True)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "Memory ran out"),
        (ZeroDivisionError("no"), "by a mistake in RobustDIR (ZeroDivisionError: no)"),
        (OSError(5, "Input/output error"), "OSError"),
        (RuntimeError("VTK"), "RuntimeError: VTK"),
    ],
)
def test_an_exception_in_a_step_is_told_and_starts_nothing(worked, error, words):
    (problem,), ran = worked(steps(error))
    assert words in problem
    assert not ran


def test_bad_input_in_a_step_is_its_own_sentence(worked):
    from RobustDIRLib.errors import InputError

    assert worked(steps(InputError("no such segment."))) == (["no such segment."], False)


def test_what_is_made_of_its_words_waits_until_they_are_read(desktop, monkeypatch):
    """A thousand of them take long to read, and to show: each has a tick of the timer."""
    from RobustDIRLib.panelparts import background
    from RobustDIRLib.runner.job import Polled

    polled = Polled([{"event": "case"}], exit_code=0, over=True)
    job = SimpleNamespace(poll=lambda: polled, kill=lambda: None, log=[])
    monkeypatch.setattr(background, "Job", lambda command, output: job)
    told = []
    work = background.Background(lambda events, problem: told.append("finished"), lambda events: told.append("heard"))
    work.start(iter(()), ["x"])
    for expected in ([], ["heard"], ["heard", "finished"]):
        work._tick()
        assert told == expected and work.busy == (expected[-1:] != ["finished"])
