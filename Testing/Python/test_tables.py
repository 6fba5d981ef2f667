"""Tables like Table D.2: figures, marks, notes and the three formats."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.statistics import compare_methods
from RobustDIRLib.evaluation.table_text import as_csv, as_latex, as_markdown, write_table
from RobustDIRLib.evaluation.tables import MEAN_SD, Column, Table, TableStyle, make_table

TRE, DICE, FOLDING = Column("tre", "TRE", "mm"), Column("dice", "Dice", better="high"), Column("fold", "Folding", "%")


def records(subjects: int = 14) -> list[dict[str, Any]]:
    """`a` and `b` are alike; `c` has a much larger TRE and a lower Dice; folding is 0 for all."""
    rng = np.random.default_rng(21)
    common = rng.gamma(3, 1, subjects)
    several = []
    for method, worse in (("a", 0.0), ("b", 0.02), ("c", 3.0)):
        noise = rng.normal(0, 0.1, subjects)
        for i in range(subjects):
            named = {"subject": i, "method": method}
            several.append({**named, "metric": "tre", "value": common[i] + worse + noise[i]})
            several.append({**named, "metric": "dice", "value": 0.9 - 0.1 * worse - 0.1 * noise[i]})
            several.append({**named, "metric": "fold", "value": 0})
    return several


@pytest.fixture
def table() -> Table:
    return make_table(records(), [TRE, DICE, FOLDING], style=TableStyle(titles={"c": "C & co_1 | 5%"}))


def marks(table: Table, column: str) -> dict[str, tuple[bool, bool]]:
    cells = table.blocks[0].cells
    return {method: (row[column].best, row[column].starred) for method, row in cells.items()}


def test_stars_mark_the_best_and_its_equals(table: Table) -> None:
    for column in ("tre", "dice"):
        found = marks(table, column)
        assert [starred for _, starred in found.values()] == [True, True, False]
        assert sum(best for best, _ in found.values()) == 1 and not found["c"][0]


def test_nothing_is_marked_where_nothing_differs(table: Table) -> None:
    assert set(marks(table, "fold").values()) == {(False, False)}


def test_best_is_high_or_low_as_the_column_says() -> None:
    low = make_table(records(), [Column("dice", "Dice", better="low")])
    assert marks(low, "dice") == {"a": (False, False), "b": (False, False), "c": (True, True)}


def test_stars_against_a_reference() -> None:
    found = make_table(records(), [TRE], style=TableStyle(reference="a", titles={"a": "Ours"}))
    assert [starred for _, starred in marks(found, "tre").values()] == [False, False, True]
    assert "significantly different from Ours" in as_markdown(found)


def test_cells_hold_median_and_quartiles_or_mean_and_spread() -> None:
    some = [{"subject": i, "method": "a", "metric": "tre", "value": v} for i, v in enumerate([1, 2, 3, 4, 10])]
    assert make_table(some, [TRE]).blocks[0].cells["a"]["tre"].text == "3.00 (2.00–4.00)"
    style = TableStyle(MEAN_SD)
    column = Column("tre", "TRE", digits=1)
    assert make_table(some, [column], style=style).blocks[0].cells["a"]["tre"].text == "4.0 ± 3.5"
    assert make_table(some[:1], [column], style=style).blocks[0].cells["a"]["tre"].text == "1.0"


def test_pooled_cells_show_all_landmarks() -> None:
    several = [{**r, "value": r["value"] + offset} for r in records() for offset in (0.0, 0.0, 9.0)]
    apart, pooled = (make_table(several, [Column("tre", "TRE", "mm", pooled=flag)]) for flag in (False, True))
    values = [r["value"] for r in several if (r["method"], r["metric"]) == ("a", "tre")]
    assert pooled.blocks[0].cells["a"]["tre"].text.startswith(f"{np.median(values):.2f} (")
    assert apart.blocks[0].cells["a"]["tre"].text != pooled.blocks[0].cells["a"]["tre"].text
    assert marks(apart, "tre") == marks(pooled, "tre")
    assert "of TRE over all values of all subjects" in pooled.notes()[0]
    assert "not_independent" in as_csv(pooled)


def test_a_method_without_values_has_a_dash(table: Table) -> None:
    found = make_table(records(), [TRE], methods=["a", "c", "gone"])
    assert found.blocks[0].cells["gone"]["tre"].text == "–"
    assert marks(found, "tre")["gone"] == (False, False)
    assert "TRE: 0 to 14 subjects a method." in found.notes()


# --- notes ------------------------------------------------------------------------------------------------------------


def test_notes_say_how_it_was_tested_and_what_was_left_out() -> None:
    some = [r for r in records() if (r["subject"], r["method"], r["metric"]) != (3, "b", "tre")]
    notes = " ".join(make_table({"NLST": some}, [TRE, DICE, FOLDING]).notes())
    assert "Bonferroni correction by 9," in notes and "p < 0.05:" in notes
    assert "TRE in NLST: 13 to 14 subjects a method." in notes
    assert "TRE in NLST: 1 subject left out of the tests." in notes
    assert "Folding in NLST: no test, as the methods do not differ in any subject." in notes
    assert "Dice" not in notes


def test_what_is_true_of_several_columns_and_blocks_is_said_once() -> None:
    one = records(subjects=1)
    notes = make_table({"NLST": one, "OASIS": one}, [TRE, DICE, FOLDING]).notes()
    assert [note for note in notes if "no test" in note] == [
        "TRE, Dice, Folding in NLST, OASIS: no test, as too few subjects have a value for every method."
    ]


def test_notes_say_where_too_few_subjects_make_a_finding_impossible() -> None:
    few, enough = (make_table(records(n), [TRE]) for n in (6, 14))
    assert "too few subjects for any pair" in " ".join(few.notes())
    assert "too few" not in " ".join(enough.notes())
    assert few.blocks[0].comparison.metrics["tre"].pairs  # the ANOVA alone found a difference
    assert not any(starred for _, starred in marks(few, "tre").values())


# --- formats ----------------------------------------------------------------------------------------------------------


def rows_of(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_has_a_row_a_method(table: Table) -> None:
    rows = rows_of(as_markdown(table))
    assert {len(row) for row in rows} == {4}
    assert rows[0] == ["method", "TRE (mm) ↓", "Dice ↑", "Folding (%) ↓"]
    assert [row[0] for row in rows[2:]] == ["a", "b", r"C & co\_1 \| 5%"]
    best = next(row for row in rows[2:] if "**" in row[1])
    assert re.fullmatch(r"\*\*\d\.\d\d \(\d\.\d\d–\d\.\d\d\)\*\*\\\*", best[1])


def test_blocks_stand_below_each_other_and_are_tested_apart() -> None:
    worse = [{**r, "value": -r["value"]} for r in records()]
    table = make_table({"NLST": records(), "DIR_Lab": worse}, [TRE])
    assert [row[0] for row in rows_of(as_markdown(table))[2:]] == [
        "*NLST*", "a", "b", "c", r"*DIR\_Lab*", "a", "b", "c",
    ]  # fmt: skip
    assert "Bonferroni correction by 3," in table.notes()[2]
    assert table.blocks[0].cells["c"]["tre"].starred is False
    assert table.blocks[1].cells["c"]["tre"].starred is True
    assert r"\textit{DIR\_Lab}" in as_latex(table)


def test_latex_is_escaped_balanced_and_rectangular(table: Table) -> None:
    text = as_latex(table)
    assert r"C \& co\_1 \textbar{} 5\%" in text and r"TRE (mm) $\downarrow$" in text
    bare = re.sub(r"\\[{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    body = bare[bare.index("\\toprule") : bare.index("\\bottomrule")]
    assert {line.count("&") for line in body.splitlines() if line.endswith("\\\\")} == {3}
    assert text.count(r"\begin{tabular}{lccc}") == text.count(r"\end{tabular}") == 1
    assert text.isascii()


def test_csv_holds_every_figure_in_full(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert [(row["method"], row["metric"]) for row in rows[:4]] == [
        ("a", "tre"), ("a", "dice"), ("a", "fold"), ("b", "tre"),
    ]  # fmt: skip
    expected = compare_methods(records()).metrics["tre"].summaries["c"]
    row = next(row for row in rows if (row["method"], row["metric"]) == ("c", "tre"))
    for name in ("mean", "sd", "median", "q1", "q3", "low", "high"):
        assert float(row[name]) == getattr(expected, name).value
    assert (row["subjects"], row["unit"], row["best"], row["starred"], row["reason"]) == ("14", "mm", "no", "no", "")


def test_csv_of_undefined_figures_is_empty_with_a_reason() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(make_table(records(), [TRE], methods=["a", "gone"])))))
    assert (rows[1]["median"], rows[1]["reason"], rows[1]["subjects"]) == ("", "too_few_subjects", "0")


@pytest.mark.parametrize(("name", "start"), [("t.md", "| method"), ("t.csv", "block,"), ("t.tex", "\\begin{tabular}")])
def test_files_are_written_by_their_extension(tmp_path: Path, table: Table, name: str, start: str) -> None:
    write_table(tmp_path / name, table)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_extension_is_refused(tmp_path: Path, table: Table) -> None:
    with pytest.raises(InputError, match=r"\.md, \.csv, \.tex"):
        write_table(tmp_path / "t.xlsx", table)
    assert not list(tmp_path.iterdir())


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        make_table({}, [TRE])
    with pytest.raises(ValueError, match="at least one"):
        make_table(records(), [])
    with pytest.raises(ValueError, match="low or high"):
        Column("tre", "TRE", better="lower")
    with pytest.raises(ValueError, match="median_iqr"):
        TableStyle("mode")
