"""Data sets that the panel describes: a `robustdir-dataset.json` of patterns, in the runs folder. No Qt."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import make_folder, write_json
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import DATA_SET

FOLDER = "data_sets"  # within the runs folder
PAIRS, SCANS = "pairs", "scans"
_LONGEST = 60
# By what the form calls them.
_PAIR_ROLES = ("fixed", "moving", "fixed_labels", "moving_labels", "fixed_landmarks", "moving_landmarks")
_SCAN_ROLES = {"fixed": "image", "fixed_labels": "labels", "fixed_landmarks": "landmarks"}


def tame(title: str) -> str:
    """A title without what no file system takes."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-.")[:_LONGEST]


def pattern_settings(folder: Path, way: str, patterns: Mapping[str, str], pairing: str, preset: str) -> dict[str, Any]:
    """The content of a data set's file.

    Args:
        folder: Where the data lie.
        way: `pairs` or `scans`.
        patterns: By role; scans are told by those of the fixed image alone; empty ones are left out.
        pairing: Of scans.
        preset: Of all cases.
    Raises:
        InputError: If a pattern is missing.
    """
    given = {role: text.strip() for role, text in patterns.items() if text.strip()}
    if not folder.is_dir():
        raise InputError(_("{folder} is no folder: choose the one that the patterns are within.").format(folder=folder))
    settings: dict[str, Any] = {"folder": str(folder.absolute()), "preset": preset, "name": folder.name}
    if way == SCANS:
        named = {_SCAN_ROLES[role]: text for role, text in given.items() if role in _SCAN_ROLES}
        if "image" not in named:
            raise InputError(_("Give the pattern of the images, such as images/{scan}.nii.gz."))
        return {**settings, "scans": named, "pairing": pairing}
    if missing := [role for role in ("fixed", "moving") if role not in given]:
        raise InputError(
            _("Give the pattern of the {role} images, such as {{subject}}/{role}.nii.gz.").format(role=missing[0])
        )
    return {**settings, "pattern": {role: given[role] for role in _PAIR_ROLES if role in given}}


def write_settings(home: Path, settings: Mapping[str, Any]) -> Path:
    """Write a data set's file where runs find it again; equal settings have one place.

    Args:
        home: The runs folder.
        settings: Its content.
    Raises:
        InputError: If it cannot be written.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    folder = home / FOLDER / f"{tame(str(settings['name']))}-{digest}"
    make_folder(folder)
    write_json(folder / DATA_SET, settings)
    return folder / DATA_SET
