"""A measured number, or the named reason why there is none: what every metric gives that can be undefined.

An undefined metric is neither 0 nor NaN: both would go into means unseen. It needs neither torch nor NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, SupportsFloat

from RobustDIRLib.errors import InputError


class Reason(str, Enum):
    """Why there is no number. The values are the names that files hold; they never change."""

    IN_NEITHER_MAP = "in_neither_map"
    ONLY_IN_FIXED = "only_in_fixed"
    ONLY_IN_MOVING = "only_in_moving"
    VANISHED = "vanished_after_warping"
    NO_COMMON_LABEL = "no_common_label"
    NO_LANDMARKS = "no_landmarks"
    NO_LANDMARK_INSIDE = "no_landmark_inside"
    TOO_FEW_LANDMARKS = "too_few_landmarks"
    EMPTY_MASK = "empty_mask"
    CONSTANT_IMAGE = "constant_image"
    NOT_FINITE = "not_finite"
    SMALLER_THAN_WINDOW = "smaller_than_window"
    NO_INVERSE = "no_inverse"
    TOO_FEW_SUBJECTS = "too_few_subjects"
    TOO_FEW_METHODS = "too_few_methods"
    NO_DIFFERENCES = "no_differences"
    NOT_INDEPENDENT = "not_independent"
    NOTHING_DEFINED = "nothing_defined"
    NO_LABEL_MAPS = "no_label_maps"
    NOT_MEASURED = "not_measured"
    NOT_RECORDED = "not_recorded"

    @property
    def words(self) -> str:
        """The reason for people, without a full stop."""
        return _WORDS[self.name]

    def __str__(self) -> str:
        return self.value


_WORDS = {
    "IN_NEITHER_MAP": "neither label map holds the label",
    "ONLY_IN_FIXED": "only the fixed label map holds the label",
    "ONLY_IN_MOVING": "only the moving label map holds the label",
    "VANISHED": "the label vanished when the moving label map was warped",
    "NO_COMMON_LABEL": "the label maps have no label in common",
    "NO_LANDMARKS": "there are no paired landmarks",
    "NO_LANDMARK_INSIDE": "no landmark lies inside the mask",
    "TOO_FEW_LANDMARKS": "a spread needs at least two landmarks",
    "EMPTY_MASK": "the mask is empty",
    "CONSTANT_IMAGE": "an image is constant where it is looked at",
    "NOT_FINITE": "some values are NaN or infinite",
    "SMALLER_THAN_WINDOW": "no window fits into the image where it is looked at",
    "NO_INVERSE": "there is no inverse transform",
    "TOO_FEW_SUBJECTS": "too few subjects have a value for every method",
    "TOO_FEW_METHODS": "a comparison needs at least two methods",
    "NO_DIFFERENCES": "the methods do not differ in any subject",
    "NOT_INDEPENDENT": "several values of one subject are not independent",
    "NOTHING_DEFINED": "none of the values is defined",
    "NO_LABEL_MAPS": "no pair of label maps was given",
    "NOT_MEASURED": "it was not measured",
    "NOT_RECORDED": "the run did not record it",
}


@dataclass(frozen=True)
class Measurement:
    """A finite number, or a reason; never both, never neither.

    Attributes:
        value: None where it is undefined.
        reason: None where there is a value.
    Raises:
        InputError: If there are both or neither, or the value is not finite (`Measurement.of` gives it a reason).
    """

    value: float | None = None
    reason: Reason | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason is None):
            raise InputError(f"a measurement has a value or a reason, not {self.value} and {self.reason}")
        if self.value is not None and not math.isfinite(self.value):
            raise InputError(f"a measured value must be finite, not {self.value}")

    @classmethod
    def of(cls, value: SupportsFloat) -> Measurement:
        """A number; what is NaN or infinite is undefined for that reason.

        Raises:
            InputError: If it is no number.
        """
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"`value` is of the type {type(value).__name__}; give a number") from error
        return cls(number) if math.isfinite(number) else cls(reason=Reason.NOT_FINITE)

    @classmethod
    def undefined(cls, reason: Reason) -> Measurement:
        """No number, and why."""
        return cls(reason=reason)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Measurement:
        """What `plain` has made.

        Raises:
            ValueError: If it is nothing of the kind.
        """
        reason = plain.get("reason")
        return cls(plain.get("value"), None if reason is None else Reason(reason))

    @property
    def defined(self) -> bool:
        """Whether there is a number."""
        return self.value is not None

    def plain(self) -> dict[str, Any]:
        """For JSON: `{"value": 1.5}`, or `{"value": null, "reason": "only_in_fixed"}`."""
        return {"value": self.value} if self.reason is None else {"value": None, "reason": str(self.reason)}

    def cell(self) -> str:
        """For CSV: the number in full, or nothing; the reason has a column of its own."""
        return "" if self.value is None else repr(self.value)

    def __str__(self) -> str:
        return f"{self.value:.4g}" if self.reason is None else f"undefined ({self.reason.words})"


def mean_of_defined(measurements: Iterable[Measurement]) -> Measurement:
    """Mean of those that are defined, for instance over labels; how many that are is for the caller to say."""
    values = [m.value for m in measurements if m.value is not None]
    return Measurement.of(sum(values) / len(values)) if values else Measurement.undefined(Reason.NOTHING_DEFINED)
