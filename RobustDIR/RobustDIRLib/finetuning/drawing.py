"""The pairs of a run as they are learnt from: real or virtual, cut, disturbed, changed; and to be looked at alike."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor

from RobustDIRLib.finetuning.augmentation import augment, mirrored_displacement
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.pairs import PairKey, PairMaker, TrainingPair
from RobustDIRLib.finetuning.run import open_material, start_network
from RobustDIRLib.finetuning.virtual import virtual_pair
from RobustDIRLib.geometry import Grid
from RobustDIRLib.synthesis.random import chance, generator


@dataclass(frozen=True)
class DrawnPair:
    """A pair as it is learnt from.

    Attributes:
        pair: Images, labels and landmarks.
        grid: That it lies on; a pair that was mirrored fills it the other way round.
        displacement: From its fixed to its moving image, shape `(1, 3, D, H, W)`, voxels, components z, y, x; None
            where nobody knows it, as of real pairs.
    """

    pair: TrainingPair
    grid: Grid
    displacement: Tensor | None


def pair_generator(config: FinetuneConfig, epoch: int, index: int) -> Generator:
    """What draws for a pair: it depends on the run's seed, the epoch (from 1) and the pair's place in it alone."""
    return generator(config.seed, 2, epoch, index)


def draw_pair(maker: PairMaker, key: PairKey, config: FinetuneConfig, g: Generator) -> DrawnPair:
    """The pair itself or, by chance, a virtual one of its moving scan, as augmentation changes it."""
    motion = None
    if chance(config.virtual.probability, g):
        scan, grid = maker.of_itself(key.moving, key.preset, g)
        pair, motion = virtual_pair(scan, grid, config.virtual, g)
    else:
        pair, grid = maker.placed(key, g, config.augmentation)
    pair, axes = augment(pair, config.augmentation, g)
    return DrawnPair(pair, grid, None if motion is None else mirrored_displacement(motion, axes))


def preview_pair(config: FinetuneConfig, number: int) -> DrawnPair:
    """A pair that a run would learn from, the first one for number 0, and so on.

    Raises:
        InputError: If the run could not begin: its data set, split or loss, or an image of this pair.
    """
    material = open_material(config, start_network(config))
    before, index = divmod(number, len(material.epoch(1)))
    epoch = 1 + before
    return draw_pair(material.maker, material.epoch(epoch)[index], config, pair_generator(config, epoch, index))
