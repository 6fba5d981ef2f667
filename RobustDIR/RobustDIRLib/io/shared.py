"""What a process has once and several threads change for a while: kept by the first of them, put back by the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedSetting(Generic[T]):
    """A setting of the whole process; if each thread put back what it found, one would keep what another had set."""

    def __init__(self, change: Callable[[], T], restore: Callable[[T], object]) -> None:
        """Nothing is changed yet.

        Args:
            change: Changes the setting and gives what is needed to put it back.
            restore: Puts it back.
        """
        self._change, self._restore = change, restore
        self._lock, self._before = Lock(), list[T]()
        self._users = 0

    @contextmanager
    def changed(self) -> Iterator[None]:
        """The setting as it was changed, for as long as any thread is in such a block."""
        with self._lock:
            if not self._users:
                self._before[:] = [self._change()]
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._restore(self._before.pop())
