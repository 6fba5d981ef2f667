"""What nodes hold, found out anew only where it may have changed since."""

from __future__ import annotations

from collections.abc import Iterator

from RobustDIRLib.mrml.contents import Content, begin_content, state_of
from RobustDIRLib.mrml.nodes import PlacedNode

State = tuple[object, ...]


class KnownContents:
    """Contents of nodes, or of some segments of them, by the state in which these were found; of this session alone."""

    def __init__(self) -> None:
        self._known: dict[State, Content] = {}

    def forget(self) -> None:
        """For when the scene has been closed."""
        self._known.clear()

    def note(self, state: State, content: Content) -> None:
        """What a node holds in a state (`state_of`), instead of what it held."""
        kept = {key: known for key, known in self._known.items() if (key[0], key[3]) != (state[0], state[3])}
        self._known = {**kept, state: content}

    def content(self, node: PlacedNode, segments: tuple[str, ...] = ()) -> Content:
        """What a node holds now."""
        content, steps = self.begin(node, segments)
        for _ in steps:
            pass
        return content

    def begin(self, node: PlacedNode, segments: tuple[str, ...] = ()) -> tuple[Content, Iterator[None]]:
        """As `content`, in steps of a few hundredths of a second.

        Returns:
            The content, which is there once the iterator beside it has come to its end.
        """
        state = state_of(node, segments)
        if state in self._known:
            return self._known[state], iter(())
        content, steps = begin_content(node, segments)

        def noting() -> Iterator[None]:
            yield from steps
            if state_of(node, segments) == state:  # else what was read is of two states, and like neither
                self.note(state, content)

        return content, noting()
