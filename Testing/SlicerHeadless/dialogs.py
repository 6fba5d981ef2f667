"""Message boxes and file choosers that a test answers instead of a person.

A box that only tells something is recorded and closed. One that asks takes the next answer a test has given; without
one it fails the test, since a person would have been asked unexpectedly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shown:
    """A dialog that was shown: its title, its text and what stands under *Show details*."""

    title: str
    text: str
    details: str = ""


class UnexpectedDialog(AssertionError):
    """A dialog asked something that the test had no answer for."""


@dataclass
class Dialogs:
    """Answers to give, and what was shown.

    Attributes:
        shown: Every dialog since the last `reset`, in order.
    """

    shown: list[Shown] = field(default_factory=list)
    _answers: deque[Any] = field(default_factory=deque)

    def answer(self, *answers: Any) -> None:
        """Queues answers: names of buttons ("Ok", "Cancel", "Yes", "No"), paths for file choosers
        ("" cancels), or texts."""
        self._answers.extend(answers)

    def reset(self) -> None:
        """Forgets what was shown and the answers that nobody asked for."""
        self.shown.clear()
        self._answers.clear()

    @property
    def texts(self) -> list[str]:
        """The texts shown, in order."""
        return [shown.text for shown in self.shown]

    @property
    def unused_answers(self) -> list[Any]:
        """Answers that nobody asked for."""
        return list(self._answers)

    def take(self, shown: Shown, default: Any = None) -> Any:
        """Records a dialog and gives its answer.

        Raises:
            UnexpectedDialog: If there is neither an answer nor a default.
        """
        self.shown.append(shown)
        if default is not None:
            return default
        if not self._answers:
            raise UnexpectedDialog(f"nobody answers the dialog “{shown.title}”: {shown.text}")
        return self._answers.popleft()


dialogs = Dialogs()


def install(qt: Any) -> None:
    """Lets `qt.QMessageBox` and `qt.QFileDialog` ask `dialogs`, so that no test ever waits for a person."""
    box = qt.QMessageBox
    box.exec_ = box.exec = _run_box
    for name in ("information", "warning", "critical", "about"):
        setattr(box, name, staticmethod(_static_box(qt, ask=False)))
    box.question = staticmethod(_static_box(qt, ask=True))
    qt.QDialog.exec_ = qt.QDialog.exec = _run_dialog
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory", "getOpenFileNames"):
        setattr(qt.QFileDialog, name, staticmethod(_chooser))
    qt.QInputDialog.getText = staticmethod(_line)


def _run_box(box: Any) -> Any:
    from PySide6.QtWidgets import QMessageBox

    buttons = [b for b in QMessageBox.StandardButton if b and box.standardButtons & b and b.name in _NAMES]
    shown = Shown(box.windowTitle.strip(), box.text, box.detailedText)
    if len(buttons) < 2:
        return dialogs.take(shown, default=buttons[0] if buttons else QMessageBox.StandardButton.Ok)
    return QMessageBox.StandardButton[dialogs.take(shown)]


_NAMES = {"Ok", "Cancel", "Yes", "No", "Retry", "Close", "Abort", "Ignore", "Save", "Discard", "Open", "Apply"}


def _static_box(qt: Any, *, ask: bool) -> Any:
    def show(_parent: Any, title: str, text: str, *_rest: Any) -> Any:
        button = dialogs.take(Shown(title, text), default=None if ask else "Ok")
        return qt.QMessageBox.StandardButton[button]

    return show


def _run_dialog(dialog: Any) -> int:
    from PySide6.QtWidgets import QLabel

    labels = [str(label.text) for label in dialog.findChildren(QLabel)]
    dialogs.take(Shown(dialog.windowTitle, "\n".join(labels)), default="Ok")
    return 1


def _line(_parent: Any, title: str, text: str, *_rest: Any) -> str:
    """As PythonQt has it: the text alone, empty where the user cancelled."""
    return str(dialogs.take(Shown(title, text)))


def _chooser(_parent: Any = None, title: str = "", *_rest: Any, **_named: Any) -> Any:
    return dialogs.take(Shown(title, "choose a file"))
