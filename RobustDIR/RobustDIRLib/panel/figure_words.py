"""What the figures of the Check section are called there, and what they mean."""

from __future__ import annotations

from RobustDIRLib.evaluation.measures import BY_NAME, STRUCTURES, Kind
from RobustDIRLib.panelparts.words import _


def meaning(name: str) -> str:
    """What a criterion's figure is, a sentence that begins small."""
    measure = BY_NAME[name]
    worst = _("; of the worst structure") if measure.kind is Kind.LABELS else ""
    return f"{measure.meaning}{worst}."


# What each column means, by its title.
JUDGEMENT_COLUMNS = {
    _("Measure"): _("What is measured; each row says what it means."),
    _("Before"): _("As the volumes lie."),
    _("After"): _("With the registration."),
    _("Limit"): _("Double-click to change it: a number, “voxel” for the largest voxel side, or “off”."),
    _("Verdict"): _("Whether the figure keeps to its limit; not whether the registration may be used."),
}
LANDMARK_COLUMNS = {
    _("Name"): _("Of the landmark; click a row to move the slices there."),
    _("Before, mm"): _("Distance between both landmarks as the volumes lie."),
    _("After, mm"): _("Distance after the registration."),
    _("Improvement, mm"): _("How much smaller the distance has become; negative if it has grown."),
}
STRUCTURE_COLUMNS = {
    _("Structure"): _("Segments of the same name in both segmentations."),
    **{
        one.short_heading: _("{meaning}: before → after.").format(meaning=f"{one.meaning[:1].upper()}{one.meaning[1:]}")
        for one in STRUCTURES
    },
}
