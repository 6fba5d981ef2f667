"""`robustdir-dataset.json`: what a user writes to say where a data set lies and what in it is what.

{"folder": "/data/liver", "name": "liver 4D-MRI", "preset": "generic",
 "pattern": {"fixed": "{subject}/exhale.nii.gz", "moving": "{subject}/{phase}.nii.gz",
             "fixed_landmarks": "{subject}/exhale.csv", "moving_landmarks": "{subject}/{phase}.csv"}}

{"folder": "/data/mice", "scans": {"image": "images/{scan}.nii.gz", "labels": "labels/{scan}.nii.gz"},
 "pairing": "neighbours", "limit": 8}

{"folder": "/data/hippocampus", "kind": "learn2reg", "pairing": "neighbours", "limit": 20}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from RobustDIRLib.configuration import from_dict, read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.presets import PRESETS

PAIRINGS = ("neighbours", "chain", "first", "all")


@dataclass(frozen=True)
class PairPattern:
    """Where the files of a pair lie: paths in the data set's folder with placeholders such as `{subject}`.

    A placeholder stands for a part of a file's or folder's name; `*` stands for anything, and then exactly one file
    must fit. Every placeholder occurs in `moving`; each of its files makes a case, `fixed` itself left out.
    """

    fixed: str
    moving: str
    fixed_mask: str | None = None
    moving_mask: str | None = None
    fixed_landmarks: str | None = None
    moving_landmarks: str | None = None
    fixed_labels: str | None = None
    moving_labels: str | None = None


@dataclass(frozen=True)
class ScanPattern:
    """Where the files of one scan lie, for scans that are paired with one another; placeholders as in `PairPattern`."""

    image: str
    mask: str | None = None
    landmarks: str | None = None
    labels: str | None = None


@dataclass(frozen=True)
class CaseSettings:
    """One case by the paths of its files, relative to the data set's folder."""

    name: str
    fixed: str
    moving: str
    subject: str | None = None
    preset: str | None = None
    fixed_mask: str | None = None
    moving_mask: str | None = None
    fixed_landmarks: str | None = None
    moving_landmarks: str | None = None
    fixed_labels: str | None = None
    moving_labels: str | None = None


@dataclass(frozen=True)
class Settings:
    """Content of `robustdir-dataset.json`; everything may be left out.

    Attributes:
        folder: Where the data lie, absolute or from the file's own folder, which is the default.
        kind: One of `opening.KINDS`; found out by default.
        name: Of the data set, for tables; the folder's by default.
        preset: For the registration of every case; by default what the kind says.
        split: Which part of the set, for kinds that have parts.
        listing: Name of the dataset.json, where a Learn2Reg folder has several.
        pattern: For plain folders of pairs.
        scans: For plain folders of scans to be paired with one another.
        cases: For plain folders, each case by its paths.
        pairing: Of scans: `"neighbours"` by name (1-2, 3-4, ..., and the last of an odd number with the
            one before it), `"chain"` (1-2, 2-3, ...), `"first"` (1-2, 1-3, ...) or `"all"`; the first named is fixed.
        limit: At most so many cases, the first ones.
        per_site: At most so many scans of a hospital, the first ones, for kinds that have hospitals (26 in section
            2.3.3).
        links: Whether links may lead out of the folder.
        fill_nan: What NaN voxels of images become; by default the smallest value, where they are the outside alone.
    """

    folder: str | None = None
    kind: str = "auto"
    name: str | None = None
    preset: str | None = None
    split: str | None = None
    listing: str | None = None
    pattern: PairPattern | None = None
    scans: ScanPattern | None = None
    cases: tuple[CaseSettings, ...] | None = None
    pairing: str | None = None
    limit: int | None = None
    per_site: int | None = None
    links: bool = False
    fill_nan: float | None = None

    def __post_init__(self) -> None:
        presets = [self.preset, *(case.preset for case in self.cases or ())]
        unknown = [preset for preset in presets if preset is not None and preset not in PRESETS]
        if unknown:
            raise ValueError(f'there is no preset "{unknown[0]}"; choose one of {", ".join(PRESETS)}')
        if self.pairing is not None and self.pairing not in PAIRINGS:
            raise ValueError(f'there is no pairing "{self.pairing}"; choose one of {", ".join(PAIRINGS)}')
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"a limit of {self.limit} leaves no case; give a number of at least 1")
        if self.per_site is not None and self.per_site < 2:
            raise ValueError(f"per_site {self.per_site} leaves no pair; give a number of at least 2")
        if sum(part is not None for part in (self.pattern, self.scans, self.cases)) > 1:
            raise ValueError("pattern, scans and cases exclude one another; give one of them")
        if self.pairing and (self.pattern or self.cases):
            raise ValueError("pairing is for scans, and pattern and cases name pairs; leave one of them out")
        if self.plain and self.kind not in ("auto", "folders"):
            raise ValueError(f'pattern, scans and cases are for the kind "folders", not "{self.kind}"; leave one out')

    @property
    def plain(self) -> bool:
        """Whether it says where each file lies."""
        return self.pattern is not None or self.scans is not None or self.cases is not None


def read_settings(path: Path) -> Settings:
    """The content of a `robustdir-dataset.json`.

    Raises:
        InputError: If it is missing, no JSON, or has a setting that is unknown or wrong.
    """
    values = read_json(path)
    try:
        return from_dict(Settings, values, "the data set file")
    except InputError as error:
        raise InputError(f"{path}: {str(error).rstrip('.')}.") from error
