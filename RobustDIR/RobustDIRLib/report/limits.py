"""The limits that were given for a run: `tolerances.json` in its folder, so that they outlive the report of the day.

They are of one `run.json`, named by its checksum, as reviews are: those of an earlier run in the folder do not count.
"""

from __future__ import annotations

import json
from pathlib import Path

from RobustDIRLib.configuration import read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import DEFAULTS, Tolerances
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.files import PathLike, written_atomically
from RobustDIRLib.report.run import record_file

FILE, FORMAT = "tolerances.json", "robustdir-tolerances-1"


def kept_limits(folder: PathLike) -> tuple[Tolerances, tuple[str, ...]]:
    """The limits kept in a run's folder, the defaults if there are none of this run, and a warning that says so.

    Raises:
        InputError: If it is no folder of a run, or the file of limits is damaged.
    """
    run = record_file(folder)
    path = run.parent / FILE
    if not path.exists():
        return DEFAULTS, ()
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is no file of limits of the form {FORMAT!r}; move it elsewhere or correct it.")
    if content.get("run_sha256") != sha256(run):
        return DEFAULTS, (f"{FILE} holds limits of an earlier run in this folder; they do not count for this one.",)
    return Tolerances.from_json(content.get("limits"), str(path)), ()


def keep_limits(folder: PathLike, tolerances: Tolerances) -> Path:
    """Keep the limits for the reports that follow.

    Raises:
        InputError: If it is no folder of a run, or the file cannot be written.
    """
    run = record_file(folder)
    content = {"format": FORMAT, "run_sha256": sha256(run), "limits": tolerances.to_json()}
    with written_atomically(run.parent / FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return run.parent / FILE
