"""A plan of the tab *Train* as settings of runs and as commands of `robustdir`. No Qt, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from RobustDIRLib.run_files import SPLIT
from RobustDIRLib.trainpanel.opened import Opened, Shared
from RobustDIRLib.trainpanel.plan import AUTOMATIC, PRETRAIN, SCRATCH, Plan, map_side
from RobustDIRLib.trainpanel.plan_refusals import virtual_source

SETTINGS, BANK_SETTINGS = "settings.json", "bank.json"
_PYRAMID = {"kind": "pyramid", "squarings": 3, "iterations": [1, 2, 2, 2]}
_CASCADE = {"kind": "cascade", "channels": [64, 128], "downsampling": "pooling", "squarings": 5}
NETWORKS = {"pyramid": _PYRAMID, "cascade": _CASCADE}
_WARMUP = 100  # steps of a pretraining, if it is long


def finetune_settings(plan: Plan, opened: Opened, shared: Shared) -> dict[str, Any]:
    """For `FinetuneConfig`."""
    settings: dict[str, Any] = {
        "dataset": opened.path,
        "kind": opened.kind,
        "part": opened.part or None,
        "initial": None if plan.random else plan.start_model,
        "split": {**shared.as_settings(), "limit": plan.most_subjects},
        "preset": plan.run_preset or None,
        "alignment": plan.alignment,
        "pairing": plan.draw_pairs,
        "pairs_per_epoch": plan.pairs_per_epoch,
        "loss": {**plan.terms(opened, shared), "gradient": plan.gradient_weight},
        "judge": plan.judge,
        "both_directions": plan.both_directions,
        "augmentation": _augmentation(plan),
        "optimizer": _optimizer(plan, warmup=0, average=0.0),
        "freeze": [name.strip() for name in plan.freeze.split(",") if name.strip()],
        "batch": plan.batch,
        "precision": plan.precision,
        "convergence": {"stop": plan.stop_when_converged},
        "epochs": plan.epochs,
        "device": plan.device,
        "threads": plan.threads,
        "seed": plan.seed,
        "log_every": 1 if plan.pairs_per_epoch or shared.pairs("train", plan.draws(opened)) < 50 else 10,
    }
    if plan.purpose == SCRATCH:
        settings["network"] = NETWORKS[plan.network]
    if plan.virtual_percent:
        settings["virtual"] = {
            "probability": plan.virtual_percent / 100,
            virtual_source(Path(plan.deformation_model)): plan.deformation_model,
            "strength": [plan.virtual_low, plan.virtual_high],
        }
    return settings


def _optimizer(plan: Plan, warmup: int, average: float) -> dict[str, float]:
    return {
        "learning_rate": plan.learning_rate,
        "weight_decay": plan.weight_decay,
        "warmup": warmup if plan.warmup == AUTOMATIC else plan.warmup,
        "clip": plan.clip,
        "average": average,
    }


def _augmentation(plan: Plan) -> dict[str, float]:
    often, never = 0.5, 0.0
    return {
        "contrast": often if plan.augment_intensity else never,
        "noise": often if plan.augment_intensity else never,
        "flip": often if plan.augment_flip else never,
        "affine": often if plan.augment_affine else never,
    }


def bank_settings(plan: Plan) -> dict[str, Any]:
    """For `BankSettings`."""
    return {"labels": {"kinds": [plan.shapes], "side": map_side(plan)}, "count": plan.maps, "seed": plan.seed}


def pair_settings(plan: Plan) -> dict[str, Any]:
    """For `PairConfig`."""
    return {
        "side": plan.side,
        "reduction": 2,
        "deformation": {"sigma_max": plan.strength},
        "intensity": {"contrast": plan.contrast},
    }


def synthesis_settings(plan: Plan) -> dict[str, Any]:
    """For `robustdir synthesize --config`: a pair as the run would make it."""
    return {"labels": bank_settings(plan)["labels"], "pairs": pair_settings(plan)}


def pretrain_settings(plan: Plan, model: Path | None) -> dict[str, Any]:
    """For `TrainingConfig`; its label maps are made by the run itself.

    Args:
        plan: The run.
        model: File of the model to start from; None for random weights.
    """
    exact = plan.loss != "dice"
    return {
        "network": NETWORKS[plan.network] if model is None else {},
        "banks": ["bank"],
        "pairs": pair_settings(plan),
        "loss": {
            "end_point": plan.loss_weight if exact else 0.0,
            "dice": plan.extra_dice if exact else plan.loss_weight,
            "gradient": plan.gradient_weight,
        },
        "optimizer": _optimizer(plan, warmup=min(_WARMUP, plan.steps // 10), average=0.998),
        "batch": plan.batch,
        "precision": plan.precision,
        "steps": plan.steps,
        "device": plan.device,
        "threads": plan.threads,
        "seed": plan.seed,
        "log_every": max(1, min(20, plan.steps // 20)),
        "validate_every": max(1, min(500, plan.steps // 4)),
        "checkpoint_every": max(1, min(200, plan.steps // 4)),
        "initial": None if model is None else str(model),
    }


def words_of(plan: Plan, folder: Path) -> list[str]:
    """Subcommand and arguments of the run of a folder that holds its settings."""
    settings = str(folder / SETTINGS)
    if plan.purpose == PRETRAIN:
        return ["pretrain", settings, "--output", str(folder), "--bank", str(folder / BANK_SETTINGS)]
    return ["finetune", "--output", str(folder), "--config", settings, "--progress", "json"]


def deformation_words(opened: Opened, folder: Path, method: str, pairs: int = 50) -> list[str]:
    """Subcommand and arguments that build a deformation model of the training part alone."""
    part = ["--part", opened.part] if opened.part else []
    subjects = ["--subjects", str(folder / SPLIT), "--pairs", str(pairs), "--method", method]
    return [
        "deformation-model", "build", opened.path, "--output", str(folder), "--kind", opened.kind, *part, *subjects,
        "--progress", "json",
    ]  # fmt: skip
