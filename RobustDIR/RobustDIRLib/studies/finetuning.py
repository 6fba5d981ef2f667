"""Studies that fine-tune: data efficiency and convergence (Fig. 3), and supervision (Fig. D.5)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from RobustDIRLib.configuration import from_dict, to_dict
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import AugmentationConfig, FinetuneConfig, LossWeights
from RobustDIRLib.finetuning.loop import finetune
from RobustDIRLib.finetuning.split import keep_people, kept_people, split_dataset
from RobustDIRLib.finetuning.summary import summarise
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.run_files import CONFIG, RECORDS, SPLIT
from RobustDIRLib.studies.study import RUNS, Record, Row, Study, StudyRun
from RobustDIRLib.studies.tables import grouped, markdown, write_tables
from RobustDIRLib.training.diary import read_records
from RobustDIRLib.training.processes import Process

ARMS = ("fine-tuned", "scratch", "scratch + augmentation")
MEASURES = ("epochs_to_convergence", "best_epoch", "dice", "tre_mm", "folding_percent", "synthetic_error")
_TITLES = {
    "arm": "training",
    "pairs": "N",
    "runs": "runs",
    "epochs_to_convergence": "epochs to convergence",
    "dice": "test Dice",
    "tre_mm": "test TRE, mm",
    "folding_percent": "folding, %",
}
# Section 4.2.1 and Fig. 3: lung CT (NLST), median keypoint error.
_PAPER_EFFICIENCY = {
    ("fine-tuned", 170): "converges in 22 epochs",
    ("scratch", 170): "converges in 47 epochs",
    ("fine-tuned", 20): "under 2 mm from 20 pairs on",
    ("scratch", 75): "under 2 mm from 75 pairs on",
    ("scratch", 30): "about what pretraining alone gives",
}


@dataclass(frozen=True)
class EfficiencySettings:
    """Data efficiency and convergence (section 3.2.1, Fig. 3).

    Attributes:
        finetune: What all runs have in common, as a file for `robustdir finetune --config` has it; its `split` fixes
            who is for testing.
        sizes: Numbers N of training subjects or pairs; those that the data set does not have are left out.
        seeds: Runs of each, with seeds 0, 1, ...
        arms: Which ways of training, of `ARMS`.
        virtual: Deformation model for one more run of all subjects with virtual ones (N = infinite); none if not given.
    """

    finetune: dict[str, Any]
    sizes: tuple[int, ...] = (10, 20, 30, 50, 75, 100, 170)
    seeds: int = 3
    arms: tuple[str, ...] = ARMS
    virtual: str | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1 or not self.sizes or min(self.sizes) < 1:
            raise ValueError("seeds and sizes must be at least 1")
        if unknown := set(self.arms) - set(ARMS):
            raise ValueError(f"arms has {', '.join(sorted(unknown))}; known are {', '.join(ARMS)}")


def efficiency(settings: EfficiencySettings, folder: Path) -> Study:
    """The study: every arm with every N and seed; a seed after the other, so that a picture is there early.

    Args:
        settings: Of the study.
        folder: Of the study: all runs keep to the people of its first one.
    """
    base = from_dict(FinetuneConfig, settings.finetune, "finetune")
    sizes = _sizes(settings, base, folder)
    runs = [
        _run(f"{arm.replace(' ', '').replace('+', '_')}_{size}_{seed}", {"arm": arm, "pairs": size, "seed": seed},
             _with_arm(replace(base, seed=seed, split=replace(base.split, limit=size)), arm), folder)
        for seed in range(settings.seeds)
        for size in sizes
        for arm in settings.arms
    ]  # fmt: skip
    if settings.virtual:
        config = replace(base, virtual=replace(base.virtual, probability=0.5, model=settings.virtual))
        runs.append(_run("finetuned_infinite_0", {"arm": ARMS[0], "pairs": math.inf, "seed": 0}, config, folder))
    return Study("efficiency", to_dict(settings), runs, _report_efficiency)


def _with_arm(config: FinetuneConfig, arm: str) -> FinetuneConfig:
    if arm == "fine-tuned":
        return config
    augmentation = AugmentationConfig(contrast=0.5, noise=0.5) if "augmentation" in arm else AugmentationConfig()
    return replace(config, initial=None, augmentation=augmentation)


@dataclass(frozen=True)
class SupervisionSettings:
    """Weakly supervised against unsupervised fine-tuning (appendix D.4, Fig. D.5).

    Attributes:
        finetune: What all runs have in common.
        losses: Weights by name; the paper compares Dice with NMI.
        seeds: Runs of each.
    """

    finetune: dict[str, Any]
    losses: dict[str, Any] = field(
        default_factory=lambda: {"Dice": {"dice": 1.0}, "NMI": {"nmi": 1.0}, "local NCC": {"local_ncc": 1.0}}
    )
    seeds: int = 1

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError("seeds must be at least 1")
        if wrong := next((name for name, weights in self.losses.items() if not isinstance(weights, dict)), None):
            raise ValueError(f"losses.{wrong} must be weights by name, not {self.losses[wrong]!r}")


def supervision(settings: SupervisionSettings, folder: Path) -> Study:
    """The study: fine-tuning by each loss; arguments as of `efficiency`."""
    base = from_dict(FinetuneConfig, settings.finetune, "finetune")
    gradient = base.loss.gradient
    runs = []
    for name, weights in settings.losses.items():
        loss = from_dict(LossWeights, {"gradient": gradient, **weights}, f"losses.{name}")
        for seed in range(settings.seeds):
            label = f"{name.replace(' ', '_')}_{seed}"
            runs.append(_run(label, {"arm": name, "seed": seed}, replace(base, seed=seed, loss=loss), folder))
    return Study("supervision", to_dict(settings), runs, _report_supervision)


def _run(name: str, labels: Mapping[str, Any], config: FinetuneConfig, home: Path) -> StudyRun:
    return StudyRun(name, labels, partial(_work, config, home), partial(_measure, config))


def _work(config: FinetuneConfig, home: Path, folder: Path) -> Iterator[Record]:
    limit, seed = config.split.limit, config.split.seed
    kept = keep_people(replace(config, split=replace(config.split, limit=0)), home, f"{RUNS}/*")
    config = replace(kept, split=replace(kept.split, limit=limit, seed=seed))
    yield from finetune(config, folder, resume=(folder / CONFIG).is_file())


def _measure(config: FinetuneConfig, folder: Path) -> dict[str, Any]:
    """Test figures of the best epoch, of its start, and when the run had converged."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    summary = summarise(config, folder, Process(0, 1, device))
    records = read_records(folder / RECORDS)
    epochs = [record for record in records if record["kind"] == "epoch"]
    best = [record.get("epoch") for record in epochs if record.get("best")]
    end = records[-1]
    return {
        **summary["after"],
        **{f"{name}_before": value for name, value in summary.get("before", {}).items()},
        "epochs_to_convergence": end.get("converged"),
        "epochs": end.get("epoch"),
        "best_epoch": best[-1] if best else None,
        "curve": [{k: r[k] for k in ("epoch", "dice", "tre_mm", "loss") if k in r} for r in epochs],
    }


def _report_efficiency(rows: Sequence[Row], folder: Path) -> None:
    table = grouped(rows, ("arm", "pairs"), MEASURES)
    write_tables(folder, rows, markdown(table, _shown(table), _PAPER_EFFICIENCY))
    _draw_efficiency(rows, folder / "efficiency.png")
    _draw_curves(rows, folder / "curves.png")


def _report_supervision(rows: Sequence[Row], folder: Path) -> None:
    table = grouped(rows, ("arm",), (*MEASURES, "dice_before", "tre_mm_before"))
    paper = {("NMI",): "NLST 1.9 mm, DIR-Lab 2.1 mm (D.4)", ("Dice",): "NLST 0.8 mm, DIR-Lab 1.3 mm (Table D.2)"}
    write_tables(folder, rows, markdown(table, _shown(table), paper))


def _shown(table: Sequence[Row]) -> dict[str, str]:
    return {name: title for name, title in _TITLES.items() if any(name in row for row in table)}


def _draw_efficiency(rows: Sequence[Row], path: Path) -> None:
    """Test Dice (or TRE) against N, and epochs to convergence against N; nothing where matplotlib is not there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    measure = "dice" if any("dice" in row for row in rows) else "tre_mm"
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    for ax, name in zip(figure.subplots(1, 2), (measure, "epochs_to_convergence"), strict=True):
        for arm, mark in zip(ARMS, "osx", strict=True):
            table = [r for r in grouped(rows, ("arm", "pairs"), (name,)) if r["arm"] == arm and name in r]
            table = sorted((r for r in table if math.isfinite(r["pairs"])), key=lambda r: float(r["pairs"]))
            if table:
                middle = [r[name]["median"] for r in table]
                spread = [[m - r[name]["min"] for m, r in zip(middle, table, strict=True)],
                          [r[name]["max"] - m for m, r in zip(middle, table, strict=True)]]  # fmt: skip
                ax.errorbar([r["pairs"] for r in table], middle, yerr=spread, marker=mark, capsize=3, label=arm)
        if not ax.containers:
            ax.text(0.5, 0.5, "no run has got there", ha="center", transform=ax.transAxes)
            ax.set(xticks=[], yticks=[])
        ax.set_xlabel("training subjects or pairs N")
        ax.set_ylabel({"dice": "test Dice", "tre_mm": "test TRE, mm"}.get(name, "epochs to convergence"))
    before = [row[f"{measure}_before"] for row in rows if row["arm"] == ARMS[0] and f"{measure}_before" in row]
    if before:
        figure.axes[0].axhline(before[0], linestyle=":", color="0.4", label="start, not fine-tuned")
    _add_legend(figure)
    with written_atomically(path) as temporary:
        figure.savefig(temporary)


def _draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Validation over epochs, a panel for each N and a line for each run; nothing where matplotlib is not there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    measure = next(
        (name for name in ("dice", "tre_mm", "loss") if any(name in p for r in rows for p in r["curve"])), None
    )
    sizes = sorted({row["pairs"] for row in rows})
    if measure is None:
        return
    figure = Figure(figsize=(4 * len(sizes) + 1, 4), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for ax, size in zip(panels, sizes, strict=True):
        for arm, colour in zip(ARMS, ("C0", "C1", "C2"), strict=True):
            for number, row in enumerate(r for r in rows if (r["arm"], r["pairs"]) == (arm, size)):
                points = [p for p in row["curve"] if measure in p]
                label = arm if number == 0 else None
                ax.plot([p["epoch"] for p in points], [p[measure] for p in points], colour, label=label)
        ax.set_title(f"N = {size}")
        ax.set_xlabel("epoch")
    panels[0].set_ylabel({"dice": "validation Dice", "tre_mm": "validation TRE, mm"}.get(measure, "validation loss"))
    _add_legend(figure)
    with written_atomically(path) as temporary:
        figure.savefig(temporary)


def _add_legend(figure: Any) -> None:
    """What any of a figure's panels shows, below them all, where it covers nothing."""
    found = [pair for ax in figure.axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    entries = {label: handle for handle, label in reversed(found)}
    order = [*(arm for arm in ARMS if arm in entries), *(label for label in entries if label not in ARMS)]
    handles = [entries[label] for label in order]
    figure.legend(handles, order, loc="outside lower center", ncols=max(1, len(order)), fontsize=8)


def _sizes(settings: EfficiencySettings, base: FinetuneConfig, folder: Path) -> list[int]:
    """Those sizes that the data set has, or had when the study began.

    Raises:
        InputError: If it has none of them.
    """
    dataset = open_dataset(base.dataset, base.kind, base.part)
    split = kept_people(folder) if (folder / SPLIT).is_file() else replace(base.split, limit=0)
    there = len(split_dataset(dataset, split)["train"].subjects)
    sizes = [size for size in settings.sizes if size <= there]
    if not sizes:
        raise InputError(
            f"sizes: the part train has {there} subjects, fewer than each of the sizes; name smaller ones."
        )
    return sizes
