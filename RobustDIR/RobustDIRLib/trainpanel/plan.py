"""What the form of the tab *Train* asks for: its options, and their presets. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from RobustDIRLib.model_store import DEFAULT_MODEL
from RobustDIRLib.runner.outlook import Paces, Work, epochs_within, model_bytes
from RobustDIRLib.trainpanel.opened import Opened, Shared

FINETUNE, SCRATCH, PRETRAIN = "finetune", "scratch", "pretrain"
RANDOM = ""  # name of the model where a network begins with random weights
TEN_MINUTES, PAPER = "ten-minutes", "paper"
_SHORT_SECONDS = 540.0
_MOST_STEPS = 100_000
TERMS = ("dice", "local_ncc", "nmi", "mind", "landmarks")  # of a fine-tuning's loss
_MORE = "extra_dice"  # and all options after it may well stay as they are
AUTOMATIC = -1  # of a number that is left to the kind of the run
RANDOM_PAIRS = "random"
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
        deformation_model: File to draw these from: a deformation model, or motions of breathing.
        virtual_low, virtual_high: Range of the bound of their coefficients, standard deviations.
        device, threads: To compute with; 0 threads for torch's own choice.
        seed: Of every draw.
        shapes, maps, side, steps, contrast, strength: Of synthetic pairs: kind and number of label maps, voxels a side,
            steps of one pair, contrast of the two images, and the largest standard deviation of velocities, voxels.
        extra_dice, extra_local_ncc, extra_nmi, extra_mind, extra_landmarks: Weights of terms beside that of `loss`.
        freeze: Beginnings of the names of what does not learn, with commas between.
        warmup: Steps over which the learning rate rises; `AUTOMATIC` for none or, in a pretraining, a few.
        weight_decay, clip: Of the optimiser; 0 for none.
        batch: Pairs a step.
        both_directions: Whether moving to fixed counts as well.
        judge: What chooses the best epoch.
        draw_pairs: `auto`, `listed`, or `RANDOM_PAIRS`.
        alignment: Linear, before the network.
        run_preset: Of the registration; empty for that of each case.
        most_subjects: Learn from so many of the training part; 0 for all.
        precision: Of numbers.
    """

    purpose: str = FINETUNE
    start_model: str = DEFAULT_MODEL
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
    extra_dice: float = 0.0
    extra_local_ncc: float = 0.0
    extra_nmi: float = 0.0
    extra_mind: float = 0.0
    extra_landmarks: float = 0.0
    freeze: str = ""
    warmup: int = AUTOMATIC
    weight_decay: float = 0.0
    clip: float = 1.0
    batch: int = 1
    both_directions: bool = True
    judge: str = "auto"
    draw_pairs: str = "auto"
    alignment: str = "automatic"
    run_preset: str = ""
    most_subjects: int = 0
    virtual_low: float = 1.2
    virtual_high: float = 1.7
    precision: str = "auto"

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
    def extras(self) -> dict[str, float]:
        """Weights of the terms beside the main one."""
        return {name: weight for name in TERMS if (weight := getattr(self, f"extra_{name}"))}

    def terms(self, opened: Opened, shared: Shared) -> dict[str, float]:
        """Weights of a fine-tuning's terms; none leaves them to the run, which chooses as is done here."""
        extras = self.extras
        if self.loss != "auto":
            return {**extras, self.loss: self.loss_weight}
        main = "dice" if opened.is_labelled(shared.subjects.get("train", ())) else "local_ncc"
        return {**extras, main: self.loss_weight} if extras else {}

    def draws(self, opened: Opened) -> bool:
        """Whether pairs are drawn of all scans, rather than those of the data set."""
        return self.draw_pairs == RANDOM_PAIRS or (self.draw_pairs == "auto" and opened.two_people)

    @property
    def more_than_usual(self) -> bool:
        """Whether any option that may well stay as it is was changed."""
        usual = Plan()
        return any(getattr(self, name) != getattr(usual, name) for name in NAMES[NAMES.index(_MORE) :])

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
    alone: dict[str, Any] = dict.fromkeys((f"extra_{name}" for name in TERMS), 0.0)
    common = replace(
        plan, loss="dice", loss_weight=1.0, gradient_weight=0.75, learning_rate=1e-4, **alone, freeze="", warmup=0,
        weight_decay=0.0, clip=0.0, batch=1, both_directions=False,
    )  # fmt: skip
    if plan.purpose == PRETRAIN:
        return replace(
            common, start_model=RANDOM, network="cascade", shapes="medium", maps=100, side=192, steps=100_000,
            contrast="dynamic", strength=3.0,
        )  # fmt: skip
    return replace(
        common, epochs=300, pairs_per_epoch=0, stop_when_converged=True, augment_intensity=True, augment_flip=False,
        augment_affine=False, virtual_percent=50 if plan.deformation_model else 0, judge="auto", draw_pairs="auto",
        most_subjects=0,
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
    bytes_per_voxel = plan.batch * (
        _CASCADE_BYTES if plan.random and plan.network == "cascade" else Work.bytes_per_voxel
    )
    size = model_bytes(model)
    if plan.purpose == PRETRAIN:
        return Work(
            PRETRAIN, plan.accelerated, plan.steps * plan.batch, 1, float(plan.side**3),
            validation=8 * max(plan.steps // 500, 1), maps=plan.maps, side=map_side(plan), model_bytes=size,
            bytes_per_voxel=bytes_per_voxel,
        )  # fmt: skip
    if opened is None or shared is None:
        return Work(FINETUNE, plan.accelerated, 0, plan.epochs, 0.0, model_bytes=size)
    pairs = {name: shared.pairs(name, plan.draws(opened)) for name in ("train", "validation", "test")}
    if plan.most_subjects:  # about: whose scans are left out is drawn by the run
        people = max(1, len(shared.subjects.get("train", ())))
        pairs["train"] = -(-pairs["train"] * min(plan.most_subjects, people) // people)
    return Work(
        FINETUNE, plan.accelerated, plan.pairs_per_epoch or pairs["train"], plan.epochs, opened.working_voxels,
        min(pairs["validation"], _MOST_VALIDATED), min(pairs["test"], _MOST_TESTED), sum(shared.scans.values()),
        model_bytes=size, bytes_per_voxel=bytes_per_voxel,
        cache=min(_CACHE, int(sum(shared.scans.values()) * 6 * opened.working_voxels)),
    )  # fmt: skip


def map_side(plan: Plan) -> int:
    """Voxels a side of label maps: twice those of pairs where that is little, so that crops differ."""
    return min(2 * plan.side, max(plan.side, 128))
