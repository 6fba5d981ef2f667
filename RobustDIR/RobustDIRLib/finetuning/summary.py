"""What a fine-tuning gained and what it lost: the new model beside the one it started from, on pairs kept for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.forgetting import synthetic_error
from RobustDIRLib.finetuning.refining import judge_refinement
from RobustDIRLib.finetuning.run import Material, kept_split, open_material, start_network
from RobustDIRLib.finetuning.validation import mean_measures, validate
from RobustDIRLib.io.files import write_json
from RobustDIRLib.model_file import save_model
from RobustDIRLib.model_store import load_model
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.run_files import CHECKPOINT, MODEL, SUMMARY
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.training.checkpoints import load_checkpoint
from RobustDIRLib.training.processes import Process

_TITLES = {
    "dice": ("Dice of the test pairs", ".3f"),
    "tre_mm": ("TRE of the test pairs, mm", ".2f"),
    "folding_percent": ("Folding, %", ".4f"),
    "synthetic_error": ("Error on synthetic pairs, voxels", ".2f"),
}


def summarise(config: FinetuneConfig, folder: Path, process: Process) -> dict[str, Any]:
    """Measure linear alignment, start and best epoch on the part `test`, and on synthetic pairs; write `summary.json`.

    Returns:
        By column (`linear`, `before` but where it would be random weights, `after`), the mean of each measure; and how
        many pairs there were.
    """
    after = load_model(folder / MODEL).network.to(process.device).eval()
    return _summarised(config, folder, process, after, _opened(config, folder, after))


def _opened(config: FinetuneConfig, folder: Path, network: LearningNetwork) -> Material:
    """The run's data, split as it was and of the files that the run has read."""
    path = folder / CHECKPOINT
    checksums = load_checkpoint(path).get("checksums") if path.is_file() else None
    return open_material(config, network, checksums, kept_split(folder))


def _summarised(
    config: FinetuneConfig, folder: Path, process: Process, after: LearningNetwork, material: Material
) -> dict[str, Any]:
    networks: dict[str, LearningNetwork | None] = {"linear": None}
    if config.initial is not None:
        networks["before"] = start_network(config).to(process.device).eval()
    networks["after"] = after
    columns = {name: _measured(material, network, config, process) for name, network in networks.items()}
    pairs = len(material.fixed_pairs("test", config.test_pairs))
    summary = {"pairs": pairs, "started_from": config.initial or "random weights", **columns}
    write_json(folder / SUMMARY, summary)
    return summary


def conclude(config: FinetuneConfig, folder: Path, process: Process) -> dict[str, Any]:
    """Sum a run up, decide whether its model's results are refined by default, and write both into the model's card.

    Returns:
        As `summarise`; and `refinement`, as of `judge_refinement`, where there was something to judge it by.
    """
    model = load_model(folder / MODEL)
    network = model.network.to(process.device).eval()
    material = _opened(config, folder, network)
    summary = _summarised(config, folder, process, network, material)
    card = {**model.card, "test": summary}
    judged = judge_refinement(network.cpu(), material, config)
    if judged is not None:
        summary["refinement"] = judged
        card.update(refine=judged["helps"], refinement=judged)
    write_json(folder / SUMMARY, summary)
    save_model(folder / MODEL, network, card)
    return summary


def refinement_sentence(judged: dict[str, Any]) -> str:
    """What was found of refinement, for people."""
    title, form = {"dice": ("Dice", ".3f"), "tre_mm": ("TRE in mm", ".2f")}[judged["measure"]]
    figures = f"{title} {format(judged['refined'], form)} with refinement, {format(judged['network'], form)} without it"
    ends = "it is done by default" if judged["helps"] else "the model's card rules it out, unless it is asked for"
    return f"{judged['pairs']} validation pairs: {figures}; {ends}"


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
    titles = {"linear": "linear", "before": summary["started_from"], "after": "fine-tuned"}
    columns = [column for column in titles if column in summary]
    lines = [f"| | {' | '.join(titles[column] for column in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, (title, form) in _TITLES.items():
        values: Sequence[float | None] = [summary[column].get(name) for column in columns]
        if any(value is not None for value in values):
            cells = ["" if value is None else format(value, form) for value in values]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)
