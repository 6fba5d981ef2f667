"""What is to be evaluated: cases, methods and conditions, and what a result has to be made with to count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from RobustDIRLib import __version__
from RobustDIRLib.baselines.method import Method
from RobustDIRLib.baselines.settings import settings_of
from RobustDIRLib.cohort.results import AS_THEY_ARE, Condition, Key, Result
from RobustDIRLib.cohort.terms import Terms
from RobustDIRLib.configuration import from_dict, read_json
from RobustDIRLib.datasets.cases import Case, Dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import sha256_of_values
from RobustDIRLib.io.files import write_json
from RobustDIRLib.io.input_files import files_of, input_sha256
from RobustDIRLib.run_files import EVALUATION

FORMAT = "robustdir-evaluation-2"


@dataclass(frozen=True)
class MethodEntry:
    """A method as the folder remembers it."""

    name: str
    title: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class CaseEntry:
    """A case as the folder remembers it."""

    name: str
    subject: str


@dataclass(frozen=True)
class DatasetEntry:
    """A data set as the folder remembers it; `subjects`: those whose pairs alone are taken, all if there are none."""

    name: str
    path: str
    kind: str
    split: str | None
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """Content of `evaluation.json`: all that was ever asked for in a folder, so that methods can be added later.

    Attributes:
        dataset: Where the cases come from.
        cases: In the order of the data set.
        methods: In the order in which they were first asked for.
        conditions: The unperturbed one first.
        terms: What every method is given alike.
        worst: How many worst cases a method has its pictures of.
        command: How to repeat it; a line for each go, if there were several with other methods or conditions.
        notes: Of the data set.
        format: Of the file.
    """

    dataset: DatasetEntry
    cases: tuple[CaseEntry, ...]
    methods: tuple[MethodEntry, ...]
    conditions: tuple[Condition, ...] = (AS_THEY_ARE,)
    terms: Terms = Terms()
    worst: int = 3
    command: str = ""
    notes: tuple[str, ...] = ()
    format: str = FORMAT

    def places(self) -> Iterator[Key]:
        """Every result there is to be: case by case, the conditions of a case together."""
        for case in self.cases:
            for condition in self.conditions:
                for method in self.methods:
                    yield Key(case.name, method.name, condition)

    def subject_of(self) -> dict[str, str]:
        """Subject by case."""
        return {case.name: case.subject for case in self.cases}


def planned(dataset: Dataset, path: Path, split: str | None, methods: Sequence[Method], **rest: Any) -> Evaluation:
    """The evaluation of a data set by some methods.

    Args:
        dataset: Opened.
        path: What it was opened from.
        split: Part of it that was asked for.
        methods: As `baselines.registry.find_method` gives them.
        rest: Further fields of `Evaluation`.
    """
    return Evaluation(
        DatasetEntry(dataset.name, str(path.absolute()), dataset.kind, split),
        tuple(CaseEntry(case.name, case.subject) for case in dataset.cases),
        tuple(MethodEntry(method.name, title_of(method), settings_of(method)) for method in methods),
        notes=dataset.notes,
        **rest,
    )


def read_evaluation(folder: Path) -> Evaluation | None:
    """What a folder remembers; None if nothing was evaluated there.

    Raises:
        InputError: If its file is damaged or of another version.
    """
    path = folder / EVALUATION
    if not path.is_file():
        return None
    values = read_json(path)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{path} is no evaluation of this version; give another folder.")
    return from_dict(Evaluation, values, str(path))


def require_evaluation(folder: Path) -> Evaluation:
    """What a folder remembers.

    Raises:
        InputError: If nothing was evaluated there, or its file is damaged or of another version.
    """
    evaluation = read_evaluation(folder)
    if evaluation is None:
        raise InputError(f"{folder} holds no evaluation; give the folder that `robustdir evaluate` wrote to.")
    return evaluation


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Remember an evaluation in its folder."""
    write_json(folder / EVALUATION, asdict(evaluation))


def merged(before: Evaluation | None, now: Evaluation, folder: Path) -> Evaluation:
    """An evaluation added to what its folder remembers: same data set, further methods and conditions.

    Raises:
        InputError: If the folder belongs to another data set, or methods were given something else in it.
    """
    if before is None:
        return now
    if (before.dataset.name, before.dataset.kind, before.dataset.split) != (
        now.dataset.name,
        now.dataset.kind,
        now.dataset.split,
    ):
        raise InputError(
            f"{folder} holds the evaluation of {before.dataset.name} ({before.dataset.path}), not of "
            f"{now.dataset.name}; give another folder."
        )
    for name in ("masks", "spacing"):
        old, new = (getattr(one.terms, name) for one in (before, now))
        if old != new:
            raise InputError(
                f"{folder} holds results made with `{name}` {old}, which do not compare with those of `{name}` {new}; "
                f"give another folder."
            )
    newer = {method.name: method for method in now.methods}
    methods = [newer.pop(method.name, method) for method in before.methods]
    conditions = dict.fromkeys((AS_THEY_ARE, *before.conditions, *now.conditions))
    # What an evaluation was made by in several goes is repeated by all of them.
    commands = "\n".join(dict.fromkeys([*before.command.splitlines(), *now.command.splitlines()]))
    return replace(now, command=commands, methods=(*methods, *newer.values()), conditions=tuple(conditions))


def title_of(method: Method) -> str:
    """What a method is called in tables."""
    return str(getattr(method, "title", method.name))


def made_with(
    case: Case,
    method: Mapping[str, Any],
    perturbation: Mapping[str, Any],
    measures: Mapping[str, Any],
    files: Mapping[str, str],
    terms: Terms = Terms(),  # noqa: B008
) -> dict[str, Any]:
    """What a result is made with, as it is kept beside it and compared.

    Args:
        case: Gives the preset.
        method: Settings of the method.
        perturbation: Of the condition.
        measures: Settings of the measures.
        files: Checksums of the case's files, by what they are.
        terms: What every method is given; masks make no difference to a case without.
    """
    masked = case.fixed_mask is not None or case.moving_mask is not None
    return {
        "robustdir": __version__,
        "preset": case.preset,
        "input": dict(files),
        "method": dict(method),
        "perturbation": dict(perturbation),
        "measures": dict(measures),
        "spacing": terms.spacing,
        **({"masks": terms.masks} if masked else {}),
    }


def checksums(case: Case, known: Result | None = None) -> tuple[dict[str, str], dict[str, list[int]]]:
    """SHA-256 of every file of a case, by what it is, and a stamp by which a change of the file would show.

    Args:
        case: Its files are read, each once in a process.
        known: A result whose checksums hold for files with the stamps it kept; those are not read again.
    Raises:
        InputError: If a file is missing or cannot be read.
    """
    sums, stamps = {}, {}
    for role, path in case.files().items():
        stamp = _stamp(path)
        stamps[role] = list(stamp)
        old = known.made_with.get("input", {}).get(role) if known and known.stamps.get(role) == list(stamp) else None
        sums[role] = str(old) if old else _checksum(path, stamp)
    return sums, stamps


@lru_cache(maxsize=4096)
def _checksum(path: Path, stamp: tuple[int, ...]) -> str:
    return input_sha256(path)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when the files that a path stands for do: number, bytes, time of change.

    Of several files the names, sizes and times of all, in one number: two that change places, or one that gives way to
    an older one, leave no other trace.
    """
    try:
        stats = [(file.name, file.stat()) for file in files_of(path)]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and the permissions.") from error
    whole = [(name, one.st_size, one.st_mtime_ns) for name, one in stats]
    last = whole[0][2] if len(whole) == 1 else int(sha256_of_values(whole)[:15], 16)
    return len(whole), sum(size for _, size, _ in whole), last
