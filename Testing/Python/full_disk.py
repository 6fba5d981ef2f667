"""Disks that are full, and files that may not grow: what tests of a full disk share."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

SIZE = 16 << 20
_CHUNK = 4096


@contextmanager
def no_larger_than(size: int) -> Iterator[None]:
    """As `ulimit -f` has it, for this process and those it starts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Disk:
    """A folder whose disk can be filled.

    Args:
        folder: Made; a small disk of its own where the system lets us mount one, else files in it are held small.
        own: Whether it is to be a disk.
    """

    def __init__(self, folder: Path, own: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.mounted = own and shutil.which("mount") is not None and self._mount()

    def full(self, room: int = 0) -> AbstractContextManager[None]:
        """Within it there is no more room than so many bytes; afterwards there is plenty."""
        return self._filled(room) if self.mounted else no_larger_than(room)

    def _mount(self) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.folder)]
        return subprocess.run(words, capture_output=True).returncode == 0

    @contextmanager
    def _filled(self, room: int) -> Iterator[None]:
        filler = self.folder / ".filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(_CHUNK)):
                pass
        with filler.open("r+b") as file:
            file.truncate(max(filler.stat().st_size - room, 0) // _CHUNK * _CHUNK)
        try:
            yield
        finally:
            filler.unlink()

    def close(self) -> None:
        """Take it away."""
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
