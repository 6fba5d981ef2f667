"""Fixtures of tests that need Slicer's libraries. Where those are missing, the tests that ask for them are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from SlicerHeadless import availability

ROOT = Path(__file__).parents[1]


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
