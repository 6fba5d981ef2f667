"""Libraries in C kept from printing to the terminal; none is loaded before it is to be kept quiet."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from RobustDIRLib.io.shared import SharedSetting


def quiet_itk() -> AbstractContextManager[None]:
    """Keeps ITK from printing its own warnings: what matters of them is checked here and said in our words."""
    return _QUIET.changed()


def silent_libraries() -> AbstractContextManager[None]:
    """Keeps libraries in C from printing: HDF5 tells of every damaged file on stderr, and cannot be told not to."""
    return _SILENT.changed()


def _silence_itk() -> bool:
    import SimpleITK as sitk

    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return bool(before)


def _restore_itk(before: bool) -> None:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _silence_stderr() -> int | None:
    try:
        kept = os.dup(2)
    except OSError:  # no such stream, as in a program with windows alone
        return None
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    return kept


def _restore_stderr(kept: int | None) -> None:
    if kept is not None:
        os.dup2(kept, 2)
        os.close(kept)


_QUIET, _SILENT = SharedSetting(_silence_itk, _restore_itk), SharedSetting(_silence_stderr, _restore_stderr)
