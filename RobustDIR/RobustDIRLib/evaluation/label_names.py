"""Structures of two label maps matched by their names, where both maps have names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.io.images import Image
from RobustDIRLib.io.labels import LabelMap

_NAMED = 5
_LARGEST_TABLE = 1_000_000


def names_of(*maps: Image | None) -> dict[int, str]:
    """Names of structures by number; where several maps name one, the first that does."""
    found: dict[int, str] = {}
    for one in maps:
        for number, name in getattr(one, "names", {}).items():
            found.setdefault(number, name)
    return found


def number_of(names: Mapping[int, str], name: str) -> int | None:
    """The lowest number of a structure by its name; None if there is none of that name."""
    return next((number for number, one in sorted(names.items()) if _plain(one) == _plain(name)), None)


def numbered_alike(fixed: Image, moving: Image) -> tuple[Image, tuple[str, ...]]:
    """The fixed label map with the moving one's numbers for structures of the same name.

    Where one of both has no names, numbers are all there is, and nothing changes. Names are equal but for case and
    blanks; of several segments of one name in a map, the first is paired with the first, and so on.

    Args:
        fixed: A `LabelMap` if names are known.
        moving: The same; its numbers stay.
    Returns:
        The fixed map, and a sentence for each kind of contradiction between names and numbers.
    """
    ours, theirs = names_of(fixed), names_of(moving)
    if not ours or not theirs:
        return fixed, ()
    numbers = numbered_by_name(ours, theirs, _held(fixed), _held(moving))
    alike = {_keys(theirs)[n] for n in theirs} & {_keys(ours)[n] for n in ours}
    sentences = _sentences(ours, theirs, numbers, {n for n, key in _keys(theirs).items() if key in alike})
    if all(number == new for number, new in numbers.items()):
        return fixed, sentences
    names = {numbers[number]: name for number, name in ours.items()}
    return LabelMap(_renumbered(fixed.array, numbers), fixed.grid, names), sentences


def _plain(name: str) -> str:
    """A name without case and surplus blanks; accents as one letter or as two, as macOS writes them, are the same."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def numbered_by_name(
    ours: Mapping[int, str], theirs: Mapping[int, str], held: set[int], held_there: set[int]
) -> dict[int, int]:
    """New numbers of the fixed structures: of their name's in the moving map, or of none that is there.

    Args:
        ours: Names of the fixed structures.
        theirs: Names of the moving ones.
        held: Numbers in the fixed map.
        held_there: Numbers in the moving map.
    Returns:
        By old number; empty where one of both has no names.
    """
    if not ours or not theirs:
        return {}
    by_name = {key: number for number, key in _keys(theirs).items()}
    numbers = {number: by_name[key] for number, key in _keys(ours).items() if key in by_name}
    taken = {*theirs, *held_there, *numbers.values()}
    for number in sorted({*ours, *held} - {0} - set(numbers)):
        if number in ours or number in theirs or number in numbers.values():
            numbers[number] = _free(number, taken)
            taken.add(numbers[number])
    return numbers


def _keys(names: Mapping[int, str]) -> dict[int, tuple[str, int]]:
    """What structures are matched by: the plain name, and which of several of that name."""
    seen: dict[str, int] = {}
    keys = {}
    for number, name in sorted(names.items()):
        plain = _plain(name)
        keys[number] = plain, seen.setdefault(plain, 0)
        seen[plain] += 1
    return keys


def _held(labels: Image) -> set[int]:
    return {int(number) for number in np.unique(labels.array)}


def _free(number: int, taken: set[int]) -> int:
    """A number that no other structure has: its own if it can be."""
    return number if number not in taken else max(taken) + 1


def _sentences(
    ours: Mapping[int, str], theirs: Mapping[int, str], numbers: Mapping[int, int], paired: set[int]
) -> tuple[str, ...]:
    if not paired:
        return (
            f"no structure has the same name in both label maps (fixed: {_listed(ours.values())}; moving: "
            f"{_listed(theirs.values())}), so that none is compared; rename the segments, or give label maps without "
            "names.",
        )
    moved = [n for n, new in numbers.items() if new in paired and n != new]
    clashing = [n for n, new in numbers.items() if new not in paired and n in theirs and n in ours]
    said = []
    if moved:
        pairs = [f"{ours[n]} is {n} in the fixed and {numbers[n]} in the moving one" for n in moved]
        said.append(f"names and numbers of the label maps disagree ({_listed(pairs)}); structures were paired by name.")
    if clashing:
        pairs = [f"{n} is {ours[n]} in the fixed and {theirs[n]} in the moving one" for n in clashing]
        said.append(f"numbers of the label maps stand for other names ({_listed(pairs)}); these were not compared.")
    return tuple(said)


def _listed(found: Iterable[str]) -> str:
    words = list(found)
    return ", ".join(words[:_NAMED]) + (f" and {len(words) - _NAMED} more" if len(words) > _NAMED else "")


def _renumbered(array: NDArray[np.integer], numbers: Mapping[int, int]) -> NDArray[np.int32]:
    """The labels with other numbers; those that are not named stay."""
    low, high = int(array.min()), int(array.max())
    if high - low > _LARGEST_TABLE:
        result = array.astype(np.int32)
        for number, new in numbers.items():
            result[array == number] = new
        return result
    table = np.arange(low, high + 1, dtype=np.int32)
    for number, new in numbers.items():
        if low <= number <= high:
            table[number - low] = new
    return table[array.astype(np.int64) - low]
