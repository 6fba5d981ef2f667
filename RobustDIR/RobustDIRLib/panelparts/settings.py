"""What the panels keep in the application's settings, on the disk at once: Qt would say nothing of a full one."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import check_room
from RobustDIRLib.panelparts.words import _

_ROOM = 1 << 16  # bytes beside the file and what it is to hold: a file system keeps a few blocks to itself


def kept_setting(key: str) -> str:
    """The text that is kept; empty if there is none."""
    return str(slicer.app.settings().value(key, "") or "")


def keep_setting(key: str, text: str) -> None:
    """Keep a text, or the one of before if it cannot be written.

    Raises:
        InputError: If the settings cannot be written.
    """
    settings, before = slicer.app.settings(), kept_setting(key)
    path = Path(settings.fileName())
    try:
        if path.exists():  # left without room, Qt writes over the file itself, and what was in it is lost
            check_room(path, path.stat().st_size + len(text) + _ROOM)
        settings.setValue(key, text)
        written = _is_written()
        reason = "" if written else str(_("it may not be changed, or its disk is full"))
    except OSError as error:
        reason = error.strerror or str(error)
    if not reason:
        return
    settings.setValue(key, before)
    raise InputError(
        _("{path} cannot be written ({reason}), so this is not remembered; free some space there.").format(
            path=path, reason=reason
        )
    )


def _is_written() -> bool:
    """Write what waits to be written; an object of Qt's that failed once says so for ever, so it is a new one."""
    settings = slicer.app.settings()
    writing = qt.QSettings(settings.fileName(), settings.format())
    writing.sync()
    return bool(writing.status() == qt.QSettings.NoError)
