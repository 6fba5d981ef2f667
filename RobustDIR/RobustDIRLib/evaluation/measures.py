"""Every measure of a registration in one table: its name in files, words for people, unit, what it is held against.

Columns of evaluations, headings, digits, figures, criteria of report and panel and the documentation's list are made of
this table. What computes a measure stands under its name in the dictionary of its kind: `landmarks.OF_LANDMARKS`,
`label_scores.OF_LABELS`, `similarity.OF_IMAGES`, `regularity.OF_JACOBIAN`. It needs neither torch nor NumPy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, Flag, auto

# Raise it when a measure is added or measured in another way: results of different versions are not mixed.
VERSION = 2
NEAR_MM = 2.0
VOXEL, OFF = "voxel", "off"  # limits in words: the largest voxel side of the fixed image; not judged

_DIGITS = {"mm": 2, "%": 3, "s": 1, "GiB": 2, "": 3}
_UNIT_ENDINGS = ("_mm", "_percent")
_TG_132 = "AAPM TG-132"


class Kind(str, Enum):
    """What a measure is taken of."""

    LANDMARKS = "landmarks"
    LABELS = "label maps"
    IMAGES = "images"
    JACOBIAN = "Jacobian determinant"
    INVERSE = "transform and inverse"
    COST = "time and memory"


class Places(Flag):
    """Where an evaluation shows a measure beside its files: the table with the tests, box plots, robustness curves.

    Those with tests are the paper's: each further one would make every test stricter (Bonferroni).
    """

    NOWHERE = 0
    TESTS = auto()
    BOXES = auto()
    CURVES = auto()


@dataclass(frozen=True)
class Limit:
    """What a measure of one registration is held against, until the user sets another limit.

    Attributes:
        default: In the measure's unit, `VOXEL` or `OFF`.
        source: Who published it; empty where it is off.
        title: Of the criterion, where it says more than the measure's title.
        highest: The largest limit that makes sense.
    """

    default: float | str = OFF
    source: str = ""
    title: str = ""
    highest: float = math.inf


@dataclass(frozen=True)
class Measure:
    """A measure of a pair.

    Attributes:
        name: In files; ends in its unit where that is mm.
        title: For tables and axes.
        unit: `mm`, `%`, `s`, `GiB` or empty.
        better: Which end is good: `low` or `high`.
        kind: What it is taken of.
        shown: Where evaluations show it.
        limit: What it is held against in report and panel; None if it is no criterion there.
        short: Title where room is short. Of label maps, those with one stand in the tables of structures.
        meaning: A clause that says what it is, for those who meet it for the first time.
        in_cohorts: Whether evaluations take it.
    """

    name: str
    title: str
    unit: str
    better: str
    kind: Kind
    shown: Places = Places.BOXES
    limit: Limit | None = None
    short: str = ""
    meaning: str = ""
    in_cohorts: bool = True

    @property
    def before(self) -> str:
        """Name of the same measure with the images as they lie; empty if it has none."""
        there = self.kind in (Kind.LANDMARKS, Kind.LABELS, Kind.IMAGES)
        return before_name(self.name) if there else ""

    @property
    def heading(self) -> str:
        """Title with unit."""
        return _with_unit(self.title, self.unit)

    @property
    def short_heading(self) -> str:
        """Short title with unit."""
        return _with_unit(self.short or self.title, self.unit)

    @property
    def digits(self) -> int:
        """After the point, in tables."""
        return digits_of(self.unit)

    @property
    def in_run(self) -> tuple[str, str]:
        """Keys of a label's row in `run.json`, before and after."""
        return ("before", "after") if self.name == "dice" else (self.before, self.name)


def before_name(name: str) -> str:
    """What a measure is called of the images as they lie: `dice_before`, `hd95_before_mm`."""
    ending = next((ending for ending in _UNIT_ENDINGS if name.endswith(ending)), "")
    return f"{name.removesuffix(ending)}_before{ending}"


def digits_of(unit: str) -> int:
    """Digits after the point for figures of a unit."""
    return _DIGITS.get(unit, 3)


def _with_unit(title: str, unit: str) -> str:
    return f"{title}, {unit}" if unit else title


_TABLES = Places.TESTS | Places.BOXES
_EVERYWHERE = _TABLES | Places.CURVES

MEASURES = (
    Measure(
        "tre_mean_mm", "TRE, mean", "mm", "low", Kind.LANDMARKS, _EVERYWHERE, Limit(VOXEL, _TG_132),
        meaning="mean distance between where the transform takes the fixed landmarks and the moving ones",
    ),
    Measure(
        "tre_median_mm", "TRE, median", "mm", "low", Kind.LANDMARKS, Places.NOWHERE, Limit(),
        meaning="half of the landmarks lie closer than this to their counterparts",
    ),
    Measure(
        "tre_p95_mm", "TRE, 95th percentile", "mm", "low", Kind.LANDMARKS, Places.BOXES, Limit(), "TRE, 95 %",
        "95 of 100 landmarks lie closer than this to their counterparts",
    ),
    Measure(
        "tre_max_mm", "TRE, maximum", "mm", "low", Kind.LANDMARKS, Places.NOWHERE,
        Limit(5.0, "a clinical study of 2018", "TRE, largest"), "TRE, worst",
        "distance of the landmark that lies farthest from its counterpart",
    ),
    Measure(
        "tre_near_percent", f"Landmarks under {NEAR_MM:g} mm", "%", "high", Kind.LANDMARKS, Places.NOWHERE,
        Limit(highest=100.0), f"TRE < {NEAR_MM:g} mm",
        f"share of the landmarks that lie closer than {NEAR_MM:g} mm to their counterparts", in_cohorts=False,
    ),
    Measure(
        "dice", "Dice", "", "high", Kind.LABELS, _EVERYWHERE, Limit(0.8, _TG_132, highest=1.0), "Dice",
        "overlap of a structure with its counterpart, 1 for all and 0 for none",
    ),
    Measure(
        "hd95_mm", "HD95", "mm", "low", Kind.LABELS, _EVERYWHERE, Limit(), "HD95",
        "95 % of a structure's surface lies closer than this to the other one",
    ),
    Measure(
        "assd_mm", "ASSD", "mm", "low", Kind.LABELS, _TABLES,
        meaning="mean distance between the surfaces of a structure, over both together",
    ),
    Measure(
        "mda_mm", "Mean distance to agreement", "mm", "low", Kind.LABELS, Places.BOXES, Limit(3.0, _TG_132), "Distance",
        "mean distance between the surfaces of a structure",
    ),
    Measure("ssim", "SSIM", "", "high", Kind.IMAGES, _TABLES, meaning="structural similarity of the images"),
    Measure("ncc", "NCC", "", "high", Kind.IMAGES, meaning="correlation of the images' intensities"),
    Measure(
        "nmi", "NMI", "", "high", Kind.IMAGES, Places.BOXES | Places.CURVES,
        meaning="normalised mutual information of the images, 1 to 2",
    ),
    Measure(
        "folding_percent", "Folding", "%", "low", Kind.JACOBIAN, _EVERYWHERE,
        Limit(0.0, _TG_132, "Voxels with non-positive Jacobian determinant", 100.0), "Folding",
        "share of the fixed volume that the transform turns inside out",
    ),
    Measure(
        "sdlogj", "SDlogJ", "", "low", Kind.JACOBIAN, _TABLES, Limit(),
        meaning="spread of the local change of volume: 0 where it is the same everywhere",
    ),
    Measure(
        "inverse_mean_mm", "Inverse residual, mean", "mm", "low", Kind.INVERSE, Places.NOWHERE,
        meaning="mean distance from the start after transform and inverse",
    ),
    Measure(
        "inverse_p95_mm", "Inverse residual, 95th percentile", "mm", "low", Kind.INVERSE, Places.BOXES,
        Limit(VOXEL, _TG_132, "Inverse consistency, 95th percentile"), "Inverse",
        "there and back by transform and inverse ends closer than this to the start, in 95 % of voxels",
    ),
    Measure("wall_s", "Time", "s", "low", Kind.COST, meaning="time that the registration took"),
    Measure(
        "cpu_s", "Processor time", "s", "low", Kind.COST, Places.NOWHERE, meaning="time of all processors together"
    ),
    Measure("peak_gib", "Peak memory", "GiB", "low", Kind.COST, meaning="most memory held at once"),
)  # fmt: skip


BY_NAME = {one.name: one for one in MEASURES}
COHORT = tuple(one for one in MEASURES if one.in_cohorts)
CRITERIA = tuple(one for one in MEASURES if one.limit is not None)
# Of label maps, those that the tables of structures show.
STRUCTURES = tuple(one for one in MEASURES if one.kind is Kind.LABELS and one.short)


def named(*kinds: Kind) -> tuple[str, ...]:
    """Names of the measures of some kinds, in the table's order."""
    return tuple(one.name for one in MEASURES if one.kind in kinds)


def as_markdown() -> str:
    """The table as a page of the documentation."""
    head = ["name", "measure", "unit", "better", "of", "limit", "what it is"]
    rows = [
        [f"`{one.name}`", one.title, one.unit, one.better, one.kind.value, _limit_words(one), one.meaning]
        for one in MEASURES
    ]
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join([_MARKDOWN_HEAD, *lines, ""])


_MARKDOWN_HEAD = """# Measures

Names are those of columns and of JSON; `..._before` is the same with the images as they lie. A limit is the default of
reports and of the panel; measures without one stand in evaluations alone. `off`: nobody published one. Made by
`python -m RobustDIRLib.evaluation.measures > Documentation/Measures.md`.
"""


def _limit_words(one: Measure) -> str:
    if one.limit is None or one.limit.default == OFF:
        return "" if one.limit is None else OFF
    value = "largest voxel side" if one.limit.default == VOXEL else f"{one.limit.default:g} {one.unit}".rstrip()
    return f"{'at most' if one.better == 'low' else 'at least'} {value} ({one.limit.source})"


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_markdown())
