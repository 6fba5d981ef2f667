"""Fixtures of tests that need Slicer's libraries. Where those are missing, the tests that ask for them are skipped."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import forked_commands
from RobustDIRLib.runner import launching
from SlicerHeadless import availability

ROOT = Path(__file__).parents[1]
# Without compiled files every process that a test starts, and every worker of pytest-xdist, compiles all there is anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Begun first: of files that are shared out among processes, a long one at the end would leave all but one idle.
LONGEST = (
    "test_cohort_engine.py", "test_rivals.py", "test_finetuning.py", "test_orientation.py", "test_extension.py",
    "test_tuning.py", "test_train_runs.py", "test_cohort_run.py", "test_train_tab.py", "test_register.py",
    "test_panel_look.py", "test_watching.py", "test_panel_origins.py", "test_training.py", "test_alignment.py",
    "test_timing.py", "test_watching_finetune.py", "test_train_full_disk.py", "test_panel_environment.py",
    "test_train_evaluate.py", "test_studies.py", "test_panel_state.py", "test_train_data.py", "test_report.py",
    "test_panel_runs.py", "test_refinement.py", "test_cli_register.py", "test_public.py", "test_cohort_aggregate.py",
    "test_pyramid.py", "test_panel_check.py", "test_panel_bad_use.py",
)  # fmt: skip


# Done by one worker, whose process that Dask's workers are forked from then serves both.
TOGETHER = {"test_tuning.py": "test_cohort_engine.py"}


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist, where it is there, hand files out in the order of `pytest_collection_modifyitems`."""
    gc.disable()  # until `pytest_collection_finish`: what is imported and collected is there for good
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As `--dist loadfile`, but for the files of `TOGETHER`."""
    from xdist.scheduler import LoadFileScheduling

    class ByFiles(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder, _, name = super()._split_scope(nodeid).rpartition("/")
            return f"{folder}/{TOGETHER.get(name, name)}"

    return ByFiles(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, the others as they come."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_collection_finish() -> None:
    """Keep the hundred thousands of objects that are there for good out of every later search for garbage."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _need(reason: str | None) -> None:
    if reason:
        pytest.skip(reason)


@pytest.fixture
def scene():
    """The MRML scene, empty before and after."""
    _need(availability.why_no_scene())
    from SlicerHeadless import application

    scene = application.start()
    scene.Clear(0)
    yield scene
    scene.Clear(0)


@pytest.fixture(scope="session", autouse=True)
def _forked_commands():
    """Commands that the library's runner starts are forked from a process that has imported everything."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(launching, "subprocess", forked_commands.forking_subprocess())
        yield


@pytest.fixture
def fresh_commands(monkeypatch):
    """They are started as a user's are, which takes seconds of a processor."""
    monkeypatch.setattr(launching, "subprocess", subprocess)


@pytest.fixture
def desktop(scene):
    """The application with Qt (the module `SlicerHeadless.desktop`), on the empty scene."""
    _need(availability.why_no_desktop())
    from SlicerHeadless import desktop

    desktop.start()
    return desktop


@pytest.fixture
def rendering(scene):
    """Asks for off-screen rendering; skips where there is none."""
    _need(availability.why_no_rendering())


@pytest.fixture
def dialogs(desktop):
    """What message boxes showed, and the answers to give them."""
    from SlicerHeadless.dialogs import dialogs

    dialogs.reset()
    yield dialogs
    dialogs.reset()


@pytest.fixture
def open_panel(desktop, dialogs):
    """Opens the panel of a module by name ("RobustDIR"); closes it after the test."""
    opened = []

    def open_(name: str):
        opened.append(desktop.open_panel(ROOT / name / f"{name}.py"))
        return opened[-1]

    yield open_
    for panel in opened:
        panel.close()
