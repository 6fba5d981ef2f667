"""The application with Qt: the modules `qt` and `ctk`, a main window, and panels of scripted modules."""

from __future__ import annotations

import importlib
import sys
import time
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from SlicerHeadless import application, dialogs, folders

_timers: weakref.WeakSet[Any] = weakref.WeakSet()  # all that were ever started


def start() -> Any:
    """Starts the application (see `application.start`) with Qt; later calls change nothing.

    Returns:
        The module `qt`.
    """
    application.start()
    if "ctk" in sys.modules:
        return sys.modules["qt"]
    from SlicerHeadless import ctk_widgets, mrml_widgets, pythonqt, ui_loader

    qt = pythonqt.install()
    _remember_timers(qt)
    ctk_widgets.install()
    mrml_widgets.install()
    qt.QUiLoader = ui_loader.QUiLoader
    dialogs.install(qt)
    slicer.app.window = _main_window(qt)
    slicer.app._settings = _settings(qt)
    return qt


def _settings(qt: Any) -> Any:
    """The application's own kind of settings, in a file that goes with this process."""
    settings = qt.QSettings(str(folders.own() / "Slicer.ini"), qt.QSettings.IniFormat)
    settings.setValue("Developer/DeveloperMode", False)
    settings.sync()
    return settings


@dataclass
class Panel:
    """A scripted module with its panel open.

    Attributes:
        module: The Python module, from the module's real file.
        widget: Its widget object, set up.
        parent: The widget that holds it.
    """

    module: types.ModuleType
    widget: Any
    parent: Any
    closed: bool = False

    @property
    def ui(self) -> Any:
        """The panel's widgets by name."""
        return self.widget.ui

    def close(self) -> None:
        """Leaves the panel and unloads the module, as quitting the application does; the second time nothing."""
        if self.closed:
            return
        self.closed = True
        self.widget.exit()
        self.widget.cleanup()
        self.parent.deleteLater()
        process_events()


def load_module(path: Path) -> types.ModuleType:
    """Imports a scripted module from its file, and makes it known to the application."""
    start()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.import_module(path.stem)
    known = application.Module(path.stem, path=str(path))
    application.add_module(known)
    known.python = getattr(module, path.stem)(known)
    return module


def open_panel(path: Path) -> Panel:
    """Loads a scripted module from its file and opens its panel."""
    qt, module = start(), load_module(path)
    parent = slicer.qSlicerScriptedLoadableModuleWidget()
    parent.setLayout(qt.QVBoxLayout())
    parent.setMRMLScene(slicer.mrmlScene)
    widget = getattr(module, f"{path.stem}Widget")(parent)
    parent._python = widget
    getattr(slicer.modules, path.stem.lower()).widget = parent
    setattr(slicer.modules, f"{path.stem}Widget", widget)
    widget.setup()
    if hasattr(widget, "enter"):
        widget.enter()
    process_events()
    return Panel(module, widget, parent)


def process_events(rounds: int = 3) -> None:
    """Lets Qt do what waits: repaints, timers that are due, deferred deletions."""
    from PySide6.QtCore import QCoreApplication, QEvent

    for _ in range(rounds):
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def has_put_off(milliseconds: int) -> bool:
    """Whether a timer runs that is due within a time."""
    return any(timer.isActive() and timer.interval <= milliseconds for timer in list(_timers))


def _remember_timers(qt: Any) -> None:
    begin = qt.QTimer.start

    def start(timer: Any, *milliseconds: int) -> None:
        _timers.add(timer)
        begin(timer, *milliseconds)

    qt.QTimer.start = start


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Runs the event loop until a condition holds.

    Raises:
        TimeoutError: If it does not within that time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"still not so after {seconds} s")
        process_events(1)
        time.sleep(0.005)


class LongestPause:
    """How long the event loop stood still at most while it was watched: `with LongestPause() as pause:`, in seconds.

    On a machine that others use as well, `computed` tells more: how long its thread itself computed at a stretch.
    """

    def __init__(self) -> None:
        import qt

        self.seconds = self.computed = 0.0
        self._last = self._used = 0.0
        self._timer = qt.QTimer()
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now, used = time.monotonic(), time.thread_time()
        self.seconds, self._last = max(self.seconds, now - self._last), now
        self.computed, self._used = max(self.computed, used - self._used), used

    def __enter__(self) -> LongestPause:
        self._last, self._used = time.monotonic(), time.thread_time()
        self._timer.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._tick()
        self._timer.stop()


def _main_window(qt: Any) -> Any:
    """A window by the name `slicer.util.mainWindow` looks for, with a status bar and a module selector."""

    class ModuleSelector:
        """Remembers which module was chosen."""

        selectedModule = ""

        def selectModule(self, name: str) -> None:
            self.selectedModule = name

    class qSlicerMainWindow(qt.QMainWindow):
        """The application's window."""

        def moduleSelector(self) -> Any:
            return selector

    selector = ModuleSelector()
    window = qSlicerMainWindow()
    window.setObjectName("qSlicerMainWindow")
    window.statusBar()
    return window
