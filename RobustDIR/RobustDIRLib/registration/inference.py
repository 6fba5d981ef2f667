"""A network's run on two images of the working grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.network import Network, ways
from RobustDIRLib.networks.precision import autocast


def run_network(
    network: Network,
    fixed: Image,
    moving: Image,
    device: torch.device,
    *,
    large_motion: bool = False,
    draft: int = -1,
) -> Deformation:
    """Run a network on two working images of one grid; both displacements, single precision, in main memory.

    Convolutions are computed in bf16 on a CPU that has instructions for it, as in teaching.

    Args:
        network: Any.
        fixed: Scaled to [-1, 1].
        moving: The same, on the same grid.
        device: What to run on.
        large_motion: For large motion between like contrasts, where the network has a way of its own for it.
        draft: From 0 on, how many of its finest levels are left to refinement, where the network knows how.
    Raises:
        InputError: If what it gives is not of the images' shape or not finite.
    """
    # Accelerators are fast enough in single precision.
    with _lent(network, device), autocast("auto" if device.type == "cpu" else "fp32", device):
        pair = _tensor(fixed, device), _tensor(moving, device)
        displacement, inverse = network(*pair, **ways(network, large_motion=large_motion, draft=draft))
    displacement, inverse = displacement.float().cpu(), inverse.float().cpu()
    for field in (displacement, inverse):
        if field.shape != (1, 3, *fixed.grid.shape) or not bool(torch.isfinite(field).all()):
            raise InputError(
                "`model`: the network gave no finite displacement of the images' shape; use another model."
            )
    return Deformation(displacement, inverse)


@contextmanager
def _lent(network: Network, device: torch.device) -> Iterator[None]:
    """A network on a device and in evaluation mode; afterwards where it was, each part in the mode it was in.

    What is no module stays as it is.
    """
    if not isinstance(network, torch.nn.Module):
        yield
        return
    modes = {module: module.training for module in network.modules()}
    before = next((tensor.device for tensor in (*network.parameters(), *network.buffers())), device)
    try:
        network.to(device).eval()
        yield
    finally:
        network.to(before)
        for module, mode in modes.items():
            module.training = mode


def _tensor(image: Image, device: torch.device) -> Tensor:
    return torch.tensor(image.array, dtype=torch.float32, device=device)[None, None]
