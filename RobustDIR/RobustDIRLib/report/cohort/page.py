"""The report of a cohort as one HTML file: tables, tests, curves and worst cases of a folder of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from RobustDIRLib.cohort.files import BEFORE, UNPERTURBED
from RobustDIRLib.evaluation.measurement import Reason
from RobustDIRLib.report.cohort.folder import CaseRow, Cohort
from RobustDIRLib.report.cohort.pictures import Inlined, as_jpeg, inlined_figures, lost_pictures
from RobustDIRLib.report.html import TIME_FORMAT, number, render

_NOTICE = "The figures are of this data set alone; they do not say how a method does on other images."
MOST_CASES = 60  # in the table that is printed
MOST_PAIRS = 60  # of methods, over all measures, whose tests are printed; else those of the first measure
MOST_NAMED = 3  # cases that lack a value for one reason
MOST_COLUMNS = 5  # methods beside each other on an A4 page, apart from the start
_COST = ("wall_s", "cpu_s", "peak_gib")
_DIGITS = {"mm": 2, "%": 4, "s": 1, "GiB": 2, "": 3}


@dataclass(frozen=True)
class MedianCell:
    """A measure of one method over all subjects.

    Attributes:
        middle: Median.
        quartiles: Both, in brackets; empty where there is one subject.
        best: Whether no other method's median is better.
    """

    middle: str
    quartiles: str
    best: bool


def cohort_html(cohort: Cohort) -> str:
    """The HTML file's text.

    Raises:
        InputError: If a package of the extra is missing.
    """
    summary = cohort.summary
    names = [str(one["name"]) for one in summary["methods"]]
    titles = {
        BEFORE: "before",
        **{str(one["name"]): str(one.get("title") or one["name"]) for one in summary["methods"]},
    }
    figures, lost = inlined_figures(cohort)
    measures = {str(one["name"]): one for one in summary["measures"]}
    content = {
        "cohort": cohort,
        "summary": summary,
        "created": datetime.now().astimezone().strftime(TIME_FORMAT),
        "evaluated": _time(summary["created"]),
        "notice": _NOTICE,
        "titles": titles,
        "lead": _lead(summary, measures, titles),
        "accuracy": _tables(summary, names, [one for one in summary["measures"] if one["name"] not in _COST]),
        "cost": _tables(summary, names, [one for one in summary["measures"] if one["name"] in _COST], start=False),
        "tests": list(_tests(summary, measures, titles)),
        "pair_tests": list(_pair_tests(summary, measures, titles)),
        "most_pairs": MOST_PAIRS,
        "column_groups": _column_groups(names),
        "robustness": _robustness(summary, names),
        "figures": figures,
        "worst": [_worst(cohort, one, measures, titles) for one in summary["worst"]],
        "primary": measures.get(summary.get("primary") or ""),
        "cases": [_case(row, names, measures.get(summary.get("primary") or "")) for row in cohort.cases],
        "most_cases": MOST_CASES,
        "without_value": list(_without_value(cohort, titles)),
        "names": names,
        "settings": [(titles[str(one["name"])], _plain(one.get("settings"))) for one in summary["methods"]],
        "warnings": [*cohort.warnings, *lost, *lost_pictures(cohort)],
        "conditions": [_condition(one) for one in summary["conditions"]],
    }
    return render("cohort.html", content)


def _time(text: str) -> str:
    """A time of `summary.json` for people."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime(TIME_FORMAT)
    except ValueError:
        return text


def _condition(one: Mapping[str, Any]) -> str:
    return "unperturbed" if one["perturbation"] == UNPERTURBED else f"{one['perturbation']} {one['strength']:g}"


def _plain(settings: Any) -> str:
    """Settings in one line: `key value` pairs, those within others too; else as JSON."""
    if isinstance(settings, dict):
        return ", ".join(f"{key} {_plain(value)}" for key, value in settings.items()) or "none"
    return settings if isinstance(settings, str) else json.dumps(settings, ensure_ascii=False)


def _entries(summary: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Numbers of the unperturbed condition by measure and method."""
    return {(one["measure"], one["method"]): one for one in summary["summary"] if one["perturbation"] == UNPERTURBED}


def _lead(summary: Mapping[str, Any], measures: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """The measure that ranks cases, for all methods, in one sentence."""
    measure = measures.get(summary.get("primary") or "")
    if measure is None:
        return "No result is done."
    entries = _entries(summary)
    parts = [
        f"{title} {number(one['median'], _DIGITS[measure['unit']])}"
        for name, title in titles.items()
        if (one := entries.get((measure["name"], name)))
    ]
    unit = f", {measure['unit']}" if measure["unit"] else ""
    return f"{measure['title']}{unit}, median over subjects: {'; '.join(parts)}."


def _tables(
    summary: Mapping[str, Any], names: Sequence[str], measures: Sequence[Mapping[str, Any]], *, start: bool = True
) -> list[dict[str, Any]]:
    """Measures by methods, in as many tables as the page needs."""
    entries, tables = _entries(summary), []
    has_start = start and any((one["name"], BEFORE) in entries for one in measures)
    for group in _column_groups(names):
        columns = [*([BEFORE] if has_start else []), *(names[place] for place in group)]
        rows = [
            (_with_unit(one), one["better"], [_cell(one, entries, name, names) for name in columns]) for one in measures
        ]
        shown = [row for row in rows if any(row[2])]
        if shown:
            tables.append({"columns": columns, "rows": shown})
    return tables


def _column_groups(names: Sequence[str]) -> list[range]:
    """Places of the methods that stand beside each other, as many in each table."""
    tables = -(-len(names) // MOST_COLUMNS)
    step = -(-len(names) // max(tables, 1))
    return [range(first, min(first + step, len(names))) for first in range(0, len(names), step or 1)]


def _robustness(summary: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The median of the measure that ranks cases, by condition and method; none if nothing was perturbed."""
    measure = next((one for one in summary["measures"] if one["name"] == summary.get("primary")), None)
    if measure is None or len(summary["conditions"]) < 2:
        return []
    medians = {
        (one["perturbation"], one["strength"], one["method"]): one["median"]
        for one in summary["summary"]
        if one["measure"] == measure["name"]
    }
    digits = _DIGITS[measure["unit"]]
    return [
        (
            _condition(one),
            [number(medians.get((one["perturbation"], one["strength"], name)), digits) for name in names],
        )
        for one in summary["conditions"]
    ]


def _with_unit(measure: Mapping[str, Any]) -> str:
    return f"{measure['title']}, {measure['unit']}" if measure["unit"] else str(measure["title"])


def _cell(
    measure: Mapping[str, Any],
    entries: Mapping[tuple[str, str], Mapping[str, Any]],
    name: str,
    names: Sequence[str],
) -> MedianCell | None:
    entry = entries.get((measure["name"], name))
    if entry is None or entry["median"] is None:
        return None
    digits = _DIGITS[measure["unit"]]
    rivals = [entries[measure["name"], other]["median"] for other in names if (measure["name"], other) in entries]
    rivals = [value for value in rivals if value is not None]
    best = len(rivals) > 1 and name in names and entry["median"] == (min if measure["better"] == "low" else max)(rivals)
    quartiles = "" if entry["subjects"] < 2 else f"{number(entry['q1'], digits)} to {number(entry['q3'], digits)}"
    return MedianCell(number(entry["median"], digits), quartiles, best)


def _tests(
    summary: Mapping[str, Any], measures: Mapping[str, Any], titles: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """The analysis of variance of each measure."""
    for name, one in ((summary.get("tests") or {}).get("metrics") or {}).items():
        anova = one["anova"]
        reason = _reason(anova.get("reason"))
        different: dict[str, list[str]] = {}
        for pair in (pair for pair in one["pairs"] if pair["significant"]):
            different.setdefault(titles[pair["first"]], []).append(titles[pair["second"]])
        yield {
            "measure": measures[name]["title"] if name in measures else name,
            "subjects": str(len(one["subjects"])),
            "f": reason or _statistic(anova),
            "p": _probability(anova["p"]) if not reason else "undefined",
            "different": "; ".join(f"{first} and {', '.join(others)}" for first, others in different.items())
            or ("" if reason else "none"),
        }


def _statistic(anova: Mapping[str, Any]) -> str:
    degrees = ", ".join(str(n) for n in anova["degrees"])
    return f"F({degrees}) = {number(anova['f'])}" if anova["f"] is not None else f"F({degrees}) beyond bounds"


def _pair_tests(
    summary: Mapping[str, Any], measures: Mapping[str, Any], titles: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Wilcoxon's test of every measure and pair of methods."""
    for name, one in ((summary.get("tests") or {}).get("metrics") or {}).items():
        for pair in one["pairs"]:
            digits = _DIGITS[measures[name]["unit"]] if name in measures else 3
            yield {
                "measure": measures[name]["title"] if name in measures else name,
                "pair": f"{titles[pair['first']]} less {titles[pair['second']]}",
                "difference": number(pair["median_difference"], digits),
                "interval": f"{number(pair['low'], digits)} to {number(pair['high'], digits)}"
                if pair["low"] is not None
                else "undefined",
                "p": _reason(pair.get("reason")) or _probability(pair["p_corrected"]),
                "significant": pair["significant"],
            }


def _probability(p: float | None) -> str:
    if p is None:
        return "undefined"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _reason(name: str | None) -> str:
    """A reason of `Measurement` in words."""
    return {str(one): one.words for one in Reason}.get(name or "", name or "")


def _worst(
    cohort: Cohort, one: Mapping[str, Any], measures: Mapping[str, Any], titles: Mapping[str, str]
) -> dict[str, Any]:
    """One of a method's worst cases, with its picture made small."""
    measure, title = measures[one["measure"]], titles[one["method"]]
    digits = _DIGITS[measure["unit"]]
    png = cohort.picture(one["picture"])
    value, before = number(one["value"], digits), number(one["before"], digits)
    picture = None
    if png is not None:
        src, size = as_jpeg(png)
        head = f"{title}, number {one['rank']}, case {one['case']}"
        alt = f"Fixed, moving and warped image and deformation grid in three planes; {head}."
        picture = Inlined(src, size, head, alt, f"{_with_unit(measure)}: {before} before, {value} after.")
    return {**one, "title": title, "value": value, "before": before, "picture": picture}


def _without_value(cohort: Cohort, titles: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Results that the table of cases has no value for, and those that failed under a perturbation.

    Cases of one method and condition that lack a value for the same reason share a row.
    """
    lacking: dict[tuple[str, str, str], list[str]] = {}
    for row in cohort.cases:
        for name, reason in row.reasons.items():
            if reason:
                lacking.setdefault((name, "unperturbed", reason), []).append(row.case)
    for one in cohort.summary["failures"]:
        if one["perturbation"] != UNPERTURBED or not cohort.cases:
            lacking.setdefault((one["method"], _condition(one), one["reason"]), []).append(one["case"])
    for (name, condition, reason), cases in lacking.items():
        more = f", and {len(cases) - MOST_NAMED} more" if len(cases) > MOST_NAMED else ""
        shown = ", ".join(cases[:MOST_NAMED]) + more
        yield {"case": shown, "method": titles.get(name, name), "condition": condition, "reason": reason}


def _case(row: CaseRow, names: Sequence[str], measure: Mapping[str, Any] | None) -> dict[str, Any]:
    digits = _DIGITS[measure["unit"]] if measure else 3
    cells = []
    for name in names:
        value = row.values.get(name)
        cells.append("none" if value is None else number(value, digits))
    return {"case": row.case, "before": number(row.before, digits), "cells": cells}
