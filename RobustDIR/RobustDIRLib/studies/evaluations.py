"""Studies that evaluate finished models: robustness across data sets (Table D.2), DIR-Lab case by case (Table D.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.files import read_pairs, read_summary
from RobustDIRLib.cohort.results import Key
from RobustDIRLib.cohort.run import Request, evaluate
from RobustDIRLib.cohort.task import Ended
from RobustDIRLib.configuration import to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.studies.study import Record, Row, Study, StudyRun
from RobustDIRLib.studies.tables import markdown, write_tables

# Table D.2: medians of the paper's fine-tuned model, by data set.
_PAPER_SETS = {
    "nlst": "0.8 mm (0.6-1.2), SDlogJ 0.21",
    "dirlab-4dct": "1.3 mm (0.9-1.9), SDlogJ 0.16",
    "dirlab-copdgene": "2.3 mm (1.3-4.7), SDlogJ 0.29",
    "oasis": "HD95 1.1 mm, ASSD 0.42 mm, SDlogJ 0.57",
    "ixi": "HD95 2.0 mm, ASSD 0.67 mm, SDlogJ 0.24",
    "paired3t": "HD95 2.0 mm, ASSD 0.74 mm, SDlogJ 0.28",
}
# Table D.3: mean landmark error, mm, of the paper's model, and of what it calls Hering et al. 2021.
_PAPER_CASES = {
    "4DCT": ((1.24, 1.15, 1.26, 1.72, 1.58, 1.79, 2.13, 1.96, 1.66, 1.47),
             (0.99, 0.98, 1.11, 1.37, 1.32, 1.15, 1.05, 1.22, 1.11, 1.05)),
    "COPD": ((5.00, 4.36, 1.55, 6.22, 7.78, 3.53, 2.59, 5.08, 2.95, 3.74), ()),
}  # fmt: skip
_MEASURES = {
    "tre_median_mm": "TRE, mm",
    "dice": "Dice",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
    "ssim": "SSIM",
    "folding_percent": "folding, %",
    "sdlogj": "SDlogJ",
}


@dataclass(frozen=True)
class EvaluatedSet:
    """A data set to evaluate on: its folder, and how it is opened (`kind`, `part`), at most so many `pairs`."""

    name: str
    dataset: str
    kind: str = "auto"
    part: str | None = None
    pairs: int | None = None


@dataclass(frozen=True)
class EvaluationSettings:
    """Which methods (models by name or file, rivals) on which data sets.

    Attributes:
        methods: As `robustdir evaluate --methods` takes them.
        data_sets: To evaluate on.
        threads: Of each job; None shares the processors out.
        jobs: Cases at once.
    """

    methods: tuple[str, ...]
    data_sets: tuple[EvaluatedSet, ...]
    threads: int | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if not self.methods or not self.data_sets:
            raise ValueError("name at least one method and one data set")


def robustness(settings: EvaluationSettings) -> Study:
    """Every method on every data set: medians and quartiles over subjects (Fig. 4, Table D.2)."""
    return _study("robustness", settings, _report_robustness)


def dirlab(settings: EvaluationSettings) -> Study:
    """Mean landmark error case by case (Table D.3)."""
    return _study("dirlab", settings, _report_dirlab)


def _study(name: str, settings: EvaluationSettings, report: Any) -> Study:
    runs = [
        StudyRun(held.name, {"data_set": held.name}, partial(_work, settings, held), partial(_measure, settings))
        for held in settings.data_sets
    ]
    return Study(name, to_dict(settings), runs, report)


class _Silent:
    """Keeps what an evaluation tells, to be told as records."""

    def __init__(self) -> None:
        self.told: list[Record] = []

    def say(self, sentence: str) -> None:
        self.told.append({"kind": "note", "text": sentence})

    def start(self, left: Sequence[Key], kept: Sequence[Key]) -> None:
        self.told.append({"kind": "start", "left": len(left)})

    def ended(self, event: Ended) -> None:
        self.told.append({"kind": "case", "case": event.key.case, "method": event.key.method})


def _work(settings: EvaluationSettings, held: EvaluatedSet, folder: Path) -> Iterator[Record]:
    listener = _Silent()
    request = Request(
        Path(held.dataset), settings.methods, kind=held.kind, split=held.part, limit=held.pairs, jobs=settings.jobs,
        threads=settings.threads,
    )  # fmt: skip
    summary = evaluate(request, folder / "evaluation", listener)
    yield from listener.told
    if summary.failed:
        raise InputError(f"{summary.failed} results of {held.name} failed; {folder}/evaluation/pairs.csv says why.")


def _measure(settings: EvaluationSettings, folder: Path) -> dict[str, Any]:
    """The evaluation's own summary, and the mean TRE of every case."""
    content = read_summary(folder / "evaluation")
    entries = [e for e in content["summary"] if e["perturbation"] == "none" or not e.get("strength")]
    return {"summary": entries, "cases": _cases(folder / "evaluation", content)}


def _cases(folder: Path, summary: Mapping[str, Any]) -> list[Row]:
    rows = [row for row in read_pairs(folder, summary) if row["tre_mean_mm"]]
    return [{"case": r["case"], "method": r["method"], "tre_mean_mm": float(r["tre_mean_mm"])} for r in rows]


def _report_robustness(rows: Sequence[Row], folder: Path) -> None:
    table = []
    for row in rows:
        methods = dict.fromkeys(entry["method"] for entry in row["summary"])
        for method in methods:
            figures = {e["measure"]: e for e in row["summary"] if e["method"] == method}
            cells = {name: _quartiles(figures[name]) for name in _MEASURES if name in figures}
            table.append({"data_set": row["data_set"], "method": method, **cells})
    titles = {"data_set": "data set", "method": "method"}
    titles |= {name: title for name, title in _MEASURES.items() if any(name in row for row in table)}
    paper: Mapping[Any, str] = {(name,): text for name, text in _PAPER_SETS.items()}
    write_tables(folder, rows, f"{markdown(table, titles, paper)}\n\nMedian (quartiles) over subjects.")


def _quartiles(entry: Mapping[str, Any]) -> str:
    return f"{entry['median']:.3g} ({entry['q1']:.3g}-{entry['q3']:.3g})"


def _report_dirlab(rows: Sequence[Row], folder: Path) -> None:
    cases: dict[str, Row] = {}
    for row in rows:
        for entry in row["cases"]:
            cases.setdefault(entry["case"], {"case": entry["case"]})[entry["method"]] = entry["tre_mean_mm"]
    methods = list(dict.fromkeys(e["method"] for row in rows for e in row["cases"]))
    paper = {(case,): _published(case) for case in cases}
    titles = {"case": "case", **{method: method for method in methods}}
    text = markdown(list(cases.values()), titles, paper)
    write_tables(folder, rows, f"{text}\n\nMean TRE, mm; paper: its fine-tuned model / Hering et al. 2021 (Table D.3).")


def _published(case: str) -> str:
    """What Table D.3 has for a case called `case1`, `4DCT-01`, `copd1` or the like."""
    digits = "".join(c for c in case.split("_")[0] if c.isdigit())
    name = "COPD" if "copd" in case.lower() else "4DCT"
    number = int(digits[-2:] or 0) if digits else 0
    if not 1 <= number <= 10:
        return ""
    ours, others = _PAPER_CASES[name]
    return f"{ours[number - 1]:.2f}" + (f" / {others[number - 1]:.2f}" if others else "")
