"""How much main memory this process can still take."""

from __future__ import annotations

import os
from pathlib import Path


def available_memory() -> int | None:
    """Bytes of main memory free for this process, or None where the system does not say."""
    figures = [n for n in (_linux_available(), _cgroup_available(), _sysconf_available()) if n is not None]
    return min(figures, default=None)


def _linux_available(path: str = "/proc/meminfo") -> int | None:
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _cgroup_available(folder: str = "/sys/fs/cgroup") -> int | None:
    """What a container's limit leaves; cached file pages count as free."""
    try:
        limit = int(Path(folder, "memory.max").read_text(encoding="ascii"))
        used = int(Path(folder, "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in Path(folder, "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    return max(limit - used + int(stat.get("inactive_file", 0)), 0)


def _sysconf_available() -> int | None:
    """Free pages where the system counts them but has no /proc (BSD); None on macOS and Windows."""
    if Path("/proc/meminfo").exists():
        return None
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
