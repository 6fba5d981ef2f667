"""The paper's cascaded U-Net (section 2.1.2, Fig. 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.networks.unet import UNet, UNetConfig
from RobustDIRLib.warping import compose, resize, resize_displacement, warp


@dataclass(frozen=True)
class CascadeConfig:
    """What makes up the cascade; the defaults are the paper's. Attributes are those of `UNetConfig`, except

    Attributes:
        channels: Filters of the U-Net at half resolution, and of the one at full resolution.
    Raises:
        InputError: If a value makes no network.
    """

    channels: tuple[int, int] = (64, 128)
    downsampling: str = "pooling"
    squarings: int = 5
    instance_norm: bool = False

    def __post_init__(self) -> None:
        if len(self.channels) != 2:
            raise InputError(f"channels is {list(self.channels)}: a cascade needs two numbers, one for each U-Net")
        self.stages()

    def stages(self) -> tuple[UNetConfig, UNetConfig]:
        """The configurations of the U-Nets at half and at full resolution."""
        coarse, fine = (UNetConfig(n, self.downsampling, self.squarings, self.instance_norm) for n in self.channels)
        return coarse, fine


class CascadedUNet(LearningNetwork):
    """A U-Net at half resolution, then one at full resolution that registers what is left after the first."""

    config: CascadeConfig

    def __init__(self, config: CascadeConfig | None = None) -> None:
        super().__init__()
        self.config = config or CascadeConfig()
        coarse, fine = self.config.stages()
        self.coarse = UNet(coarse)
        self.fine = UNet(fine)

    def forward(self, fixed: Tensor, moving: Tensor) -> Deformation:
        """Register a pair of images.

        Args:
            fixed: Shape `(B, 1, D, H, W)`, any size, intensities scaled to [-1, 1].
            moving: Likewise, on the same grid.
        Returns:
            The displacement from fixed to moving and its inverse, at full resolution.
        """
        return self.levels(fixed, moving)[-1]

    @property
    def bytes_per_voxel(self) -> float:
        """Peak memory of a pass, bytes a voxel of the images: that of the hungrier U-Net."""
        return max(self.fine.bytes_per_voxel, self.coarse.bytes_per_voxel / 8)

    @property
    def multiple(self) -> int:
        """Any side will do: each U-Net pads for itself."""
        return 1

    def levels(self, fixed: Tensor, moving: Tensor, count: int | None = None) -> list[Deformation]:
        """The deformations that training supervises, from coarse to fine.

        Args:
            fixed: Shape `(B, 1, D, H, W)`, any size, intensities in [-1, 1].
            moving: The same shape.
            count: 1 for the first U-Net alone; both if not given.
        Returns:
            The first U-Net's at half resolution (sides rounded up), in voxels of that grid, which shares the images'
            outer border; then both U-Nets' composed, at full resolution.
        """
        half = [(n + 1) // 2 for n in fixed.shape[2:]]
        first = self.coarse(resize(fixed, half), resize(moving, half))
        if count == 1:
            return [first]
        with torch.autocast(fixed.device.type, enabled=False):
            outer = Deformation(*[resize_displacement(u, fixed.shape[2:]) for u in first])
            warped = warp(moving, outer.displacement)
        inner = self.fine(fixed, warped)
        with torch.autocast(fixed.device.type, enabled=False):
            # A fixed point goes through the second transform first; on the way back, through the first one's inverse.
            displacement = compose(outer.displacement, inner.displacement)
            inverse = compose(inner.inverse, outer.inverse)
        return [first, Deformation(displacement, inverse)]
