"""The paper's single U-Net (sections 2.1 and 2.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.blocks import ConvBlock, VelocityHead
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.networks.padding import crop, pad_to_multiple
from RobustDIRLib.warping import integrate_velocity, resize_displacement

DOWNSAMPLING = ("pooling", "stride")
ENCODER_BLOCKS, DECODER_BLOCKS, HEAD_BLOCKS = 4, 3, 4
_MULTIPLE = 2**ENCODER_BLOCKS
_MOST_CHANNELS, _MOST_SQUARINGS = 2048, 16  # far beyond any use; a file that asks for more asks for all memory


@dataclass(frozen=True)
class UNetConfig:
    """What makes up one U-Net; the defaults are the paper's.

    Attributes:
        channels: Filters of every convolution block.
        downsampling: What halves the resolution in the encoder: `"pooling"` (maximum over 2x2x2 voxels after each
            block, as in Ronneberger et al. 2015) or `"stride"` (blocks of stride 2, so that no
            block works at full resolution: half the memory, a fifth less time).
        squarings: Steps of scaling and squaring that integrate the velocity.
        instance_norm: Whether blocks normalise their output; the paper's do not.
    Raises:
        InputError: If a value makes no network.
    """

    channels: int = 256
    downsampling: str = "pooling"
    squarings: int = 5
    instance_norm: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= _MOST_CHANNELS:
            raise InputError(f"channels is {self.channels}: a U-Net has 1 to {_MOST_CHANNELS} filters")
        if self.downsampling not in DOWNSAMPLING:
            raise InputError(f"downsampling is {self.downsampling!r}: choose one of {', '.join(DOWNSAMPLING)}")
        if not 0 <= self.squarings <= _MOST_SQUARINGS:
            raise InputError(f"squarings is {self.squarings}: give 0 to {_MOST_SQUARINGS}")


class UNet(LearningNetwork):
    """Predicts a stationary velocity at half resolution from both images, and integrates it.

    Encoder blocks halve the resolution four times; decoder blocks work at 1/16, 1/8 and 1/4, and what each doubles is
    joined by the encoder's features of that resolution; the head ends at 1/2. Where the text is silent: skip
    connections concatenate, the decoder doubles by repeating voxels, a linear convolution follows the head's four
    blocks to bring its features to the three components of the velocity.
    """

    config: UNetConfig

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        n = config.channels
        stride = 2 if config.downsampling == "stride" else 1

        def block(inputs: int, stride: int = 1) -> ConvBlock:
            return ConvBlock(inputs, n, stride=stride, instance_norm=config.instance_norm)

        self.encoder = nn.ModuleList([block(n if i else 2, stride) for i in range(ENCODER_BLOCKS)])
        self.decoder = nn.ModuleList([block(2 * n if i else n) for i in range(DECODER_BLOCKS)])
        self.head = nn.Sequential(*[block(n if i else 2 * n) for i in range(HEAD_BLOCKS)])
        self.velocity_head = VelocityHead(n)

    def forward(self, fixed: Tensor, moving: Tensor) -> Deformation:
        """Register a pair of images.

        Args:
            fixed: Shape `(B, 1, D, H, W)`, any size, intensities scaled to [-1, 1].
            moving: Likewise, on the same grid.
        Returns:
            The displacement from fixed to moving and its inverse, at full resolution.
        """
        padded, region = pad_to_multiple(torch.cat([fixed, moving], 1), _MULTIPLE)
        velocity = self.velocity(padded)
        with torch.autocast(velocity.device.type, enabled=False):
            full = [self._displacement(v, padded.shape[2:]) for v in (velocity, -velocity)]
        return Deformation(*[crop(u, region) for u in full])

    @property
    def bytes_per_voxel(self) -> float:
        """Peak memory of a pass, bytes a voxel of the images: six (striding: 2.5) a channel, measured at 192^3."""
        return (6.0 if self.config.downsampling == "pooling" else 2.5) * self.config.channels

    @property
    def multiple(self) -> int:
        """Any side will do: images are padded here."""
        return 1

    def levels(self, fixed: Tensor, moving: Tensor, count: int | None = None) -> list[Deformation]:
        """The deformations that training supervises, from coarse to fine: the final one alone."""
        return [self(fixed, moving)]

    def velocity(self, pair: Tensor) -> Tensor:
        """Velocity `(B, 3, D/2, H/2, W/2)`, voxels of half resolution, of a pair `(B, 2, D, H, W)`, sides 16 by 16."""
        x, skips = self._encode(pair)
        for block in self.decoder:
            x = F.interpolate(block(x), scale_factor=2, mode="nearest")
            x = torch.cat([x, skips.pop()], 1)
        found: Tensor = self.velocity_head(self.head(x))
        return found

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features at 1/16 resolution, and those at 1/2, 1/4 and 1/8 for the decoder."""
        skips: list[Tensor] = []
        for number, block in enumerate(self.encoder):
            x = block(x)
            # The decoder has no counterpart of full resolution (pooling: the first block) and 1/16 (stride: the last).
            if number != (0 if self.config.downsampling == "pooling" else ENCODER_BLOCKS - 1):
                skips.append(x)
            if self.config.downsampling == "pooling":
                x = F.max_pool3d(x, 2)
        return x, skips

    def _displacement(self, velocity: Tensor, shape: torch.Size) -> Tensor:
        return resize_displacement(integrate_velocity(velocity, self.config.squarings), shape)
