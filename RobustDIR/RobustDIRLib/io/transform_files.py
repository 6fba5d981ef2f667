"""What stands in ITK's transform files, in text and MATLAB 4, beside what ITK takes of it."""

from __future__ import annotations

import re
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import extension

_LONGEST_TEXT = 1 << 20  # bytes of a text in which transforms are counted


def check_whole(path: Path, used: list[int]) -> None:
    """Refuse files of which ITK takes a part and drops the rest without a word: other transforms, or numbers.

    Args:
        path: The file.
        used: How many parameters each of its transforms has as it was read, in the order of the file.
    Raises:
        InputError: If it holds more.
    """
    kinds, given = _kinds_in_matlab(path) if extension(path) == ".mat" else _kinds_in_text(path)
    if len(kinds) > 1 and not kinds[0].startswith("CompositeTransform"):
        raise InputError(f"{path} holds {len(kinds)} transforms and does not say how they follow; save one composite.")
    if len(given) == len(used) and given != used:
        raise InputError(
            f"{path} has a transform without FixedParameters, or with other Parameters than its kind has, which "
            "programs pass over; save it again."
        )


def _kinds_in_matlab(path: Path) -> tuple[list[str], list[int]]:
    """Kinds of the transforms in a file of MATLAB 4, as ITK and ANTs write them; numbers are in order there."""
    from scipy.io import whosmat  # here, as only such files need it

    return [name for name, *_ in whosmat(str(path)) if name != "fixed"], []


def _kinds_in_text(path: Path) -> tuple[list[str], list[int]]:
    """Kinds of the transforms in ITK's text, and how many parameters of each count; none of any other file."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_TEXT)
    if not head.startswith(b"#Insight Transform File"):
        return [], []
    blocks = re.split(r"(?m)^Transform:\s*", head.decode("utf-8", "replace"))[1:]
    kinds = [block.split(maxsplit=1)[0] if block.strip() else "" for block in blocks]
    if len(head) == _LONGEST_TEXT:  # cut off in the middle of a number, perhaps
        return kinds, []
    return kinds, [_numbers_given(block) for block in blocks if not block.startswith("CompositeTransform")]


def _numbers_given(block: str) -> int:
    """Parameters of one transform in text; 0 without FixedParameters, as ITK then uses none of them."""
    found = re.search(r"(?m)^Parameters:(.*)$", block)
    return len(found[1].split()) if found and re.search(r"(?m)^FixedParameters:", block) else 0
