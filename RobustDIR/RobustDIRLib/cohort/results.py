"""One result: a case by a method under a condition. Written whole or not at all, and proven whole when it is read.

A file holds the result and a checksum over it, so that a file cut short, edited or of another making is known as such
and is never counted. It also holds what it was made with: checksums of the input, settings of the method, of the
perturbation and of the measures. A result made with anything else than what is asked for now is not mixed in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.files import CANDIDATES, RESULTS, UNPERTURBED
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import sha256_of_values
from RobustDIRLib.io.files import written_atomically

FORMAT = "robustdir-result-1"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")


@dataclass(frozen=True)
class Condition:
    """A perturbation of the images at a strength; without one, the images as they are."""

    perturbation: str = UNPERTURBED
    strength: float | None = None

    def __post_init__(self) -> None:
        if (self.perturbation == UNPERTURBED) != (self.strength is None):
            raise ValueError("a perturbation has a strength, and unperturbed images have none")

    @property
    def name(self) -> str:
        """For folders and people: `none`, `noise_0.5`."""
        return self.perturbation if self.strength is None else f"{self.perturbation}_{self.strength:g}"


AS_THEY_ARE = Condition()


@dataclass(frozen=True)
class Key:
    """What a result is of."""

    case: str
    method: str
    condition: Condition = AS_THEY_ARE

    def path(self, folder: Path) -> Path:
        """Its file in the folder of an evaluation."""
        return folder / RESULTS / self._stem.with_name(self._stem.name + ".json")

    def picture(self, folder: Path) -> Path:
        """The picture of the pair, if there is one."""
        return folder / CANDIDATES / self._stem.with_name(self._stem.name + ".png")

    @property
    def _stem(self) -> Path:
        return Path(safe_name(self.method), safe_name(self.condition.name), safe_name(self.case))


def safe_name(name: str) -> str:
    """A name as a file name on any system: itself where it is one, else its like and a digest that keeps it unique."""
    if _SAFE.fullmatch(name) and not name.endswith("."):
        return name
    like = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._-")[-60:]
    return f"{like.lstrip('._-') or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


@dataclass(frozen=True)
class LandmarkTable:
    """Landmarks of a pair, column by column; positions in the fixed image in mm, LPS, errors in mm."""

    names: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    z: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True)
class LabelRow:
    """A label of a pair.

    Attributes:
        label: Its number.
        fixed_voxels: In the fixed label map, on the fixed grid.
        warped_voxels: In the warped moving label map, on the fixed grid.
        values: By the columns of `files.LABEL_COLUMNS`; what is undefined is left out.
        reason: Why something is left out; empty if nothing is.
        name: What the label maps call it; empty if they do not.
    """

    label: int
    fixed_voxels: int
    warped_voxels: int
    values: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    name: str = ""


@dataclass(frozen=True)
class Result:
    """What came of one case by one method under one condition.

    Attributes:
        key: What it is of.
        subject: Whose scans they are.
        made_with: Input, method, perturbation and measures, in plain values: what makes results comparable.
        stamps: Of the files of the input: by them it is seen without reading that a file has not changed.
        reason: Why it failed; empty if it did not.
        values: Measures by name, as in `measures.COHORT` and their `before`; undefined ones are left out.
        undefined: Reasons of those left out, by the measure's name.
        landmarks: If the case has any.
        labels: Of both label maps.
        spacing_mm: Side of a working voxel that the method was given.
        notes: Sentences that a reader should see.
        threads: With which the method ran.
        seconds: All that the result took, reading and measuring included.
        versions: Of the software, for the record.
        traceback: Of a mistake of ours or of a method's package.
    """

    key: Key
    subject: str
    made_with: dict[str, Any]
    stamps: dict[str, list[int]] = field(default_factory=dict)
    reason: str = ""
    values: dict[str, float] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)
    landmarks: LandmarkTable | None = None
    labels: tuple[LabelRow, ...] = ()
    spacing_mm: float = 0.0
    notes: tuple[str, ...] = ()
    threads: int = 1
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    traceback: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is nothing but a reason."""
        return bool(self.reason)


class State(str, Enum):
    """What lies where a result should be."""

    MISSING = "missing"
    DAMAGED = "damaged"
    OTHER = "made with other settings"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Found:
    """A look at the place of a result: its state, the result if it can be used, and what is wrong in words if not."""

    state: State
    result: Result | None = None
    problem: str = ""


def write_result(folder: Path, result: Result) -> Path:
    """Write a result to its place; whatever lies there is replaced in one step.

    Raises:
        InputError: If it cannot be written.
    """
    path = result.key.path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.loads(json.dumps(asdict(result), allow_nan=False))
    text = json.dumps({"format": FORMAT, "sha256": sha256_of_values(content), "result": content}, separators=(",", ":"))
    with written_atomically(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def read_result(path: Path) -> Result:
    """Read a result.

    Raises:
        InputError: If the file is half-written, damaged or of another making.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is half-written or no result ({type(error).__name__})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is no result of this program")
    if content.get("sha256") != sha256_of_values(content.get("result")):
        raise InputError(f"{path} was changed after it was written")
    return from_dict(Result, content["result"], str(path))


def look(folder: Path, key: Key, made_with: Mapping[str, Any] | None = None) -> Found:
    """What lies at the place of a result.

    Args:
        folder: Of the evaluation.
        key: What it should be of.
        made_with: What it should be made with; not compared if not given.
    """
    path = key.path(folder)
    if not path.is_file():
        return Found(State.MISSING)
    try:
        result = read_result(path)
    except InputError as error:
        return Found(State.DAMAGED, problem=str(error))
    if result.key != key:
        named = f"{result.key.case}, {result.key.method}, {result.key.condition.name}"
        return Found(State.DAMAGED, problem=f"{path} holds the result of another pair ({named})")
    if made_with is not None and (changes := differences(result.made_with, made_with)):
        return Found(State.OTHER, result, "; ".join(changes))
    return Found(State.FAILED if result.failed else State.DONE, result)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], name: str = "") -> list[str]:
    """What changed between two sets of settings, in words: `method.iterations: 100 -> 250`."""
    changes = []
    for key in sorted(set(before) | set(now)):
        old, new, full = before.get(key), now.get(key), f"{name}.{key}".lstrip(".")
        if isinstance(old, dict) and isinstance(new, dict):
            changes += differences(old, new, full)
        elif old != new:
            changes.append(f"{full}: {_short(old)} -> {_short(new)}")
    return changes


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text[:12] + "..." if re.fullmatch(r"[0-9a-f]{40,}", text) else text
