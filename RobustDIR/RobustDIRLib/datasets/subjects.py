"""A data set by the people in it: their scans, and the pairs of some of them alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from RobustDIRLib.configuration import read_json
from RobustDIRLib.datasets.building import Scan, pair, safe_name
from RobustDIRLib.datasets.cases import Case, Dataset
from RobustDIRLib.errors import InputError


def scans_of(cases: Iterable[Case]) -> tuple[Scan, ...]:
    """Every scan that cases pair, once each, in their order."""
    scans: dict[str, Scan] = {}
    for case in cases:
        for scan in scans_of_case(case):
            scans.setdefault(scan.name, scan)
    return tuple(scans.values())


def scans_of_case(case: Case) -> tuple[Scan, Scan]:
    """The fixed and the moving scan of a case, each called by its image's path."""
    fixed, moving = case.subjects
    return _scan(case, "fixed", fixed), _scan(case, "moving", moving)


def _scan(case: Case, role: str, subject: str) -> Scan:
    image = getattr(case, role)
    held = [getattr(case, f"{role}_{what}") for what in ("mask", "landmarks", "labels")]
    return Scan(str(image.path), subject, image, *held)


def two_people(cases: Sequence[Case]) -> bool:
    """Whether every case pairs two people, so that any two scans make a pair."""
    return bool(cases) and all(fixed != moving for fixed, moving in (case.subjects for case in cases))


def ring(scans: Sequence[Scan], preset: str) -> list[Case]:
    """Each scan with the next one, the last with the first; none of a person with themselves."""
    couples = zip(scans, (*scans[1:], *scans[:1]), strict=True) if len(scans) > 1 else ()
    return [
        pair(a, b, preset, safe_name(f"{number:03d}", f"{a.subject}-{b.subject}"))
        for number, (a, b) in enumerate(couples, 1)
        if a.subject != b.subject
    ]


def of_subjects(dataset: Dataset, subjects: Iterable[str]) -> Dataset:
    """The pairs of some subjects alone; where all pairs are of two people, each of their scans with the next.

    Raises:
        InputError: If a subject is not in the data set, or they make no pair.
    """
    scans, here = scans_of(dataset.cases), set(subjects)
    if unknown := sorted(here - {scan.subject for scan in scans}):
        raise InputError(
            f"{dataset.folder} has no subject {', '.join(unknown[:5])}; `robustdir dataset check` lists them."
        )
    if two_people(dataset.cases):
        cases = ring([scan for scan in scans if scan.subject in here], dataset.cases[0].preset)
    else:
        cases = [case for case in dataset.cases if here.issuperset(case.subjects)]
    if not cases:
        raise InputError(f"{dataset.folder}: the {len(here)} subjects asked for make no pair; name more of them.")
    return replace(dataset, cases=tuple(cases))


def read_subjects(file: Path, part: str = "test") -> tuple[str, ...]:
    """Subjects that a file names: a JSON list, or the part of a split (`split.json` of a fine-tuning).

    Raises:
        InputError: If the file cannot be read or names nobody.
    """
    held = read_json(file)
    named = held.get(part) if isinstance(held, dict) else held
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        raise InputError(f'{file} names no subjects: give a JSON list of names, or {{"{part}": [names]}}.')
    return tuple(named)
