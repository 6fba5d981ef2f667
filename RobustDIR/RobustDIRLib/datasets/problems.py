"""Everything that is wrong with a data set, gathered to be told at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from RobustDIRLib.errors import InputError

T = TypeVar("T")

_SHOWN = 50


class DatasetError(InputError):
    """Everything that is wrong with a data set.

    Args:
        what: The data set, as the user named it.
        problems: A sentence each.
    """

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        lines = [f"- {sentence}" for sentence in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"- and {len(problems) - _SHOWN} more")
        super().__init__("\n".join([f"{what} has {count}, and is not used:", *lines]))


class Problems:
    """A list of sentences that grows while a data set is opened, each said once.

    Attributes:
        found: The sentences.
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, sentence: str) -> None:
        """Note a problem: one sentence that names the file, what is wrong and what to do."""
        if sentence not in self.found:
            self.found.append(sentence)

    def attempt(self, call: Callable[[], T]) -> T | None:
        """What the call gives, or None where it raises an InputError, which is noted."""
        try:
            return call()
        except InputError as error:
            self.add(str(error))
            return None

    def raise_any(self, what: str) -> None:
        """Ends the opening if anything was noted.

        Args:
            what: The data set, as the user named it.
        Raises:
            DatasetError: With all sentences, one a line.
        """
        if self.found:
            raise DatasetError(what, self.found)


def is_hidden(path: Path) -> bool:
    """Whether a path, relative to a data set's folder, is of no file of the set: hidden, or in a hidden folder.

    Systems leave such files beside every image (`._NAME`, `.DS_Store`, `__MACOSX`), and copies of whole trees.
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


class Root:
    """The folder of a data set, and the only way from the names in its lists to paths.

    Attributes:
        folder: Absolute, links resolved.
        problems: Where it notes what leads out of the folder or to nothing.
        notes: What was left out or assumed, for the user to know.
    """

    def __init__(self, folder: Path, problems: Problems, *, links: bool = False) -> None:
        self.folder = folder.resolve()
        self.problems = problems
        self.notes: list[str] = []
        self._links = links

    def path(self, name: str, *, needed_by: str) -> Path | None:
        """The path of a file or folder in the data set, or None, noted, where there is no such thing in it.

        Args:
            name: Relative to the folder, as the data set's list has it.
            needed_by: What refers to it, for the message.
        """
        plain = Path(os.path.normpath(self.folder / name))
        if Path(name).is_absolute() or not plain.is_relative_to(self.folder):
            self.problems.add(f"{needed_by}: {name} leads out of {self.folder}; name files of that folder alone.")
            return None
        if not os.path.exists(plain):
            self.problems.add(f"{needed_by}: {plain} is missing; add the file or correct its name.")
            return None
        if not self._links and not plain.resolve().is_relative_to(self.folder):
            self.problems.add(
                f'{needed_by}: {plain} is a link out of {self.folder}; put the file there, or allow links by "links": '
                "true in a robustdir-dataset.json."
            )
            return None
        return plain
