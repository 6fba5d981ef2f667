"""What the form of the tab *Train* asks for, as settings of runs and commands of `robustdir`. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.outlook import Paces, Work, epochs_within, model_bytes
from RobustDIRLib.trainpanel.opened import Opened, Shared

FINETUNE, SCRATCH, PRETRAIN = "finetune", "scratch", "pretrain"
RANDOM = ""  # name of the model where a network begins with random weights
SETTINGS, BANK_SETTINGS, SPLIT = "settings.json", "bank.json", "split.json"
TEN_MINUTES, PAPER = "ten-minutes", "paper"
_SHORT_SECONDS = 540.0
_MOST_STEPS = 100_000
_PYRAMID = {"kind": "pyramid", "squarings": 3, "iterations": [1, 2, 2, 2]}
_CASCADE = {"kind": "cascade", "channels": [64, 128], "downsampling": "pooling", "squarings": 5}
NETWORKS = {"pyramid": _PYRAMID, "cascade": _CASCADE}
_CASCADE_BYTES = 6_000.0  # of memory for a working voxel
_CACHE = 2048 * 2**20
_MOST_VALIDATED, _MOST_TESTED = 20, 40


@dataclass(frozen=True)
class Plan:
    """All options of a run; `RobustDIRTrain.py` has the same as parameters of the scene.

    Attributes:
        purpose: `finetune`, `scratch` (a new network, on the data set) or `pretrain` (on synthetic shapes).
        start_model: Name or file of the model to start from; empty for random weights.
        network: One of `NETWORKS`, where weights are random.
        loss: `auto`, or a term of `LossWeights`.
        loss_weight, gradient_weight: Of that term, and of the displacement's gradient.
        epochs, pairs_per_epoch: At most; 0 pairs for all.
        learning_rate: Of Adam.
        stop_when_converged: By the paper's rule.
        augment_intensity, augment_flip, augment_affine: What is done to pairs.
        virtual_percent: How many of the pairs are virtual subjects.
        deformation_model: File to draw these from.
        device, threads: To compute with; 0 threads for torch's own choice.
        seed: Of every draw.
        shapes, maps, side, steps, contrast, strength: Of synthetic pairs: kind and number of label maps, voxels a side,
            steps of one pair, contrast of the two images, and the largest standard deviation of velocities, voxels.
    """

    purpose: str = FINETUNE
    start_model: str = "generic"
    network: str = "pyramid"
    loss: str = "auto"
    loss_weight: float = 1.0
    gradient_weight: float = 0.1
    epochs: int = 300
    pairs_per_epoch: int = 0
    learning_rate: float = 1e-4
    stop_when_converged: bool = True
    augment_intensity: bool = False
    augment_flip: bool = False
    augment_affine: bool = False
    virtual_percent: int = 0
    deformation_model: str = ""
    device: str = "auto"
    threads: int = 0
    seed: int = 0
    shapes: str = "varied"
    maps: int = 100
    side: int = 64
    steps: int = 20_000
    contrast: str = "mixed"
    strength: float = 2.2

    @classmethod
    def of(cls, parameters: Any) -> Plan:
        """Of a parameter node, whose names are the same in camel case."""
        return cls(**{name: getattr(parameters, camel(name)) for name in NAMES})

    def put(self, parameters: Any) -> None:
        """Into a parameter node."""
        for name in NAMES:
            if getattr(parameters, camel(name)) != getattr(self, name):
                setattr(parameters, camel(name), getattr(self, name))

    @property
    def random(self) -> bool:
        """Whether the network begins with random weights."""
        return self.purpose == SCRATCH or (self.purpose == PRETRAIN and self.start_model == RANDOM)

    @property
    def command(self) -> str:
        """Subcommand of `robustdir`."""
        return PRETRAIN if self.purpose == PRETRAIN else FINETUNE

    @property
    def accelerated(self) -> bool:
        """Whether a graphics card is asked for; `auto` takes one where there is one, which is not known here."""
        return self.device not in ("cpu", "auto")


NAMES = tuple(each.name for each in fields(Plan))


def camel(name: str) -> str:
    """`start_model` as `startModel`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def plan_from(values: Any) -> Plan:
    """A plan of plain values, as presets are kept; what is unknown or of another type is left at its default."""
    known = {each.name: each for each in fields(Plan)}
    if not isinstance(values, Mapping):
        return Plan()
    kept: dict[str, Any] = {
        name: float(value) if isinstance(known[name].default, float) else value
        for name, value in values.items()
        if name in known and _fits(value, known[name].default)
    }
    return Plan(**kept)


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, (int, float) if isinstance(default, float) else type(default))


def paper(plan: Plan) -> Plan:
    """The paper's values (sections 2.1.2, 2.2.3, 2.3, 2.4.1 and 3.2) for what the plan is for."""
    common = replace(plan, loss="dice", loss_weight=1.0, gradient_weight=0.75, learning_rate=1e-4)
    if plan.purpose == PRETRAIN:
        return replace(
            common, start_model=RANDOM, network="cascade", shapes="medium", maps=100, side=192, steps=100_000,
            contrast="dynamic", strength=3.0,
        )  # fmt: skip
    return replace(
        common, epochs=300, pairs_per_epoch=0, stop_when_converged=True, augment_intensity=True, augment_flip=False,
        augment_affine=False, virtual_percent=50 if plan.deformation_model else 0,
    )  # fmt: skip


def ten_minutes(plan: Plan, opened: Opened | None, shared: Shared | None, paces: Paces) -> Plan:
    """As much of a run as this machine does in about ten minutes, by the forecast."""
    short = replace(plan, loss="auto", gradient_weight=0.1, virtual_percent=0, threads=0)
    if plan.purpose == PRETRAIN:
        short = replace(short, maps=8, side=64, shapes="varied", contrast="mixed", strength=2.2, learning_rate=1e-3)
        for _ in range(2):  # how often is validated depends on the steps
            work = replace(work_of(short, opened, shared), pairs=_MOST_STEPS)
            short = replace(short, steps=epochs_within(work, paces, _SHORT_SECONDS)[0])
        return short
    whole = replace(short, learning_rate=3e-4, pairs_per_epoch=0)
    pairs, epochs = epochs_within(work_of(whole, opened, shared), paces, _SHORT_SECONDS)
    return replace(whole, pairs_per_epoch=pairs, epochs=epochs)


def work_of(plan: Plan, opened: Opened | None, shared: Shared | None, model: Path | None = None) -> Work:
    """The run as its forecast takes it.

    Args:
        plan: The run.
        opened, shared: The data set and its split; None makes a run of nothing.
        model: File of the model that it starts from, if it does.
    """
    bytes_per_voxel = _CASCADE_BYTES if plan.random and plan.network == "cascade" else Work.bytes_per_voxel
    size = model_bytes(model)
    if plan.purpose == PRETRAIN:
        return Work(
            PRETRAIN, plan.accelerated, plan.steps, 1, float(plan.side**3), validation=8 * max(plan.steps // 500, 1),
            maps=plan.maps, side=map_side(plan), model_bytes=size, bytes_per_voxel=bytes_per_voxel,
        )  # fmt: skip
    if opened is None or shared is None:
        return Work(FINETUNE, plan.accelerated, 0, plan.epochs, 0.0, model_bytes=size)
    pairs = {name: shared.pairs(name, opened.two_people) for name in ("train", "validation", "test")}
    return Work(
        FINETUNE, plan.accelerated, plan.pairs_per_epoch or pairs["train"], plan.epochs, opened.working_voxels,
        min(pairs["validation"], _MOST_VALIDATED), min(pairs["test"], _MOST_TESTED), sum(shared.scans.values()),
        model_bytes=size, bytes_per_voxel=bytes_per_voxel,
        cache=min(_CACHE, int(sum(shared.scans.values()) * 6 * opened.working_voxels)),
    )  # fmt: skip


def refuse(plan: Plan, opened: Opened | None, shared: Shared | None) -> None:
    """Refuse what cannot be run.

    Raises:
        InputError: One sentence: what is missing or wrong, and what to do.
    """
    if plan.purpose != PRETRAIN:
        _refuse_data(plan, opened, shared)
    else:
        refuse_side(plan)
    if not plan.random and not plan.start_model:
        raise InputError(_("Choose the model to start from."))
    if plan.virtual_percent and plan.purpose != PRETRAIN:
        if not plan.deformation_model:
            raise InputError(_("Virtual subjects need a deformation model: build or choose one, or set them to 0 %."))
        if not Path(plan.deformation_model).is_file():
            raise InputError(
                _("The deformation model {file} is gone: choose another one.").format(file=plan.deformation_model)
            )


def refuse_side(plan: Plan) -> None:
    """Refuse synthetic pairs that no network takes.

    Raises:
        InputError: If so.
    """
    if plan.side % 16:
        raise InputError(
            _("Synthetic pairs of {side} voxels cannot be halved four times: give a multiple of 16.").format(
                side=plan.side
            )
        )


def _refuse_data(plan: Plan, opened: Opened | None, shared: Shared | None) -> None:
    if opened is None:
        raise InputError(_("No data set is open: choose one in the tab Data."))
    if not Path(opened.path).exists():
        raise InputError(
            _("The data set {path} is no longer there: choose its place in the tab Data.").format(path=opened.path)
        )
    if shared is None:
        raise InputError(_("The patients are not shared out yet: see the tab Data."))
    if not shared.pairs("train", opened.two_people):
        raise InputError(_("The patients of the part for training make no pair: give it more in the tab Data."))
    if plan.loss == "dice" and not opened.labelled:
        raise InputError(_("The Dice loss needs label maps of all images, and some are missing: choose another loss."))
    if plan.loss == "landmarks" and not any(case.landmarks for case in opened.cases):
        raise InputError(_("The landmark loss needs landmarks, and the data set has none: choose another loss."))


def finetune_settings(plan: Plan, opened: Opened, shared: Shared) -> dict[str, Any]:
    """For `FinetuneConfig`."""
    terms = {} if plan.loss == "auto" else {plan.loss: plan.loss_weight}
    settings: dict[str, Any] = {
        "dataset": opened.path,
        "kind": opened.kind,
        "part": opened.part or None,
        "initial": None if plan.random else plan.start_model,
        "split": shared.as_settings(),
        "pairs_per_epoch": plan.pairs_per_epoch,
        "loss": {**terms, "gradient": plan.gradient_weight},
        "augmentation": _augmentation(plan),
        "optimizer": {"learning_rate": plan.learning_rate, "clip": 1.0, "average": 0.0},
        "convergence": {"stop": plan.stop_when_converged},
        "epochs": plan.epochs,
        "device": plan.device,
        "threads": plan.threads,
        "seed": plan.seed,
        "log_every": 1 if plan.pairs_per_epoch or shared.pairs("train", opened.two_people) < 50 else 10,
    }
    if plan.purpose == SCRATCH:
        settings["network"] = NETWORKS[plan.network]
    if plan.virtual_percent:
        settings["virtual"] = {"probability": plan.virtual_percent / 100, "model": plan.deformation_model}
    return settings


def _augmentation(plan: Plan) -> dict[str, float]:
    often, never = 0.5, 0.0
    return {
        "contrast": often if plan.augment_intensity else never,
        "noise": often if plan.augment_intensity else never,
        "flip": often if plan.augment_flip else never,
        "affine": often if plan.augment_affine else never,
    }


def map_side(plan: Plan) -> int:
    """Voxels a side of label maps: twice those of pairs where that is little, so that crops differ."""
    return min(2 * plan.side, max(plan.side, 128))


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
            "dice": 0.0 if exact else plan.loss_weight,
            "gradient": plan.gradient_weight,
        },
        "optimizer": {
            "learning_rate": plan.learning_rate,
            "warmup": min(100, plan.steps // 10),
            "clip": 1.0,
            "average": 0.998,
        },
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
