"""What the figures and columns of the Check section mean."""

from __future__ import annotations

from RobustDIRLib.evaluation.measures import BY_NAME, STRUCTURES, Kind


def meaning(name: str) -> str:
    """What a criterion's figure is, a sentence that begins small."""
    measure = BY_NAME[name]
    return f"{measure.meaning}{'; of the worst structure' if measure.kind is Kind.LABELS else ''}."


COLUMN_TIPS = {
    "Measure": "What is measured; each row says what it means.",
    "Before": "As the volumes lie.",
    "After": "With the registration.",
    "Limit": "Double-click to change it: a number, “voxel” for the largest voxel side, or “off”.",
    "Verdict": "Whether the figure keeps to its limit; not whether the registration may be used.",
    "Name": "Of the landmark; click a row to move the slices there.",
    "Before, mm": "Distance between both landmarks as the volumes lie.",
    "After, mm": "Distance after the registration.",
    "Improvement, mm": "How much smaller the distance has become; negative if it has grown.",
    "Structure": "Segments of the same name in both segmentations.",
    **{one.short_heading: f"{one.meaning[:1].upper()}{one.meaning[1:]}: before → after." for one in STRUCTURES},
}
