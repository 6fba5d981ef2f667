"""What the next step needs is made by another thread while the network learns from what this one has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Place = TypeVar("Place")
Thing = TypeVar("Thing")


class Ahead(Generic[Place, Thing]):
    """Makes one thing ahead, in a thread of its own; no more than one is being made at a time."""

    def __init__(self, make: Callable[[Place], Thing]) -> None:
        """Nothing is made yet.

        Args:
            make: Makes what belongs to a place; what it gives must depend on the place alone.
        """
        self._make = make
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._begun: tuple[Place, Future[Thing]] | None = None

    def __enter__(self) -> Ahead[Place, Thing]:
        """As it is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being made; nobody wants it any more."""
        self._pool.shutdown(cancel_futures=True)

    def get(self, here: Place, following: Place | None) -> Thing:
        """What belongs to a place, and begin with the one that will be asked for next, if there is one.

        Raises:
            What `make` raises of this place; of the following one it is raised only once that is asked for.
        """
        known, self._begun = self._begun, None
        future = known[1] if known and known[0] == here else self._pool.submit(self._make, here)
        thing = future.result()
        if following is not None:
            self._begun = following, self._pool.submit(self._make, following)
        return thing
