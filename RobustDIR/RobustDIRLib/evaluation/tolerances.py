"""Within or outside tolerance: what a registration's figures are held against, and what came of it.

The defaults follow AAPM TG-132 (Brock et al. 2017), which asks for errors up to the largest voxel side or 2 to 3 mm, a
Dice of 0.80 to 0.90 and no negative Jacobian determinant, and a clinical study of 2018 that allows a TRE of 5 mm at
most. Each is for the user to set: what is tolerable depends on what the registration is for. To be within tolerance
says that a figure keeps to a limit, and nothing about whether the registration may be used.

The report and the panel share this file; it needs neither torch nor NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from RobustDIRLib.errors import InputError

VOXEL, OFF = "voxel", "off"  # limits in words: the largest voxel side of the fixed image; not judged


class Verdict(str, Enum):
    """What came of holding a figure against its limit."""

    WITHIN = "within tolerance"
    OUTSIDE = "outside tolerance"
    UNDEFINED = "undefined"
    NOT_JUDGED = "not judged"

    @property
    def symbol(self) -> str:
        """A sign that tells the verdicts apart without colour."""
        return _SYMBOLS[self.name]


_SYMBOLS = {"WITHIN": "✓", "OUTSIDE": "✗", "UNDEFINED": "?", "NOT_JUDGED": "–"}


@dataclass(frozen=True)
class Criterion:
    """A figure that is held against a limit.

    Attributes:
        name: Of the setting, and of the figure in `figures_of`.
        title: For people.
        unit: `mm`, `%` or nothing.
        default: Limit: a number in that unit, `VOXEL` or `OFF`.
        at_least: Whether the limit is the least that is tolerated, not the most.
        highest: The largest limit that makes sense.
    """

    name: str
    title: str
    unit: str
    default: float | str
    at_least: bool = False
    highest: float = math.inf


CRITERIA = (
    Criterion("tre_mean_mm", "TRE, mean", "mm", VOXEL),
    Criterion("tre_max_mm", "TRE, largest", "mm", 5.0),
    Criterion("mda_mm", "Mean distance to agreement, worst structure", "mm", 3.0),
    Criterion("dice", "Dice, worst structure", "", 0.8, at_least=True, highest=1.0),
    Criterion("folding_percent", "Voxels with non-positive Jacobian determinant", "%", 0.0, highest=100.0),
    Criterion("inverse_p95_mm", "Inverse consistency, 95th percentile", "mm", VOXEL),
)
_BY_NAME = {criterion.name: criterion for criterion in CRITERIA}


@dataclass(frozen=True)
class Figure:
    """A measured figure, or why there is none.

    Attributes:
        value: None where it is undefined.
        note: Where it was found (the worst landmark or structure); if undefined, the reason.
        complete: Whether nothing can be worse; where the worst of several is sought and some are undefined, it can.
    """

    value: float | None
    note: str = ""
    complete: bool = True

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "note", f"the figure is {self.value}, not a finite number")
            object.__setattr__(self, "value", None)
        if self.value is None and not self.note:
            raise ValueError("an undefined figure needs a reason")


@dataclass(frozen=True)
class Judgement:
    """A figure beside its limit.

    Attributes:
        criterion: What is judged.
        figure: What was measured.
        limit: In the criterion's unit; None if it is not to be judged.
        by_voxel: Whether the limit is the largest voxel side.
        verdict: What came of it.
    """

    criterion: Criterion
    figure: Figure
    limit: float | None
    by_voxel: bool
    verdict: Verdict

    @property
    def limit_text(self) -> str:
        """The limit for people: `at most 2.5 mm (largest voxel side)`."""
        if self.limit is None:
            return "none set"
        unit = f" {self.criterion.unit}" if self.criterion.unit else ""
        ending = " (largest voxel side)" if self.by_voxel else ""
        return f"at {'least' if self.criterion.at_least else 'most'} {self.limit:.4g}{unit}{ending}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.criterion.name,
            "title": self.criterion.title,
            "unit": self.criterion.unit,
            "value": self.figure.value,
            "note": self.figure.note,
            "limit": self.limit,
            "limit_is_largest_voxel_side": self.by_voxel,
            "at_least": self.criterion.at_least,
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True)
class Tolerances:
    """A limit for each criterion.

    Attributes:
        limits: By the criteria's names: a number, `VOXEL` (of lengths) or `OFF`; those left out keep their default.
    Raises:
        InputError: For an unknown name or a limit that cannot be.
    """

    limits: Mapping[str, float | str]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.limits) - set(_BY_NAME))
        if unknown:
            raise InputError(f"there is no tolerance {', '.join(unknown)}; known are {', '.join(_BY_NAME)}.")
        complete = {c.name: _checked(c, self.limits.get(c.name, c.default)) for c in CRITERIA}
        object.__setattr__(self, "limits", complete)

    @classmethod
    def from_json(cls, values: Any, name: str = "tolerances") -> Tolerances:
        """From a JSON object of limits by name; null stands for `OFF`.

        Raises:
            InputError: If it is no such object; the message begins with `name`.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"{name}: tolerances must be a JSON object of limits by name, not {values!r}.")
        try:
            return cls({key: OFF if value is None else value for key, value in values.items()})
        except InputError as error:
            raise InputError(f"{name}: {error}") from error

    def edited(self, settings: Iterable[str]) -> Tolerances:
        """With settings as the command line takes them: `tre_max_mm=4`, `tre_mean_mm=voxel`, `dice=off`.

        Raises:
            InputError: For one that is not of this form, or cannot be.
        """
        changed = dict(self.limits)
        for setting in settings:
            name, equals, text = (part.strip() for part in setting.partition("="))
            if not equals:
                raise InputError(f"--tolerance {setting}: write NAME=LIMIT with NAME of {', '.join(_BY_NAME)}.")
            changed[name] = _number_or_word(text)
        return Tolerances.from_json(changed, "--tolerance")

    def to_json(self) -> dict[str, float | str]:
        """Every limit by name; `from_json` inverts it."""
        return dict(self.limits)

    def judge(self, name: str, figure: Figure, voxel_mm: float) -> Judgement:
        """Hold one figure against its limit.

        Args:
            name: Of the criterion.
            figure: What was measured.
            voxel_mm: Largest voxel side of the fixed image, mm.
        """
        criterion, setting = _BY_NAME[name], self.limits[name]
        limit = None if setting == OFF else voxel_mm if setting == VOXEL else float(setting)
        return Judgement(criterion, figure, limit, setting == VOXEL, _verdict(criterion, figure, limit))

    def judge_all(self, figures: Mapping[str, Figure], voxel_mm: float) -> tuple[Judgement, ...]:
        """Hold each figure against its limit, in the order of `CRITERIA`.

        Args:
            figures: By the criteria's names, all of them, as `figures_of` gives them.
            voxel_mm: Largest voxel side of the fixed image, mm.
        """
        return tuple(self.judge(criterion.name, figures[criterion.name], voxel_mm) for criterion in CRITERIA)


def _verdict(criterion: Criterion, figure: Figure, limit: float | None) -> Verdict:
    if limit is None:
        return Verdict.NOT_JUDGED
    if figure.value is None:
        return Verdict.UNDEFINED
    if not (figure.value >= limit if criterion.at_least else figure.value <= limit):
        return Verdict.OUTSIDE
    return Verdict.WITHIN if figure.complete else Verdict.UNDEFINED


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _checked(criterion: Criterion, limit: Any) -> float | str:
    """The limit, if it can be one."""
    words = [VOXEL, OFF] if criterion.unit == "mm" else [OFF]
    if limit in words:
        return str(limit)
    number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
    if not number or not 0 <= limit <= criterion.highest or math.isinf(limit):
        span = "0 {} upwards" if math.isinf(criterion.highest) else f"0 to {criterion.highest:g} {{}}"
        raise InputError(
            f"the limit {limit!r} of {criterion.name} cannot be; give a number from "
            f"{span.format(criterion.unit).rstrip()}, or {' or '.join(words)}."
        )
    return float(limit)


DEFAULTS = Tolerances({})


def summary(judgements: Iterable[Judgement]) -> str:
    """What came of all of them, in one sentence: outside before undefined before within."""
    by_verdict: dict[Verdict, list[str]] = {}
    for judgement in judgements:
        by_verdict.setdefault(judgement.verdict, []).append(judgement.criterion.title)
    within, outside = (len(by_verdict.get(verdict, ())) for verdict in (Verdict.WITHIN, Verdict.OUTSIDE))
    undefined = len(by_verdict.get(Verdict.UNDEFINED, ()))
    if not within + outside:
        return "No figure could be judged."
    parts = [f"{outside} of {within + outside} judged figures outside tolerance" if outside else ""]
    parts.append("" if outside else f"All {within} judged figures within tolerance" if within > 1 else "")
    parts.append("The one judged figure is within tolerance" if not outside and within == 1 else "")
    parts.append(f"{undefined} undefined" if undefined else "")
    return "; ".join(part for part in parts if part) + "."


def figures_of(measures: Mapping[str, Any]) -> dict[str, Figure]:
    """The figure of every criterion from a run's measures.

    Args:
        measures: `measures` of `run.json`. Beside what every run holds, a label may have `mda_mm` and, where
            one map alone holds it so that it is not to be judged, `only_in`.
    """
    residual, structures = measures.get("inverse_residual_mm") or {}, _structures(measures)
    return {
        **_landmark_figures(measures.get("tre")),
        "mda_mm": _worst(structures, "mda_mm", max),
        "dice": _worst(structures, "after", min),
        "folding_percent": _figure(measures.get("folding_percent")),
        "inverse_p95_mm": _figure(residual.get("p95")),
    }


def _figure(value: float | None) -> Figure:
    return Figure(value, "" if value is not None else "the run did not record it")


def _landmark_figures(tre: Mapping[str, Any] | None) -> dict[str, Figure]:
    if not tre or not tre["landmarks"]:
        reason = Figure(None, "no paired landmarks were given")
        return {"tre_mean_mm": reason, "tre_max_mm": reason}
    # A maximum would pass over what is not a number.
    worst = max(tre["landmarks"], key=lambda one: math.inf if math.isnan(one["after_mm"]) else one["after_mm"])
    count = len(tre["landmarks"])
    return {
        "tre_mean_mm": Figure(tre["after_mean_mm"], f"{count} landmark{'s' if count > 1 else ''}"),
        "tre_max_mm": Figure(worst["after_mm"], f"landmark {worst['name']}"),
    }


def _structures(measures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Every label of every pair of label maps, with its name for people."""
    maps = measures.get("dice") or []
    return [
        (f"label {row['label']}" + (f" of map {number}" if len(maps) > 1 else ""), row)
        for number, overlap in enumerate(maps, start=1)
        for row in overlap["labels"]
    ]


def _worst(structures: list[tuple[str, Mapping[str, Any]]], key: str, choose: Any) -> Figure:
    compared = [(row, name) for name, row in structures if not row.get("only_in")]
    if not structures:
        return Figure(None, "no pair of label maps was given")
    if not compared:
        return Figure(None, "the label maps have no label in common")
    if not any(key in row for row, _ in compared):
        return Figure(None, "it was not measured")
    known = [(row[key], name) for row, name in compared if row.get(key) is not None]
    unknown = ", ".join(name for row, name in compared if row.get(key) is None)
    if not known:
        return Figure(None, f"undefined for {unknown}")
    value, name = choose(known, key=lambda pair: pair[0])
    return Figure(value, f"{name}; undefined for {unknown}", complete=False) if unknown else Figure(value, name)
