"""A data set as the panel knows it: what `robustdir dataset check` and `split` told of it. No Qt, no files read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class OpenedCase:
    """One pair.

    Attributes:
        name: Of the case.
        subjects: Whose the fixed and the moving image are.
        preset: Of the registration.
        files: By role.
        landmarks: How many pairs.
        holds: What comes with the images, in words.
        size: Voxels of the fixed image along x, y, z.
        working_voxels: That a network works on.
    """

    name: str
    subjects: tuple[str, str]
    preset: str
    files: Mapping[str, str]
    landmarks: int
    holds: tuple[str, ...]
    size: tuple[int, ...]
    working_voxels: float

    @property
    def labelled(self) -> bool:
        """Whether both images have label maps."""
        return {"fixed_labels", "moving_labels"} <= set(self.files)


@dataclass(frozen=True)
class Opened:
    """A data set that could be opened.

    Attributes:
        path: As `robustdir` takes it.
        kind: `auto`, or one of `robustdir dataset list`.
        part: Of the set, where it has parts; empty for its default.
        name: For people.
        notes: What was left out or assumed, or should be known.
        cases: All pairs.
    """

    path: str
    kind: str
    part: str
    name: str
    notes: tuple[str, ...]
    cases: tuple[OpenedCase, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Everyone, once each."""
        return tuple(dict.fromkeys(subject for case in self.cases for subject in case.subjects))

    @property
    def two_people(self) -> bool:
        """Whether every pair is of two people, so that any two scans make one."""
        return all(fixed != moving for fixed, moving in (case.subjects for case in self.cases))

    @property
    def labelled(self) -> bool:
        """Whether all pairs have label maps."""
        return all(case.labelled for case in self.cases)

    def is_labelled(self, subjects: Sequence[str]) -> bool:
        """Whether all pairs of any of these have label maps."""
        meant = set(subjects)
        return all(case.labelled for case in self.cases if not meant.isdisjoint(case.subjects))

    @property
    def working_voxels(self) -> float:
        """Of a pair, on average."""
        return sum(case.working_voxels for case in self.cases) / max(len(self.cases), 1)

    @property
    def words(self) -> list[str]:
        """The data set for a command of `robustdir dataset`."""
        return [self.path, "--kind", self.kind, *(["--split", self.part] if self.part else [])]


@dataclass(frozen=True)
class Shared:
    """How the subjects of a data set are shared out.

    Attributes:
        subjects: Of each part.
        cases: Number of the data set's own pairs of each part.
        scans: Number of scans of each part.
    """

    subjects: Mapping[str, tuple[str, ...]]
    cases: Mapping[str, int] = field(default_factory=dict)
    scans: Mapping[str, int] = field(default_factory=dict)

    def part_of(self, subjects: Sequence[str]) -> str:
        """The part that all of these are in; empty if there is none."""
        return next((name for name, held in self.subjects.items() if set(subjects) <= set(held)), "")

    def anywhere(self, subjects: Sequence[str]) -> bool:
        """Whether any of these is in a part."""
        return any(subject in held for held in self.subjects.values() for subject in subjects)

    def pairs(self, part: str, drawn: bool) -> int:
        """Pairs of a part: its scans where they are paired with one another, else the data set's own."""
        if not drawn:
            return self.cases.get(part, 0)
        scans = self.scans.get(part, 0)
        return scans if scans > 1 else 0

    def as_settings(self) -> dict[str, list[str]]:
        """For `SplitConfig`: everybody is named, so that the run is what the panel showed."""
        return {name: list(self.subjects.get(name, ())) for name in PARTS}


def opened_from(path: str, kind: str, part: str, events: Iterable[Mapping[str, Any]]) -> Opened | None:
    """The data set of the JSON lines of `dataset check`; None if they tell of none."""
    told = list(events)
    head = next((event for event in told if event.get("event") == "dataset"), None)
    if head is None:
        return None
    cases = tuple(_case(event) for event in told if event.get("event") == "case")
    return Opened(path, kind, part, str(head["name"]), tuple(head["notes"]), cases)


def _case(event: Mapping[str, Any]) -> OpenedCase:
    fixed, moving = event["subjects"]
    return OpenedCase(
        event["name"],
        (fixed, moving),
        event["preset"],
        dict(event["files"]),
        int(event["landmarks"]),
        tuple(event["holds"]),
        tuple(event["fixed"]["size"]),
        float(event["working_voxels"]),
    )


def shared_from(events: Iterable[Mapping[str, Any]]) -> Shared | None:
    """The split of the JSON line of `dataset split`; None if there is none."""
    told = next((event for event in events if event.get("event") == "split"), None)
    if told is None:
        return None
    return Shared({name: tuple(told[name]) for name in PARTS}, dict(told["cases"]), dict(told["scans"]))
