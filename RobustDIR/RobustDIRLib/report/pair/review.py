"""What a run's folder keeps for its reports: what reviewers said, and the limits that were given.

`review.json` only ever grows; `tolerances.json` outlives the report of the day. Both are of one `run.json`, named by
its checksum: those of an earlier run in the same folder do not count for a new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from RobustDIRLib.configuration import from_dict, read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import DEFAULTS, Tolerances
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.files import PathLike, write_json, written_atomically
from RobustDIRLib.report.pair.run_folder import record_file

FILE, FORMAT = "review.json", "robustdir-review-1"
LIMITS_FILE, LIMITS_FORMAT = "tolerances.json", "robustdir-tolerances-1"
DECISIONS = {"accept": "accepted", "reject": "rejected"}


@dataclass(frozen=True)
class Review:
    """One reviewer's word on one run.

    Attributes:
        reviewer: Name.
        date: Of the review, `YYYY-MM-DD`.
        decision: One of `DECISIONS`.
        comment: Any text.
        run_sha256: Checksum of the `run.json` that was reviewed.
        limits: What the figures were held against, by name, all of them; None in reviews that did not keep it.
    Raises:
        ValueError: If the name is empty, the date is none, the decision is unknown, or a limit cannot be.
    """

    reviewer: str
    date: str
    decision: str
    comment: str
    run_sha256: str
    limits: dict[str, float | str] | None = None

    def __post_init__(self) -> None:
        if not self.reviewer.strip():
            raise ValueError("a review needs the reviewer's name")
        if self.decision not in DECISIONS:
            raise ValueError(f"the decision must be {' or '.join(DECISIONS)}, not {self.decision!r}")
        if not _is_date(self.date):
            raise ValueError(f"the date must be of the form YYYY-MM-DD, not {self.date!r}")
        if self.limits is not None:
            object.__setattr__(self, "limits", Tolerances.from_json(self.limits, "the limits").to_json())

    def other_limits(self, now: Tolerances) -> str:
        """The limits that were others when it was written, for people: `sdlogj 0.5, dice off`; empty if none was."""
        limits = self.limits or now.limits
        return ", ".join(f"{name} {_said(limits[name])}" for name in limits if limits[name] != now.limits[name])

    @property
    def decided(self) -> str:
        """The decision, for people."""
        return DECISIONS[self.decision]


def _said(limit: float | str) -> str:
    return limit if isinstance(limit, str) else f"{limit:g}"


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def read_reviews(path: PathLike) -> tuple[Review, ...]:
    """All reviews of a file, the oldest first; none if there is no such file.

    Raises:
        InputError: If it is no file of reviews.
    """
    path = Path(path)
    if not path.exists():
        return ()
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("reviews"), list):
        raise InputError(
            f"{path} is no file of reviews of the form {FORMAT!r}; move it elsewhere or give the right one."
        )
    return tuple(from_dict(Review, one, f"{path}: review {k}") for k, one in enumerate(content["reviews"], start=1))


def add_reviews(folder: Path, reviews: Iterable[Review], run_sha256: str) -> None:
    """Add reviews of a run to its folder's file, whole or not at all; those it holds already are not repeated.

    Raises:
        InputError: If one is of another run, or the file cannot be written.
    """
    reviews = tuple(reviews)
    if foreign := [one for one in reviews if one.run_sha256 != run_sha256]:
        raise InputError(
            f"the review by {foreign[0].reviewer} of {foreign[0].date} is of another run than the one in {folder}; "
            f"look at this run's own report and review that."
        )
    path = folder / FILE
    present = read_reviews(path)
    new = [one for k, one in enumerate(reviews) if one not in (*present, *reviews[:k])]
    if new:
        text = json.dumps(as_json((*present, *new)), indent=2, ensure_ascii=False)
        with written_atomically(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def as_json(reviews: Iterable[Review]) -> dict[str, Any]:
    """What the file holds."""
    return {"format": FORMAT, "reviews": [asdict(one) for one in reviews]}


def kept_limits(folder: PathLike) -> tuple[Tolerances, tuple[str, ...]]:
    """The limits kept in a run's folder, the defaults if there are none of this run, and a warning that says so.

    Raises:
        InputError: If it is no folder of a run, or the file of limits is damaged.
    """
    run = record_file(folder)
    path = run.parent / LIMITS_FILE
    if not path.exists():
        return DEFAULTS, ()
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != LIMITS_FORMAT:
        raise InputError(f"{path} is no file of limits of the form {LIMITS_FORMAT!r}; move it elsewhere or correct it.")
    if content.get("run_sha256") != sha256(run):
        return DEFAULTS, (
            f"{LIMITS_FILE} holds limits of an earlier run in this folder; they do not count for this one.",
        )
    return Tolerances.from_json(content.get("limits"), str(path)), ()


def keep_limits(folder: PathLike, tolerances: Tolerances) -> Path:
    """Keep the limits for the reports that follow.

    Raises:
        InputError: If it is no folder of a run, or the file cannot be written.
    """
    run = record_file(folder)
    content = {"format": LIMITS_FORMAT, "run_sha256": sha256(run), "limits": tolerances.to_json()}
    write_json(run.parent / LIMITS_FILE, content)
    return run.parent / LIMITS_FILE
