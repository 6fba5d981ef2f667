"""Sum up a folder: tables, figures, tests, worst cases and `summary.json`, from its result files alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort import figures
from RobustDIRLib.cohort.collecting import Collection, Row, collect
from RobustDIRLib.cohort.files import FIGURES, LABELS, LANDMARKS, PAIRS, SUMMARY_FORMAT, WORST
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.cohort.results import Key, State, safe_name
from RobustDIRLib.cohort.showing import badness, ranking_measure
from RobustDIRLib.cohort.summary import TESTED, against_start, summarised, write_tables
from RobustDIRLib.evaluation.measures import BY_NAME, COHORT
from RobustDIRLib.io.checksums import sealed, sha256
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.registration.record import versions
from RobustDIRLib.run_files import SUMMARY

Say = Callable[[str], None]


def aggregate(folder: Path, plan: Evaluation, say: Say) -> dict[Key, State]:
    """Make everything of `layout` but the results from the results; the caller holds the folder's lock.

    Args:
        folder: Of the evaluation.
        plan: What there should be.
        say: Takes sentences to be read at once.
    Returns:
        The state of every planned result.
    Raises:
        InputError: If the folder cannot be written to.
    """
    collection = collect(folder, plan)
    primary = primary_measure(collection.done())
    tables, tests = write_tables(folder, plan, collection)
    content = {
        "format": SUMMARY_FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": plan.command,
        "versions": versions(),
        **_planned(plan),
        **_outcome(collection),
        "primary": primary,
        "measures": [_plain_measure(name) for name in measured_names(collection)],
        "summary": summarised(plan, collection),
        **tests,
        "start_tests": against_start(plan, collection, TESTED),
        "files": {name: sha256(folder / name) for name in (PAIRS, LANDMARKS, LABELS)},
        "tables": tables,
        "figures": _figures(folder, plan, collection, say),
        "worst": _worst(folder, plan, collection.done(), primary),
        "notes": [*plan.notes, *_remarks(collection), *_counted(collection.notes)],
    }
    with written_atomically(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(sealed(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for sentence in content["notes"]:
        say(f"note: {sentence}")
    return collection.states()


def primary_measure(rows: Iterable[Row]) -> str | None:
    """The measure that ranks cases: that of all their values together."""
    return ranking_measure({name for row in rows for name in row.values})


def measured_names(collection: Collection) -> list[str]:
    """Measures that any result has, in their order."""
    names = {name for row in collection.rows for name in row.values}
    return [measure.name for measure in COHORT if measure.name in names]


def _plain_measure(name: str) -> dict[str, str]:
    measure = BY_NAME[name]
    return {"name": name, "title": measure.title, "unit": measure.unit, "better": measure.better}


def _planned(plan: Evaluation) -> dict[str, Any]:
    dataset = plan.dataset
    subjects = len(set(plan.subject_of().values()))
    return {
        "dataset": {
            "name": dataset.name,
            "path": dataset.path,
            "kind": dataset.kind,
            "split": dataset.split,
            "cases": len(plan.cases),
            "subjects": subjects,
        },
        "methods": [{"name": m.name, "title": m.title, "settings": m.settings} for m in plan.methods],
        "conditions": [{"perturbation": c.perturbation, "strength": c.strength} for c in plan.conditions],
        "terms": {"masks": plan.terms.masks, "spacing": plan.terms.spacing, "words": plan.terms.words},
    }


def _outcome(collection: Collection) -> dict[str, Any]:
    rows = collection.rows
    done, failed = (sum(row.state is state for row in rows) for state in (State.DONE, State.FAILED))
    counts = {"planned": len(rows), "done": done, "failed": failed, "missing": len(rows) - done - failed}
    failures = [{**_key(row.key), "reason": row.reason} for row in rows if row.state is State.FAILED]
    return {"counts": counts, "failures": failures}


def _key(key: Key) -> dict[str, Any]:
    condition = {"perturbation": key.condition.perturbation, "strength": key.condition.strength}
    return {"case": key.case, "method": key.method, **condition}


def _counted(notes: Mapping[str, int]) -> list[str]:
    return [f"{sentence} ({count} results)" if count > 1 else sentence for sentence, count in notes.items()]


def _remarks(collection: Collection) -> Iterator[str]:
    """What makes methods hard to compare: failures, and times that were not taken alike."""
    rows = collection.rows
    for method in dict.fromkeys(row.key.method for row in rows):
        mine = [row for row in rows if row.key.method == method]
        lacking = sum(row.state is not State.DONE for row in mine)
        if lacking:
            yield f"{method}: {lacking} of {len(mine)} results failed or are missing; its figures are over the others"
        threads = sorted({row.threads for row in mine if row.state is State.DONE})
        if len(threads) > 1:
            yield f"{method}: times were taken with {', '.join(map(str, threads))} threads and do not compare"


def _figures(folder: Path, plan: Evaluation, collection: Collection, say: Say) -> list[dict[str, str]]:
    if not figures.available():
        say("no figures: they need matplotlib; install it with: pip install 'robustdir[report]'")
        return []
    (folder / FIGURES).mkdir(exist_ok=True)
    drawn = figures.draw_all(folder, plan, collection)
    _tidy(folder / FIGURES, {Path(entry["file"]).name for entry in drawn})
    return drawn


def _worst(folder: Path, plan: Evaluation, rows: list[Row], primary: str | None) -> list[dict[str, Any]]:
    """The worst cases of each method, and copies of their pictures in a folder of their own."""
    home = folder / WORST
    home.mkdir(exist_ok=True)
    entries = []
    for method in plan.methods:
        mine = [row for row in rows if row.key.method == method.name and primary in row.values]
        ranked = sorted(mine, key=lambda row: -badness(row.values, str(primary)))[: plan.worst]
        entries += [_worst_entry(folder, row, rank, str(primary)) for rank, row in enumerate(ranked, start=1)]
    _tidy(home, {Path(entry["picture"]).name for entry in entries if entry["picture"]})
    return entries


def _worst_entry(folder: Path, row: Row, rank: int, primary: str) -> dict[str, Any]:
    measure = BY_NAME[primary]
    name = f"{rank:02}_{safe_name(row.key.method)}_{safe_name(row.key.case)}.png"
    source, picture = row.key.picture(folder), None
    if source.is_file():
        picture = f"{WORST}/{name}"
        with written_atomically(folder / WORST / name) as temporary:
            shutil.copyfile(source, temporary)
    return {
        "rank": rank,
        "case": row.key.case,
        "subject": row.subject,
        "method": row.key.method,
        "measure": primary,
        "value": row.values[primary],
        "before": row.values.get(measure.before),
        "picture": picture,
    }


def _tidy(home: Path, wanted: set[str]) -> None:
    """Take away what an earlier summing up left and this one did not make."""
    for path in home.glob("[!.]*"):
        if path.is_file() and path.name not in wanted:
            path.unlink(missing_ok=True)
