"""What a fine-tuning gained and what it lost: the new model beside the one it started from, on pairs kept for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.forgetting import synthetic_error
from RobustDIRLib.finetuning.loop import MODEL
from RobustDIRLib.finetuning.run import Material, open_material, start_network
from RobustDIRLib.finetuning.validation import mean_measures, validate
from RobustDIRLib.io.files import write_json
from RobustDIRLib.model_store import load_model
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.training.processes import Process

SUMMARY = "summary.json"
_TITLES = {
    "dice": ("Dice of the test pairs", ".3f"),
    "tre_mm": ("TRE of the test pairs, mm", ".2f"),
    "folding_percent": ("Folding, %", ".4f"),
    "synthetic_error": ("Error on synthetic pairs, voxels", ".2f"),
}


def summarise(config: FinetuneConfig, folder: Path, process: Process) -> dict[str, Any]:
    """Measure linear alignment, start and best epoch on the part `test`, and on synthetic pairs; write `summary.json`.

    Returns:
        By column (`linear`, `before`, `after`), the mean of each measure; and how many pairs there were.
    """
    before = start_network(config).to(process.device).eval()
    after = load_model(folder / MODEL).network.to(process.device).eval()
    material = open_material(config, after)
    columns: dict[str, Any] = {}
    for name, network in (("linear", None), ("before", before), ("after", after)):
        columns[name] = _measured(material, network, config, process)
    pairs = len(material.fixed_pairs("test", config.test_pairs))
    summary = {"pairs": pairs, "started_from": config.initial or "random weights", **columns}
    write_json(folder / SUMMARY, summary)
    return summary


def _measured(
    material: Material, network: nn.Module | None, config: FinetuneConfig, process: Process
) -> dict[str, float]:
    keys = material.fixed_pairs("test", config.test_pairs)
    pairs = (material.maker.make(key, generator(0, index)) for index, key in enumerate(keys))
    measures = mean_measures(validate(network, pairs, None, config.precision, process.device))
    if network is not None:
        measures["synthetic_error"] = synthetic_error(network.cpu())["error"]
    return measures


def table(summary: dict[str, Any]) -> str:
    """The summary as a Markdown table: what was gained, and what was lost."""
    start = summary["started_from"]
    lines = [f"| | linear | {start} | fine-tuned |", "|---|---|---|---|"]
    for name, (title, form) in _TITLES.items():
        values: Sequence[float | None] = [summary[column].get(name) for column in ("linear", "before", "after")]
        if any(value is not None for value in values):
            cells = ["" if value is None else format(value, form) for value in values]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)
