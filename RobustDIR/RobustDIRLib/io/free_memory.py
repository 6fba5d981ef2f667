"""How much main memory this process can still take, and whether it wanted more."""

from __future__ import annotations

from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# In the words of torch, of ITK, of C++ and of the loader of libraries; none has an exception of its own for it.
_OUT_OF_MEMORY = (
    "can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory", "alloc_cpu",
    "failed to allocate memory", "bad_alloc", "bad allocation", "failed to map segment", "can't start new thread",
)  # fmt: skip


def available_memory() -> int | None:
    """Bytes of main memory free for this process, or None where nothing says."""
    figures = [n for n in (_system_available(), _cgroup_available(), _limit_left()) if n is not None]
    return min(figures, default=None)


def _system_available() -> int | None:
    """What the machine has free, on Linux, Windows and macOS; None where psutil is lacking, as in a new Slicer."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _cgroup_available(folder: str = "/sys/fs/cgroup") -> int | None:
    """What a container's limit leaves; cached file pages count as free."""
    try:
        limit = int(Path(folder, "memory.max").read_text(encoding="ascii"))
        used = int(Path(folder, "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in Path(folder, "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    return max(limit - used + int(stat.get("inactive_file", 0)), 0)


def _limit_left(statm: str = "/proc/self/statm") -> int | None:
    """What `ulimit -v` and `ulimit -d` leave of the process's address space, on Linux; None without such limits."""
    if resource is None:
        return None
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    try:
        pages = Path(statm).read_text(encoding="ascii").split()
    except OSError:
        return None
    used = [int(n) * resource.getpagesize() for n in (pages[0], pages[5])]
    left = [max(limit - n, 0) for limit, n in zip(limits, used, strict=True) if limit != resource.RLIM_INFINITY]
    return min(left, default=None)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether Python or a library failed for want of memory."""
    if isinstance(error, MemoryError):
        return True
    kinds = RuntimeError, ImportError, OSError
    return isinstance(error, kinds) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
