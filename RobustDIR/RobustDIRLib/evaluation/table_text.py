"""A table of methods by metrics: Markdown and LaTeX for readers, CSV with every figure in full for programs."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from RobustDIRLib.evaluation.tables import Block, Cell, Column, Table
from RobustDIRLib.io.csv_cells import CellWriter
from RobustDIRLib.io.files import PathLike, check_extension, written_atomically

EXTENSIONS = (".md", ".csv", ".tex")

_CSV_HEADER = (
    *("block", "method", "metric", "unit", "subjects", "mean", "sd", "median", "q1", "q3", "low", "high"),
    *("best", "starred", "reason"),
)
_MARKDOWN = str.maketrans({**{sign: f"\\{sign}" for sign in "\\|*_`<[]"}, "\n": " "})
_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "|": r"\textbar{}",
        "<": "$<$",
        ">": "$>$",
        "±": r"$\pm$",
        "–": "--",
        "↓": r"$\downarrow$",
        "↑": r"$\uparrow$",
        "\n": " ",
    }
)


def write_table(path: PathLike, table: Table) -> None:
    """Write a table by the extension of its file: `.md`, `.csv` or `.tex`, whole or not at all.

    Raises:
        InputError: If the extension is another one or the file cannot be written.
    """
    kind = check_extension(path, EXTENSIONS, "a table")
    text = {".md": as_markdown, ".csv": as_csv, ".tex": as_latex}[kind](table)
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def as_markdown(table: Table) -> str:
    """A table of GitHub's Markdown and notes on what it shows."""
    width = len(table.columns) + 1
    lines = [_markdown_row(["method", *(_markdown(column.heading) for column in table.columns)]), "|---" * width + "|"]
    for block in table.blocks:
        if block.title:
            lines.append(_markdown_row([f"*{_markdown(block.title)}*", *[""] * (width - 1)]))
        lines += [_markdown_row([_markdown(title), *map(_markdown_cell, row)]) for title, row in _rows(table, block)]
    return "\n".join([*lines, "", _markdown(" ".join(table.notes())), ""])


def as_latex(table: Table) -> str:
    """A `tabular` for the package booktabs, and the notes as a paragraph below."""
    width = len(table.columns) + 1
    lines = [rf"\begin{{tabular}}{{l{'c' * (width - 1)}}}", r"\toprule"]
    lines.append(_latex_row(["", *(_latex(column.heading) for column in table.columns)]))
    for block in table.blocks:
        lines.append(r"\midrule")
        if block.title:
            lines.append(_latex_row([rf"\multicolumn{{{width}}}{{c}}{{\textit{{{_latex(block.title)}}}}}"]))
        lines += [_latex_row([_latex(title), *map(_latex_cell, row)]) for title, row in _rows(table, block)]
    lines += [r"\bottomrule", r"\end{tabular}", "", rf"{{\par\footnotesize {_latex(' '.join(table.notes()))}\par}}", ""]
    return "\n".join(lines)


def as_csv(table: Table) -> str:
    """A row for each block, method and metric, with all figures in full; empty where undefined."""
    text = io.StringIO()
    writer = CellWriter(text)
    writer.writerow(_CSV_HEADER)
    for block in table.blocks:
        for method in block.comparison.methods:
            writer.writerows(_csv_row(block, method, column) for column in table.columns)
    return text.getvalue()


def _rows(table: Table, block: Block) -> list[tuple[str, list[Cell]]]:
    return [(table.title_of(method), list(cells.values())) for method, cells in block.cells.items()]


def _csv_row(block: Block, method: str, column: Column) -> list[Any]:
    summary = column.of(block.comparison.metrics[column.name])[method]
    cell = block.cells[method][column.name]
    figures = (summary.mean, summary.sd, summary.median, summary.q1, summary.q3, summary.low, summary.high)
    marks = ["yes" if mark else "no" for mark in (cell.best, cell.starred)]
    reason = next((str(one.reason) for one in figures if one.reason is not None), "")
    head = [block.title, method, column.name, column.unit, summary.subjects]
    return [*head, *(one.cell() for one in figures), *marks, reason]


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return text + ("\\*" if cell.starred else "")


def _latex(text: str) -> str:
    return text.translate(_LATEX)


def _latex_row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex_cell(cell: Cell) -> str:
    text = rf"\textbf{{{_latex(cell.text)}}}" if cell.best else _latex(cell.text)
    return text + ("*" if cell.starred else "")
