"""Correlation pyramid: the shipped default, a cascade of small steps from coarse to fine, symmetric by construction.

Both images are encoded by one encoder. Every level meets the two images halfway: their features are warped to a common
middle, correlated over a neighbourhood, and a decoder turns the correlation into a velocity that moves the middle away
from one image and towards the other. The decoder sees the pair in both orders and the velocity is half the difference,
so that exchanging the images only changes its sign. The halves of the transform and their inverses are composed from
the integrated velocities, hence swapping fixed and moving gives the inverse, and the inverse costs no second run.

The symmetric midpoint update follows Honkamaa and Marttinen, "SITReg" (2023); the rest is described in
ARCHITECTURE.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from RobustDIRLib import warping
from RobustDIRLib.networks.blocks import SLOPE, halve
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.descriptors import STEPS, mirror_similarity, self_similarity
from RobustDIRLib.networks.levels import Decoder, EncoderLevel
from RobustDIRLib.networks.mirrors import MIRRORS, mirror, mirror_displacement
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.networks.padding import crop, pad_to_multiple

_INVERSE_STEPS = 2


_MOST_LEVELS, _MOST_CHANNELS, _MOST_TIMES = 8, 1024, 16


@dataclass(frozen=True)
class PyramidConfig:
    """Sizes of a correlation pyramid; every tuple has one entry a level, from half resolution to the coarsest.

    Attributes:
        encoder: Feature channels.
        decoder: Channels of the decoder's hidden convolutions.
        depth: Number of the decoder's hidden convolutions.
        radius: Reach of the correlation, voxels of the level.
        iterations: How often each level's decoder runs, each time on the features as they are warped by then;
            once if not given.
        mirrors: Over how many mirrored copies of the images (1, 2, 4 or 8) each level's velocity is averaged outside
            teaching; 1 if not given.
        squarings: Steps of scaling and squaring for each level's velocity.
        self_similarity: Whether every level of the encoder also sees the images' local self-similarity.
    """

    encoder: tuple[int, ...] = (16, 32, 48, 48)
    decoder: tuple[int, ...] = (32, 48, 48, 48)
    depth: tuple[int, ...] = (2, 2, 2, 2)
    radius: tuple[int, ...] = (1, 1, 2, 2)
    iterations: tuple[int, ...] = ()
    mirrors: tuple[int, ...] = ()
    squarings: int = 4
    self_similarity: bool = True

    def __post_init__(self) -> None:
        optional = (t or self.encoder for t in (self.iterations, self.mirrors))
        tuples = (self.encoder, self.decoder, self.depth, self.radius, *optional)
        if {len(t) for t in tuples} != {len(self.encoder)} or not self.encoder:
            raise ValueError("encoder, decoder, depth, radius, iterations and mirrors need one entry for each level")
        if not {1, 2, 4, 8}.issuperset(self.mirrors):
            raise ValueError("mirrors must be 1, 2, 4 or 8 at each level")
        if min(self.squarings, *(n for t in tuples for n in t)) < 1:
            raise ValueError("channels, depth, radius, iterations and squarings must be at least 1")
        # Far beyond any use; a file that asks for more asks for all memory, or for ever.
        channels, counts = (*self.encoder, *self.decoder), (*self.depth, *self.iterations, *self.radius, self.squarings)
        if len(self.encoder) > _MOST_LEVELS or max(channels) > _MOST_CHANNELS or max(counts) > _MOST_TIMES:
            raise ValueError(
                f"there are at most {_MOST_LEVELS} levels of {_MOST_CHANNELS} channels, and depth, radius, iterations "
                f"and squarings are at most {_MOST_TIMES}"
            )


def _swap(both: Tensor) -> Tensor:
    """The two halves of a batch in the other order."""
    return torch.cat(both.chunk(2)[::-1])


class CorrelationPyramid(LearningNetwork):
    """Coarse-to-fine registration network; see the module's text.

    Images `(B, 1, D, H, W)` scaled to [-1, 1], any size; gives both displacements at the images' resolution.

    Attributes:
        bears_large_motion: That `forward` knows `large_motion`.
        drafts: That it knows `draft`.
    """

    config: PyramidConfig
    bears_large_motion = True
    drafts = True

    def __init__(self, config: PyramidConfig | None = None) -> None:
        super().__init__()
        self.config = config or PyramidConfig()
        c = self.config
        inputs = (1, *c.encoder[:-1])
        self.encoder = nn.ModuleList(
            EncoderLevel(i, o, first=level == 0, extra=len(STEPS) if c.self_similarity else 0)
            for level, (i, o) in enumerate(zip(inputs, c.encoder, strict=True))
        )
        sizes = zip(c.encoder, c.decoder, c.depth, c.radius, strict=True)
        self.decoder = nn.ModuleList(Decoder(*level) for level in sizes)
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @property
    def multiple(self) -> int:
        """Sides are padded to a multiple of this many voxels."""
        return int(2 ** len(self.config.encoder))

    @property
    def bytes_per_voxel(self) -> float:
        """Peak memory of a pass, bytes a voxel of the images: that of the finest level, measured at 192^3."""
        return 25.0 + 8.5 * max(self.config.decoder[0], self.config.encoder[0])

    def encode(self, images: Tensor, similarities: list[Any], taught: int | None = None) -> list[Tensor]:
        """Features of every level, from half resolution to the coarsest.

        Args:
            images: Shape `(B, 1, D, H, W)`.
            similarities: Their self-similarity at each level; see `similarities`.
            taught: How many of the coarsest levels learn; all if not given. The finer ones, whose gradients would cost
                the most and mean the least for levels so far from them, are left as they are.
        """
        features: list[Tensor] = []
        first_taught = len(self.encoder) - (taught or len(self.encoder))
        for level, (encode, similarity) in enumerate(zip(self.encoder, similarities, strict=True)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and level >= first_taught):
                features.append(encode(F.leaky_relu(features[-1], SLOPE) if features else images, similarity))
        return features

    def similarities(self, images: Tensor) -> list[Any]:
        """Self-similarity of the images at each level's resolution; None at each if the encoder does not see it."""
        if not self.config.self_similarity:
            return [None] * len(self.encoder)
        coarse = [images := halve(images) for _ in self.encoder]
        return [self_similarity(image) for image in coarse]

    def levels(
        self, fixed: Tensor, moving: Tensor, count: int | None = None, *, mirrored: bool = True
    ) -> list[Deformation]:
        """Displacements after every level, coarse to fine, each on its level's grid and in its voxels.

        Args:
            fixed: Shape `(B, 1, D, H, W)`, sides divisible by `multiple`, intensities in [-1, 1].
            moving: The same shape.
            count: Stop after this many levels; all if not given.
            mirrored: Average over mirrored copies, outside teaching and where the configuration has them.
        """
        features = self._features(torch.cat([fixed, moving]), count, mirrored=mirrored)
        # The first half of the batch leads from the middle to fixed, the second to moving.
        halves = inverses = self._identity(features)
        results: list[Deformation] = []
        for level in list(reversed(range(len(features))))[:count]:
            halves, inverses = self._run_level(level, features[level], halves, inverses)
            results.append(self._joined(halves, inverses, level == 0 and not self.training))
        return results

    def _identity(self, features: list[list[Tensor]]) -> Tensor:
        coarsest = features[-1][0]
        return coarsest.new_zeros((len(coarsest), 3, *coarsest.shape[2:]), dtype=torch.float32)

    def _joined(self, halves: Tensor, inverses: Tensor, mend: bool) -> Deformation:
        """Fixed to moving and back, of both halves and their inverses."""
        if mend:
            # Each composition interpolates, so that the composed inverse drifts from the half it belongs to.
            inverses = warping.invert(halves, _INVERSE_STEPS, start=inverses)
        return Deformation(*warping.compose(_swap(halves), inverses).chunk(2))

    def _run_level(
        self, level: int, features: list[Tensor], halves: Tensor, inverses: Tensor, more: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Both halves and their inverses after a level, run `more` times as well; on its grid, or theirs if finer."""
        # Without gradients, warping and correlation take channels innermost, as convolutions give them.
        copies = [both.float() for both in features]
        copies = [both.contiguous() for both in copies] if torch.is_grad_enabled() else copies
        if halves.shape[2] < copies[0].shape[2]:
            halves, inverses = (warping.resize_displacement(u, copies[0].shape[2:]) for u in (halves, inverses))
        for _ in range(more + (self.config.iterations[level] if self.config.iterations else 1)):
            halves, inverses = self._refine(level, copies, halves, inverses)
        return halves, inverses

    def _from_half_resolution(self, fixed: Tensor, moving: Tensor, draft: int = -1) -> Deformation:
        """All levels on the images at half resolution, then all again on the images, from where those ended.

        Whatever the coarse levels then add is composed with the finer field that they start from. Every level runs
        once more than it was taught to.
        """
        images = torch.cat([fixed, moving])
        halves = inverses = torch.zeros(0)
        for number, pair in enumerate((halve(images), images)):
            features = self._features(pair, mirrored=draft < 0)
            if number == 0:
                halves = inverses = self._identity(features)
            for level in list(reversed(range(len(features))))[: self._count(draft) if number else None]:
                halves, inverses = self._run_level(level, features[level], halves, inverses, more=1)
        return self._joined(halves, inverses, mend=True)

    def _count(self, draft: int) -> int:
        """Levels to run, at least one."""
        return max(1, len(self.encoder) - max(draft, 0))

    def _features(self, images: Tensor, taught: int | None = None, *, mirrored: bool = True) -> list[list[Tensor]]:
        """Features of every level: of the images, then of the mirrored copies that the level averages over."""
        alone = self.training or not self.config.mirrors or not mirrored
        counts = [1] * len(self.encoder) if alone else self.config.mirrors
        features: list[list[Tensor]] = [[] for _ in counts]
        similarities = self.similarities(images)
        for number, axes in enumerate(MIRRORS[: max(counts)]):
            turned = [s if s is None else mirror_similarity(s, axes) for s in similarities]
            levels = self.encode(mirror(images, axes), turned, taught)
            for copies, count, level in zip(features, counts, levels, strict=True):
                if number < count:
                    copies.append(level)
        return features

    def _refine(self, level: int, copies: list[Tensor], halves: Tensor, inverses: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves and their inverses after one more step of a level's decoder."""
        shape = copies[0].shape[2:]
        here = halves if halves.shape[2:] == shape else warping.resize_displacement(halves, shape)
        velocity = torch.zeros_like(here[: len(here) // 2])
        for both, axes in zip(copies, MIRRORS, strict=False):
            warped = warping.warp(both, mirror_displacement(here, axes))
            velocity = velocity + mirror_displacement(self.decoder[level](warped), axes)
        velocity = velocity / (2 * len(copies))
        if here is not halves:
            velocity = warping.resize_displacement(velocity, halves.shape[2:])
        step = warping.integrate_velocity(torch.cat([-velocity, velocity]), self.config.squarings)
        return warping.compose(halves, step), warping.compose(_swap(step), inverses)

    def forward(self, fixed: Tensor, moving: Tensor, *, large_motion: bool = False, draft: int = -1) -> Deformation:
        """Displacement and its inverse at the resolution of the images.

        Args:
            fixed: Shape `(B, 1, D, H, W)`, intensities in [-1, 1].
            moving: The same shape.
            large_motion: Start at half the resolution and run every level once more: for images alike in contrast, of
                motion that the coarsest levels miss. Unlike contrasts come out worse.
            draft: From 0 on, for a result that is refined afterwards: without mirrored copies, and without so many of
                the finest levels.
        Returns:
            Fixed-to-moving displacement and moving-to-fixed inverse, each `(B, 3, D, H, W)`, voxels, channels z, y, x.
        """
        multiple = 2 * self.multiple if large_motion else self.multiple
        fixed, region = pad_to_multiple(fixed, multiple)
        moving, _ = pad_to_multiple(moving, multiple)
        if large_motion:
            finest = self._from_half_resolution(fixed, moving, draft)
        else:
            finest = self.levels(fixed, moving, self._count(draft), mirrored=draft < 0)[-1]
        return Deformation(*(crop(warping.resize_displacement(u, fixed.shape[2:]), region) for u in finest))
