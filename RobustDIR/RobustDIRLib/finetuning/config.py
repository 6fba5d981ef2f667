"""Everything a fine-tuning run is defined by: one JSON file is one run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from RobustDIRLib.configuration import refuse_seed
from RobustDIRLib.model_store import DEFAULT_MODEL
from RobustDIRLib.training.config import DEVICES, MOST_PROCESSES, PRECISIONS, OptimizerConfig

PAIRINGS = ("auto", "listed", "random")
JUDGES = ("auto", "dice", "tre", "loss")
ALIGNMENTS = ("automatic", "none", "centre", "rigid", "affine")
GRIDS = ("fitted", "native", "registration")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitConfig:
    """Which subjects are for teaching, for choosing the best epoch, and for the final judgement.

    Attributes:
        train: Subjects to learn from; all three lists empty draws them by `shares`.
        validation: Subjects that choose the best epoch and tell when it has converged.
        test: Subjects that are looked at once, at the end.
        shares: Of train, validation and test, where no lists are given.
        seed: Of that draw.
        limit: Learn from so many of the training subjects only, the first of a fixed random order; 0 for all.
    """

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
    seed: int = 0
    limit: int = 0

    def __post_init__(self) -> None:
        if min(self.shares) < 0 or not 0 < sum(self.shares) <= 1 + 1e-9 or self.shares[0] == 0:
            raise ValueError("shares must not be negative, sum to at most 1, and leave something to learn from")
        if self.limit < 0:
            raise ValueError("limit must not be negative")
        refuse_seed(self.seed)

    @property
    def listed(self) -> bool:
        """Whether subjects are named rather than drawn."""
        return bool(self.train or self.validation or self.test)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; all but `gradient` at 0 takes Dice where there are labels, else local NCC.

    Attributes:
        dice: One minus the mean Dice of the labels in the fixed image (Eq. 2).
        nmi: Normalised mutual information at three resolutions (Eq. 6).
        local_ncc: Squared local correlation in windows of 9 voxels.
        mind: Mean difference of self-similarity, for unlike contrasts.
        landmarks: Mean TRE of the cases' landmarks, mm.
        gradient: Mean L2 norm of the displacement's gradient (Eq. 3); 0.75 in the paper (section 2.2.3), where the
            network still had to learn what is smooth. With it the Dice of a fine-tuned pyramid fell on hippocampi.
        labels: How many labels, drawn at random, a step looks at, where the maps hold more: memory.
    """

    dice: float = 0.0
    nmi: float = 0.0
    local_ncc: float = 0.0
    mind: float = 0.0
    landmarks: float = 0.0
    gradient: float = 0.1
    labels: int = 24

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0 or self.labels < 1:
            raise ValueError("weights must not be negative and labels must be at least 1")

    @property
    def automatic(self) -> bool:
        """Whether the terms are left to the data."""
        return not any(weight for name, weight in vars(self).items() if name not in ("gradient", "labels"))


@dataclass(frozen=True)
class AugmentationConfig:
    """What is done to a pair before it is learnt from.

    Attributes:
        contrast: Probability of scaling an image's intensities by 1 + U(-0.5, 0.5) (section 2.4.1; 0.5 there).
        noise: Probability of Gaussian noise N(0, 0.2) on an image (section 2.4.1; 0.5 there).
        flip: Probability of mirroring the pair, for each axis.
        affine: Probability of a small random affine on top of the linear alignment.
        rotation: Its largest angle about each axis, degrees.
        scale: Its largest change of scale along each axis, as a share.
        shift: Its largest shift along each axis, mm.
    """

    contrast: float = 0.0
    noise: float = 0.0
    flip: float = 0.0
    affine: float = 0.0
    rotation: float = 5.0
    scale: float = 0.05
    shift: float = 2.0

    def __post_init__(self) -> None:
        if not all(0 <= p <= 1 for p in (self.contrast, self.noise, self.flip, self.affine)):
            raise ValueError("contrast, noise, flip and affine are probabilities, from 0 to 1")
        if min(self.rotation, self.scale, self.shift) < 0 or self.scale >= 1:
            raise ValueError("rotation, scale and shift must not be negative, and scale must be below 1")


@dataclass(frozen=True)
class VirtualConfig:
    """Virtual subjects: pairs made of one training scan by known deformations (section 2.3.4).

    Attributes:
        probability: How often a pair is a virtual one (0.5 in the paper); 0 for never.
        model: File of a statistical deformation model (`robustdir deformation-model build`).
        motions: File of real breathing (`robustdir synthesize --motions`), for chest CT, instead of a model.
        strength: Range of the coefficients' bound c of Eq. 4, in standard deviations of the model's components.
    """

    probability: float = 0.0
    model: str | None = None
    motions: str | None = None
    strength: tuple[float, float] = (1.2, 1.7)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1 or not 0 <= self.strength[0] <= self.strength[1]:
            raise ValueError("probability lies from 0 to 1, and strength holds a lower and an upper bound")
        if self.probability and (self.model is None) == (self.motions is None):
            raise ValueError("virtual subjects need a model or motions: name one of the two")


@dataclass(frozen=True)
class ConvergenceConfig:
    """The paper's rule (section 2.2.3): the running average of the validation measure hardly changes any more.

    Attributes:
        window: Epochs of the running average.
        change: Less than this much is no change.
        patience: For so many epochs in a row.
        stop: Whether the run ends there.
    """

    window: int = 3
    change: float = 1e-4
    patience: int = 4
    stop: bool = True

    def __post_init__(self) -> None:
        if min(self.window, self.patience) < 1 or self.change < 0:
            raise ValueError("window and patience must be at least 1 and change not negative")


@dataclass(frozen=True)
class FinetuneConfig:
    """One fine-tuning run.

    Attributes:
        dataset: Folder of a data set, or its `robustdir-dataset.json`.
        kind: Of the data set; see `datasets.opening.KINDS`.
        part: Of the data set, where it has parts; its default otherwise.
        initial: Model (name or file) or checkpoint to start from; null starts from random (Kaiming) weights.
        network: Architecture where `initial` is null; the shipped model's if not given.
        preset: Of the registration; each case's own if not given.
        alignment: Linear alignment that pairs have before the network, as `register` makes it.
        split: Subjects of each part.
        pairing: `listed` (the data set's pairs), `random` (each epoch every training scan is the moving image once,
            with a fixed one drawn for it, as in section 2.3.3), `auto` (random where all pairs are of two people).
        pairs_per_epoch: Pairs an epoch; 0 for one a training scan (random) or all (listed).
        validation_pairs: How many fixed pairs are validated on, at most.
        test_pairs: How many fixed pairs the final judgement has, at most.
        loss: Weights of the loss terms.
        judge: What chooses the best epoch: Dice, TRE of landmarks, the loss, or `auto` (Dice where there are labels,
            else the loss, so that landmarks can stay for testing).
        both_directions: Whether the loss is the mean of fixed to moving and moving to fixed, which every network gives.
        augmentation: What is done to pairs.
        virtual: Pairs made of one scan.
        optimizer: Its settings; 1e-4 and Adam in the paper (section 2.2.3).
        convergence: When to stop.
        epochs: At most; 300 in the paper (section 3.2).
        batch: Pairs a step (and process).
        freeze: Names of parameters, by their beginnings, that stay as they are, such as `encoder` or `decoder.3`.
        grid: What pairs are learnt on: `registration` (the working grid of `register`, on which all is judged),
            `fitted` (with sides that need no padding: see `grids.FittedGrid`), or `native` (and voxels no finer than
            the images').
        spacing: Side of a working voxel, mm, for learning and judging, coarser than the preset's (null) where memory or
            time ask for it; `evaluate --spacing` takes the same.
        most_voxels: Larger pairs are cut to random boxes of so many working voxels; 0 for what memory bears.
        cache_mib: Main memory for preprocessed scans, MiB; older ones are read again.
        precision: auto, fp32, bf16 or fp16, as in pretraining.
        device: auto (a graphics card where there is one), cpu or cuda.
        threads: Of the network; 0 leaves torch's choice. One more reads and aligns the next pairs.
        seed: Of every draw.
        log_every, checkpoint_every: Steps between records, and checkpoints within an epoch (0: at its end alone).
    """

    dataset: str
    kind: str = "auto"
    part: str | None = None
    initial: str | None = DEFAULT_MODEL
    network: dict[str, Any] | None = None
    preset: str | None = None
    alignment: str = "automatic"
    split: SplitConfig = field(default_factory=SplitConfig)
    pairing: str = "auto"
    pairs_per_epoch: int = 0
    validation_pairs: int = 20
    test_pairs: int = 40
    loss: LossWeights = field(default_factory=LossWeights)
    judge: str = "auto"
    both_directions: bool = True
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    virtual: VirtualConfig = field(default_factory=VirtualConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(clip=1.0, average=0.0))
    convergence: ConvergenceConfig = field(default_factory=ConvergenceConfig)
    epochs: int = 300
    batch: int = 1
    freeze: tuple[str, ...] = ()
    grid: str = "fitted"
    spacing: float | None = None
    most_voxels: int = 0
    cache_mib: int = 2048
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    seed: int = 0
    log_every: int = 10
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("pairing", self.pairing, PAIRINGS),
            ("judge", self.judge, JUDGES),
            ("alignment", self.alignment, ALIGNMENTS),
            ("grid", self.grid, GRIDS),
            ("precision", self.precision, PRECISIONS),
            ("device", self.device, DEVICES),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if min(self.epochs, self.batch, self.log_every, self.cache_mib) < 1:
            raise ValueError("epochs, batch, log_every and cache_mib must be at least 1")
        counts = (self.pairs_per_epoch, self.validation_pairs, self.test_pairs, self.most_voxels)
        if min(*counts, self.threads, self.checkpoint_every) < 0:
            raise ValueError("no number may be negative")
        if self.spacing is not None and not 0 < self.spacing < math.inf:
            raise ValueError("spacing must be a number of mm above 0, or null")
        if self.threads > MOST_PROCESSES:
            raise ValueError(f"threads are at most {MOST_PROCESSES}")
        refuse_seed(self.seed)
        if self.initial is not None and self.network is not None:
            raise ValueError("network is what a start from random weights builds; leave it out, or set initial to null")


@dataclass(frozen=True)
class TuneConfig:
    """A search; the ranges are the paper's.

    Attributes:
        trials: How many runs, 17 in the paper.
        learning_rate: Range, drawn evenly over its logarithm.
        gradient: Range of the weight of Eq. 3.
        warm_up: Epochs before a run may be given up for being worse than the median of those before it.
        prune: Whether runs may be given up.
        seed: Of the draws.
    """

    trials: int = 17
    learning_rate: tuple[float, float] = (5e-5, 1e-3)
    gradient: tuple[float, float] = (0.0, 10.0)
    warm_up: int = 5
    prune: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1 or self.warm_up < 0:
            raise ValueError("trials must be at least 1 and warm_up not negative")
        refuse_seed(self.seed)
        if not 0 < self.learning_rate[0] <= self.learning_rate[1] or not 0 <= self.gradient[0] <= self.gradient[1]:
            raise ValueError("learning_rate and gradient hold a lower and an upper bound, learning rates above 0")
