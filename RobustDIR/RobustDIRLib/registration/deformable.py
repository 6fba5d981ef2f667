"""From two prepared images to the deformation between them: what the network gives, refined on the pair itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import SimpleITK as sitk
import torch
from torch import Tensor

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.network import Network, drafts, ways
from RobustDIRLib.networks.precision import autocast
from RobustDIRLib.presets import Preset
from RobustDIRLib.registration.content import content_box
from RobustDIRLib.registration.journal import Journal
from RobustDIRLib.registration.linear import LinearAlignment
from RobustDIRLib.registration.lungs import lungs
from RobustDIRLib.registration.preprocessing import Warn
from RobustDIRLib.registration.refinement.refine import Patience, Refinement, WorkingPair, promising, refine, tensor
from RobustDIRLib.registration.refinement.settings import Level
from RobustDIRLib.registration.transforms import covered


@dataclass(frozen=True)
class Prepared:
    """Both images on the working grid, the moving one after the linear alignment, and what brought them there.

    Attributes:
        images: Scaled to [-1, 1]; of masks they keep nothing unless the network shall see nothing outside.
        detailed: The same as refinement compares them, sharper if that helps their kind.
        masks: Of both, each on its image's own grid.
        alignment: The linear part.
        moving_grid: Of the moving image as it came.
    """

    images: tuple[Image, Image]
    detailed: tuple[Image, Image]
    masks: Sequence[Image | None]
    alignment: LinearAlignment
    moving_grid: Grid


@dataclass(frozen=True)
class Means:
    """What a deformation is found with.

    Attributes:
        network: Any.
        device: Where it runs.
        preset: Of the pair.
        levels: Of the refinement; without any the network's result stays as it is.
        patience: When to end the refinement early.
    """

    network: Network
    device: torch.device
    preset: Preset
    levels: tuple[Level, ...]
    patience: Patience


def deformable(pair: Prepared, means: Means, journal: Journal) -> tuple[Deformation, Mapping[str, Any] | None]:
    """What the network gives, refined where that is asked for and helps; and the refinement's record.

    Both look at the part of the working grid that holds something.
    """
    large_motion = means.preset.large_motion
    box = content_box(pair.images)
    images, detailed = ((box.cut(fixed), box.cut(moving)) for fixed, moving in (pair.images, pair.detailed))
    pair = replace(pair, images=images, detailed=detailed)
    with journal.stage("network"):
        # Refinement finds fine detail anew, which is most of a network's work.
        brief = bool(means.levels) and drafts(means.network) and promising(*(tensor(one.array) for one in pair.images))
        draft = means.preset.left_to_refinement if brief else -1
        found = run_network(means.network, *pair.images, means.device, large_motion=large_motion, draft=draft)
    if not means.levels:
        return box.whole(found), None
    with journal.stage("refine"):
        refinement = _refine(pair, found, means)
        _warn_of_refinement(refinement, journal.warn)
        if not brief or refinement.deformation is not found:
            return box.whole(refinement.deformation), refinement.record
        # A draft that nothing made better: the network's whole work instead.
        found = run_network(means.network, *pair.images, means.device, large_motion=large_motion)
        return box.whole(found), refinement.record


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
        pair = tensor(fixed.array).to(device), tensor(moving.array).to(device)
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


def _working_masks(pair: Prepared, grid: Grid) -> tuple[Tensor | None, Tensor | None]:
    """Where both images count on the working grid, 0 to 1: inside their masks, and nowhere beyond the moving image.

    What background stands for there is no anatomy: two parts of a head were bent by up to 20 mm to meet it.
    """

    def placed(mask: Image | None, transform: sitk.Transform | None) -> Tensor | None:
        if mask is None:
            return None
        whole = replace(mask, array=(mask.array > 0).astype("float32"))
        return tensor(resample(whole, grid, transform, outside=0).array)

    in_fixed, in_moving = placed(pair.masks[0], None), placed(pair.masks[1], pair.alignment.transform)
    if in_moving is None and (reached := covered(grid, pair.alignment.linear, pair.moving_grid)) is not None:
        in_moving = tensor(reached)
    return in_fixed, in_moving


def sliding_parts(images: Sequence[Image], preset: Preset) -> tuple[Tensor, Tensor] | None:
    """What of both working images slides along the rest; None for kinds of images in which nothing is known to."""
    if preset.window is None or preset.lung_below is None:
        return None
    fixed, moving = (lungs(tensor(image.array), preset.window, preset.lung_below) for image in images)
    return fixed, moving


def _refine(pair: Prepared, deformation: Deformation, means: Means) -> Refinement:
    fixed, moving = (tensor(image.array) for image in pair.detailed)
    grid = pair.detailed[0].grid
    masks = _working_masks(pair, grid)
    working = WorkingPair(fixed, moving, grid.spacing[::-1], *masks, sliding_parts(pair.images, means.preset))
    return refine(working, deformation, means.levels, means.patience)


def _warn_of_refinement(refinement: Refinement, warn: Warn) -> None:
    ended = refinement.record["ended"]
    if ended == "unlike":
        warn("the images' contrasts are too unlike to be refined; the network's result was kept.")
    if ended == "apart":
        warn(
            "nothing was refined, as the masks have no place in common after the alignment; check them. The network's "
            "result was kept."
        )
    if ended == "no gain":
        warn("refinement found nothing to better on this pair; the network's result was kept.")
