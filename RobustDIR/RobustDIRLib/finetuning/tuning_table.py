"""What came of a random search: a table of its trials, a picture, and the best of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import write_json, written_atomically
from RobustDIRLib.run_files import MODEL

TABLE, PICTURE, BEST = "trials.csv", "trials.png", "best.json"
Record = dict[str, Any]


def _rows(optuna: Any, study: Any) -> Iterator[Record]:
    for trial in study.get_trials():
        if trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED):
            values = trial.intermediate_values
            yield {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "learning_rate": trial.params.get("learning_rate"),
                "gradient": trial.params.get("gradient"),
                "value": max(values.values()) if values else None,
                "epochs": max(values, default=0),
                "folder": trial.user_attrs.get("folder"),
            }


def sum_up(optuna: Any, study: Any, folder: Path) -> Record:
    """Write table, picture and the best trial of a search into its folder.

    Raises:
        InputError: If no trial came to its end.
    """
    rows = list(_rows(optuna, study))
    done = [row for row in rows if row["value"] is not None]
    if not done:
        raise InputError(f"no trial in {folder} came to its end; run the same command again.")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    best = max(done, key=lambda row: row["value"])
    best = {**best, "file": str(folder / str(best["folder"]) / MODEL)}
    with written_atomically(folder / TABLE) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    write_json(folder / BEST, best)
    _draw(done, folder / PICTURE)
    return best


def _draw(rows: list[Record], path: Path) -> None:
    """Quality over learning rate and weight; nothing where matplotlib is not there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(8, 3.6), dpi=100, layout="constrained")
    for ax, (name, title) in zip(
        figure.subplots(1, 2, sharey=True),
        (("learning_rate", "learning rate"), ("gradient", "weight of the gradient term")),
        strict=True,
    ):
        for state, mark in (("complete", "o"), ("pruned", "x")):
            chosen = [row for row in rows if row["state"] == state]
            ax.plot([r[name] for r in chosen], [r["value"] for r in chosen], mark, label=state)
        ax.set_xlabel(title)
    figure.axes[0].set_xscale("log")
    figure.axes[0].set_ylabel("best validation quality")
    figure.axes[1].legend()
    with written_atomically(path) as temporary:
        figure.savefig(temporary)
