"""The table of measures: every row has what computes it, and everything that is computed has a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from RobustDIRLib.cohort.files import LABEL_COLUMNS, PAIR_COLUMNS
from RobustDIRLib.evaluation.label_scores import OF_LABELS
from RobustDIRLib.evaluation.landmarks import OF_LANDMARKS
from RobustDIRLib.evaluation.measures import BY_NAME, COHORT, MEASURES, Kind, as_markdown, before_name, named
from RobustDIRLib.evaluation.regularity import OF_JACOBIAN
from RobustDIRLib.evaluation.similarity import OF_IMAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("kind", "functions"),
    [
        (Kind.LANDMARKS, OF_LANDMARKS),
        (Kind.LABELS, OF_LABELS),
        (Kind.IMAGES, OF_IMAGES),
        (Kind.JACOBIAN, OF_JACOBIAN),
    ],
    ids=lambda value: getattr(value, "value", ""),
)
def test_rows_and_functions_are_the_same(kind, functions):
    assert list(functions) == list(named(kind))


def test_names_end_in_their_unit_and_are_told_apart():
    assert len(BY_NAME) == len(MEASURES)
    assert all(one.name.endswith("_mm") == (one.unit == "mm") for one in MEASURES)
    assert all(one.name.endswith("_percent") == (one.unit == "%") for one in MEASURES)
    assert all(one.meaning and not one.meaning.endswith(".") for one in MEASURES)


@pytest.mark.parametrize(
    ("name", "before"), [("dice", "dice_before"), ("hd95_mm", "hd95_before_mm"), ("x_percent", "x_before_percent")]
)
def test_a_unit_stays_at_the_end_of_a_name(name, before):
    assert before_name(name) == before


def test_columns_of_the_files_are_the_tables():
    """As they were when the table was made; those that come later may stand between them."""
    assert [name for name in PAIR_COLUMNS if name in BY_NAME] == [one.name for one in COHORT]
    labels = [f"{n}{end}" for n in ("hd95", "assd", "mda") for end in ("_before_mm", "_mm")]
    labels = ["dice_before", "dice", *labels]
    assert [name for name in LABEL_COLUMNS if name in labels] == labels
    assert "tre_near_percent" not in PAIR_COLUMNS


def test_the_documentation_lists_them():
    assert (ROOT / "Documentation" / "Measures.md").read_text(encoding="utf-8") == as_markdown()
