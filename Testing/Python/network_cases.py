"""Image pairs and small networks that move voxels far enough to be worth testing."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

from RobustDIRLib.networks.blocks import VelocityHead
from RobustDIRLib.networks.cascade import CascadeConfig, CascadedUNet
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.unet import UNet, UNetConfig
from RobustDIRLib.warping import compose

ODD = (37, 29, 45)


def a_pair(shape: tuple[int, ...] = ODD, seed: int = 3) -> tuple[Tensor, Tensor]:
    """Two unlike smooth images in [-1, 1], shape `(1, 1, *shape)`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 1, 7, 5, 6, generator=generator) * 2 - 1
    images = nn.functional.interpolate(coarse, size=shape, mode="trilinear")
    return images[:1], images[1:]


def move_by(network: nn.Module, voxels: float) -> None:
    """Turn an untrained network's velocities, all but zero, into some of about so many voxels."""
    torch.manual_seed(5)
    for head in (m for m in network.modules() if isinstance(m, VelocityHead)):
        nn.init.normal_(head.convolution.weight)
        with torch.no_grad():
            outputs: list[Tensor] = []
            hook = head.register_forward_hook(lambda _module, _inputs, output, kept=outputs: kept.append(output))
            network(*a_pair())
            hook.remove()
            scale = voxels / outputs[0].abs().amax((0, 2, 3, 4)).view(3, 1, 1, 1, 1)
            head.convolution.weight *= scale


def a_unet(channels: int = 4, voxels: float = 2, **options: object) -> UNet:
    torch.manual_seed(4)
    network = UNet(UNetConfig(channels, **options))  # type: ignore[arg-type]
    move_by(network, voxels)
    return network


def a_cascade(channels: tuple[int, int] = (3, 5), voxels: float = 1.2, **options: object) -> CascadedUNet:
    torch.manual_seed(4)
    network = CascadedUNet(CascadeConfig(channels, **options))  # type: ignore[arg-type]
    move_by(network, voxels)
    return network


def inner(shape: tuple[int, ...], margin: int) -> tuple[slice, ...]:
    return tuple(slice(margin, n - margin) for n in shape)


def residual(deformation: Deformation, margin: int) -> Tensor:
    """What is left, in voxels, of going there and back, away from the border."""
    there_and_back = compose(deformation.inverse, deformation.displacement)
    return there_and_back[(..., *inner(tuple(there_and_back.shape[2:]), margin))].abs()


def points_through(displacement: Tensor, points: np.ndarray) -> np.ndarray:
    """Points `(3, N)`, voxels z, y, x, moved by a displacement, by scipy."""
    moved = [map_coordinates(c, points, order=1, mode="nearest") for c in displacement[0].detach().double().numpy()]
    return points + np.stack(moved)
