"""Within or outside tolerance: what a registration's figures are held against, and what came of it.

The defaults follow AAPM TG-132 (Brock et al. 2017), which asks for errors up to the largest voxel side or 2 to 3 mm, a
Dice of 0.80 to 0.90 and no negative Jacobian determinant, and a clinical study of 2018 that allows a TRE of 5 mm at
most. Figures without such a limit are not judged until the user sets one. Each is for the user to set: what is
tolerable depends on what the registration is for. To be within tolerance says that a figure keeps to a limit, and
nothing about whether the registration may be used.

The criteria are made of `measures`. The report and the panel share this file; it needs neither torch nor NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation import measures
from RobustDIRLib.evaluation.measures import OFF, VOXEL, Kind, Measure, named
from RobustDIRLib.evaluation.run_figures import Figure

DEFAULT = "default"  # on the command line


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


def _criterion(measure: Measure) -> Criterion:
    limit = measure.limit or measures.Limit()
    title = limit.title or measure.title + (", worst structure" if measure.kind is Kind.LABELS else "")
    at_least = measure.better == "high"
    return Criterion(measure.name, title, measure.unit, limit.default, at_least, limit.highest)


CRITERIA = tuple(map(_criterion, measures.CRITERIA))
_BY_NAME = {criterion.name: criterion for criterion in CRITERIA}


@dataclass(frozen=True)
class JudgedFigure:
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
        """With settings in words: `tre_max_mm=4`, `tre_mean_mm=voxel`, `dice=off`, `dice=default`.

        Raises:
            InputError: For one that is not of this form, or cannot be.
        """
        changed = dict(self.limits)
        for setting in settings:
            name, equals, text = (part.strip() for part in setting.partition("="))
            if not equals:
                raise InputError(f"`tolerance` {setting}: write NAME=LIMIT with NAME of {', '.join(_BY_NAME)}.")
            known = _BY_NAME.get(name)
            changed[name] = known.default if known and text == DEFAULT else _number_or_word(text)
        return Tolerances.from_json(changed, "`tolerance`")

    def to_json(self) -> dict[str, float | str]:
        """Every limit by name; `from_json` inverts it."""
        return dict(self.limits)

    def judge(self, name: str, figure: Figure, voxel_mm: float) -> JudgedFigure:
        """Hold one figure against its limit.

        Args:
            name: Of the criterion.
            figure: What was measured.
            voxel_mm: Largest voxel side of the fixed image, mm.
        """
        criterion, setting = _BY_NAME[name], self.limits[name]
        limit = None if setting == OFF else voxel_mm if setting == VOXEL else float(setting)
        return JudgedFigure(criterion, figure, limit, setting == VOXEL, _verdict(criterion, figure, limit))

    def judge_all(self, figures: Mapping[str, Figure], voxel_mm: float) -> tuple[JudgedFigure, ...]:
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


_ACCURACY = named(Kind.LANDMARKS, Kind.LABELS)


def summary(judgements: Iterable[JudgedFigure]) -> str:
    """What came of all of them, in one sentence: outside before undefined before within.

    Where no landmark and no structure was judged, it says so first: a transform that does not fold may still be wrong.
    """
    everything = tuple(judgements)
    if not everything:
        return "No figure could be judged."
    accuracy = [one for one in everything if one.criterion.name in _ACCURACY]
    judged = [one for one in everything if one.verdict in (Verdict.WITHIN, Verdict.OUTSIDE)]
    if not any(one in judged for one in accuracy):
        known = any(one.figure.value is not None for one in accuracy)
        lead = "Accuracy was not judged" if known else "Accuracy was not measured: no landmarks and no structures"
        others = f"; of the other figures {_counted(judged)}" if judged else ""
        return f"{lead}{others}."
    outside = [one for one in judged if one.verdict is Verdict.OUTSIDE]
    if outside or len(judged) > 1:
        count = f"{len(outside)} of" if outside else "All"
        text = f"{count} {len(judged)} judged figures {'outside' if outside else 'within'} tolerance"
    else:
        text = "The one judged figure is within tolerance"
    undefined = sum(one.verdict is Verdict.UNDEFINED for one in everything)
    return f"{text}{f'; {undefined} undefined' if undefined else ''}."


def _counted(judged: list[JudgedFigure]) -> str:
    """How many of them are within and outside."""
    counts = {verdict: sum(one.verdict is verdict for one in judged) for verdict in (Verdict.OUTSIDE, Verdict.WITHIN)}
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
