"""A run's folder as the report reads it: the record, and which inputs are still what they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from RobustDIRLib.configuration import read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import is_sealed, sha256
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.input_files import input_sha256
from RobustDIRLib.run_files import LABELS, RECORD

T = TypeVar("T")

UNCHANGED, CHANGED, MISSING = "unchanged", "changed since", "not found"
FOREIGN, UNKNOWN = "not of this run", "not recorded"
_OUTPUTS = ("*.h5", "*.nii.gz")
_MEASURES = ("folding_percent", "sdlogj", "inverse_residual_mm")
_NUMBER, _UNDEFINED = (int, float), (int, float, type(None))
# What a record's parts are where they are there, by their names with dots between; a list's by those of each entry, and
# `*` stands for all of them. A run of now is known by its checksum; these tell of one of before it was kept.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "inputs": dict, "outputs": dict, "warnings": list, "alignment": dict, "alignment.overlap": _NUMBER,
    "alignment.stages": list, "versions": dict, "seeds": dict, "timings_s": dict, "model": dict, "model.path": str,
    "working_grid": dict, "measures.folding_percent": _NUMBER, "measures.sdlogj": _NUMBER,
    "measures.inverse_residual_mm": dict, "measures.inverse_residual_mm.*": _NUMBER, "measures.tre": dict,
    "measures.dice": list, "measures.dice.labels.name": str, "measures.dice.labels.only_in": str,
    "measures.dice.labels.reason": str,
    **{f"measures.dice.labels.{name}": _NUMBER for name in ("before", "after", "hd95_mm", "assd_mm", "mda_mm")},
}  # fmt: skip
# And what must be there, if what holds it is.
_NEEDED: dict[str, type | tuple[type, ...]] = {
    "alignment.stages.name": str, "alignment.stages.metric": _UNDEFINED, "alignment.stages.kept": bool,
    "alignment.stages.reason": str, "timings_s.*": _NUMBER, "model.name": object, "model.sha256": object,
    "working_grid.size": list, "working_grid.size.*": int, "working_grid.spacing": list,
    "working_grid.spacing.*": _NUMBER, "measures.tre.landmarks": list, "measures.tre.landmarks.name": str,
    "measures.tre.landmarks.before_mm": _UNDEFINED, "measures.tre.landmarks.linear_mm": _UNDEFINED,
    "measures.tre.landmarks.after_mm": _NUMBER, "measures.dice.labels": list, "measures.dice.labels.label": int,
}  # fmt: skip
_TITLES = {
    "fixed": "Fixed image",
    "moving": "Moving image",
    "fixed_mask": "Fixed mask",
    "moving_mask": "Moving mask",
    "fixed_landmarks": "Fixed landmarks",
    "moving_landmarks": "Moving landmarks",
    "labels": "Moving labels",
    "fixed_labels": "Fixed labels",
}


@dataclass(frozen=True)
class Input:
    """A file that a run was made from.

    Attributes:
        role: Its key in `run.json`: `fixed`, `moving`, `labels` ...
        index: Which of several it is (label maps), from 0.
        path: Where it lay.
        sha256: Its checksum then.
        state: `UNCHANGED`, `CHANGED` or `MISSING`, by its checksum now.
    """

    role: str
    index: int
    path: Path
    sha256: str
    state: str

    @property
    def title(self) -> str:
        """What it is, for people."""
        return _TITLES.get(self.role, self.role) + (f" {self.index + 1}" if self.index else "")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Attributes:
        folder: Absolute.
        record: What `run.json` says.
        sha256: Checksum of `run.json`: which run a review is of.
        written: When `run.json` was written, by the file system.
        inputs: Files it was made from; empty where the run did not record them.
        outputs: Names and checksums of its other files as they are now.
        states: By name, of these and of those that are gone: `UNCHANGED`, `CHANGED` or `MISSING` by the checksums that
            the run recorded, `FOREIGN` where it recorded no such file, `UNKNOWN` where it recorded none at all.
        warnings: What the report cannot show, and why.
    """

    folder: Path
    record: Mapping[str, Any]
    sha256: str
    written: datetime
    inputs: tuple[Input, ...]
    outputs: Mapping[str, str]
    states: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def strangers(self) -> tuple[str, ...]:
        """Files that lie where the run's should, and are not those that it wrote."""
        return tuple(
            name
            for name, state in self.states.items()
            if state == CHANGED or (state == FOREIGN and fnmatch(name, LABELS))
        )

    @property
    def measures(self) -> Mapping[str, Any]:
        """What was measured, as `run.json` has it."""
        return dict(self.record["measures"])

    def input(self, role: str, index: int = 0) -> Input | None:
        """The input of a role; None if the run had none."""
        return next((one for one in self.inputs if (one.role, one.index) == (role, index)), None)


def record_file(folder: PathLike) -> Path:
    """Absolute path of a run's record.

    Raises:
        InputError: If the folder holds none.
    """
    folder = Path(folder).absolute()
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is no folder; give the folder that `robustdir register` wrote.")
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds no {RECORD}; give the folder that `robustdir register` wrote.")
    return folder / RECORD


def read_run(folder: PathLike) -> RunFolder:
    """Read a run's folder and compare every input, and every file that it wrote, with its checksum.

    Raises:
        InputError: If it is no folder of a run, or `run.json` is damaged.
    """
    path = record_file(folder)
    folder, record = path.parent, read_json(path)
    measures = record.get("measures") if isinstance(record, dict) else None
    if not isinstance(measures, dict) or not all(key in measures for key in _MEASURES):
        raise InputError(f"{path} is not the record of a registration; register again.")
    if "sha256" in record and not is_sealed(record):
        raise InputError(f"{path} was changed after the run had written it; put it back as it was, or register again.")
    if wrong := next(_misfits(record), None):
        raise InputError(f"{path} is damaged: what it says under {wrong} is not what a run writes; register again.")
    inputs = tuple(_inputs(path, record.get("inputs") or {}))
    written = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    outputs = _outputs(folder)
    states = _states(outputs, record.get("outputs"))
    run = RunFolder(folder, record, sha256(path), written, inputs, outputs, states, _warnings(inputs))
    return replace(run, warnings=(*run.warnings, *_output_warnings(run)))


def _misfits(record: Any) -> Iterator[str]:
    """Names of what is of another kind than a run writes."""
    for kinds in (_KINDS, _NEEDED):
        for name, kind in kinds.items():
            if not all(_fit(record, name.split("."), kind, kinds is _NEEDED)):
                yield name


def _fit(held: Any, names: list[str], kind: type | tuple[type, ...], needed: bool) -> Iterator[bool]:
    """Whether everything of a name is of a kind; what is not there, or null, is, unless it is needed."""
    if not names:
        yield isinstance(held, kind) and (kind in (bool, object) or not isinstance(held, bool))
    elif isinstance(held, list):
        for one in held:
            yield names[0] == "*" or isinstance(one, dict)
            yield from _fit(one, names[names[0] == "*" :], kind, needed)
    elif isinstance(held, dict):
        name, *rest = names
        yield name in held or name == "*" or bool(rest) or not needed
        for one in held.values() if name == "*" else [held[name]] if name in held else []:
            if one is not None or (needed and not rest):
                yield from _fit(one, rest, kind, needed)
    else:
        yield False


def _inputs(path: Path, recorded: Mapping[str, Any]) -> Iterator[Input]:
    for role, entries in recorded.items():
        for index, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("path", "sha256")):
                raise InputError(f"{path}: the input {role} has no path and checksum; register again.")
            yield Input(role, index, Path(entry["path"]), entry["sha256"], _state(Path(entry["path"]), entry["sha256"]))


def _state(path: Path, checksum: str) -> str:
    try:
        return UNCHANGED if input_sha256(path) == checksum else CHANGED
    except InputError:
        return MISSING


def _outputs(folder: Path) -> dict[str, str]:
    names = sorted(path.name for pattern in _OUTPUTS for path in folder.glob(pattern) if not path.name.startswith("."))
    return {name: sha256(folder / name) for name in names}


def _states(outputs: Mapping[str, str], recorded: Any) -> dict[str, str]:
    if not isinstance(recorded, Mapping):
        return dict.fromkeys(outputs, UNKNOWN)
    states = {
        name: MISSING if name not in outputs else UNCHANGED if outputs[name] == checksum else CHANGED
        for name, checksum in recorded.items()
    }
    return states | {name: FOREIGN for name in outputs if name not in recorded}


def _output_warnings(run: RunFolder) -> Iterator[str]:
    if UNKNOWN in run.states.values():
        yield f"{RECORD} holds no checksums of the run's files; whether they belong to it cannot be told."
    for name in run.strangers:
        yield f"{name} is not the file that this run wrote (its checksum differs); it is left out: register again."
    for name, state in run.states.items():
        if state == MISSING:
            yield f"{name}, which this run wrote, is not in its folder any more; what needs it is left out."


def _warnings(inputs: tuple[Input, ...]) -> tuple[str, ...]:
    if not inputs:
        return ("The run did not record its inputs; pictures and structures that need them are left out.",)
    sentences = {
        CHANGED: "has changed since the registration (its checksum differs); what needs it is left out.",
        MISSING: "can no longer be read; what needs it is left out.",
    }
    return tuple(f"{one.title}: {one.path} {sentences[one.state]}" for one in inputs if one.state != UNCHANGED)


@dataclass
class Reader:
    """Reads what a report shows; what cannot be read becomes a warning and None.

    Attributes:
        run: The run.
        warnings: Grows as something cannot be read.
    """

    run: RunFolder
    warnings: list[str]

    def input(self, read: Callable[[Path], T], role: str, index: int = 0) -> T | None:
        """An input that is still what it was; None, without a further warning, if there is none such."""
        found = self.run.input(role, index)
        return self._try(read, found.path) if found and found.state == UNCHANGED else None

    def output(self, read: Callable[[Path], T], name: str) -> T | None:
        """A file that the run wrote; None, without a further warning, if it is gone or another lies in its place."""
        if name in self.run.strangers or self.run.states.get(name) == MISSING:
            return None
        return self._try(read, self.run.folder / name)

    def _try(self, read: Callable[[Path], T], path: Path) -> T | None:
        try:
            return read(path)
        except InputError as error:
            self.warnings.append(str(error))
            return None
