"""What every study is: runs with labels, done one after the other in a folder, and rows of figures made of them.

A study can be killed at any moment: what is finished is kept, a training goes on from its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from RobustDIRLib.configuration import read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import is_sealed, sealed
from RobustDIRLib.io.files import make_folder, write_json

RESULT, STUDY, RUNS = "result.json", "study.json", "runs"
Record = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class StudyRun:
    """One piece of a study.

    Attributes:
        name: Of its folder, unique in the study.
        labels: What tells it from the others, in plain values: the columns that rows are grouped by.
        work: Does it in a folder, yielding records, and goes on where an earlier go was cut off.
        measure: Figures of the finished run in its folder, in plain values.
    """

    name: str
    labels: Mapping[str, Any]
    work: Callable[[Path], Iterator[Record]]
    measure: Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Study:
    """A study, ready to run.

    Attributes:
        name: Of the study.
        settings: All of them, to be kept with the results.
        runs: In the order in which they are done.
        report: Writes tables and pictures of rows into a folder.
        notes: What a reader must know, a sentence each.
    """

    name: str
    settings: Mapping[str, Any]
    runs: Sequence[StudyRun]
    report: Callable[[Sequence[Row], Path], None]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse runs that would share a folder, and so a result, or leave the study's own.

        Raises:
            InputError: Names the run; or if there is none.
        """
        if not self.runs:
            raise InputError(f"{self.name}: the settings ask for no run; name what is to be compared.")
        held = set[str]()
        for name in (run.name for run in self.runs):
            if name in ("", ".", "..") or set(name) & set("/\\\0"):
                raise InputError(f"{self.name}: {name!r} cannot be a folder's name; give a name without slashes.")
            if name.lower() in held:  # no two on disks that know no case either
                raise InputError(
                    f"{self.name}: two of the runs would be kept as {name!r}; name everything that is compared once, "
                    "by letters and digits that differ."
                )
            held.add(name.lower())


def carry_out(study: Study, folder: Path) -> Iterator[Record]:
    """Do what is left of a study and sum it up after every run.

    Yields:
        The records of its runs, each with `run`, and one of kind `result` for each that is finished.
    Raises:
        InputError: If the folder holds another study or one of other settings.
    """
    make_folder(folder)
    _check_same(study, folder)
    for run in study.runs:
        place = folder / RUNS / run.name
        if not (place / RESULT).is_file():
            for record in run.work(place):
                yield {"run": run.name, **record}
                if record["kind"] == "stop":
                    return
            row = {**run.labels, **run.measure(place)}
            _write(place / RESULT, sealed(row))
        yield {"run": run.name, **_result(place / RESULT), "kind": "result"}
        study.report(rows_of(study, folder), folder)


def rows_of(study: Study, folder: Path) -> list[Row]:
    """Rows of the runs that are finished, in the study's order."""
    files = (folder / RUNS / run.name / RESULT for run in study.runs)
    return [_result(file) for file in files if file.is_file()]


def _result(file: Path) -> Row:
    row = read_json(file)
    if not isinstance(row, dict) or ("sha256" in row and not is_sealed(row)):
        raise InputError(f"{file} is not what was measured; delete it, and it is measured again.")
    return {name: value for name, value in row.items() if name != "sha256"}


def _check_same(study: Study, folder: Path) -> None:
    now = json.loads(json.dumps({"study": study.name, "settings": dict(study.settings)}))
    file = folder / STUDY
    if not file.exists():
        _write(file, now)
    elif read_json(file) != now:
        raise InputError(f"{folder} holds another study, or one of other settings ({file}); name another folder.")


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
