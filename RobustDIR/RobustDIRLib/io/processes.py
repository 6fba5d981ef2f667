"""Whether a process is there, and which one: numbers are given again, beginnings are not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def process_exists(pid: int) -> bool:
    """Whether a process of this number is there, on this machine."""
    if os.name == "nt":  # signal 0 would end the process there
        return _exists_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _exists_on_windows(pid: int) -> bool:
    import ctypes

    library: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 - exists on Windows alone
    handle = library.OpenProcess(0x1000, False, pid)  # to ask about it, no more
    if not handle:
        return False
    code = ctypes.c_ulong()
    library.GetExitCodeProcess(handle, ctypes.byref(code))
    library.CloseHandle(handle)
    return code.value == 259  # still active


def start_of(pid: int) -> str:
    """When a process began, so that another with the same number is told from it.

    On Linux ticks since the machine started; on Windows and macOS the time that the system wrote down then: no change
    of the clock moves either. Empty if it is over (ended but not taken note of by its parent), or where nothing says.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _start_by_psutil(pid)
    return "" if fields[0] in "ZX" else fields[19]


def _start_by_psutil(pid: int) -> str:
    try:
        import psutil
    except ImportError:  # as in a new Slicer
        return ""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{_written_down(process):.3f}"
    except psutil.Error:
        return ""


def _written_down(process: Any) -> float:
    """As the system has it: from psutil 7.1 on `create_time` follows the clock on macOS, for who saw it change."""
    try:
        return float(process._proc.create_time(monotonic=True))
    except (AttributeError, TypeError):  # an older one, or Windows
        return float(process.create_time())
