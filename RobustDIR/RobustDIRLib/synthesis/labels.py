"""Random label maps (section 2.3.1, step 1; appendix A), and thin structures on top of them.

A label map is a `uint8` tensor `(D, H, W)`. Labels count from 0. `BACKGROUND` marks the empty space around a body.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Generator, Tensor

from RobustDIRLib import warping
from RobustDIRLib.synthesis.random import integer, smooth_noise, uniform

LABELS = 26
BACKGROUND = 255
SLIDING = 192  # this label and those up to `BACKGROUND` slide along what has smaller ones
SHAPE_NODES = {"small": 12, "medium": 6, "large": 3}


def _arg_max(channels: Iterable[Tensor]) -> Tensor:
    """Index of the largest channel at each voxel; a running maximum needs two channels of memory, not all of them."""
    best: Tensor | None = None
    labels = torch.zeros(0)
    for index, channel in enumerate(channels):
        if best is None:
            best, labels = channel.clone(), torch.zeros(channel.shape, dtype=torch.uint8)
            continue
        higher = channel > best
        best = torch.where(higher, channel, best)
        labels[higher] = index
    return labels


def random_geometry(shape: Sequence[int], g: Generator, *, nodes: int = 6, labels: int = LABELS) -> Tensor:
    """Blobs of random geometry: arg-max over smooth Gaussian channels, deformed (appendix A).

    Args:
        shape: Sides, voxels.
        g: Source of the draws.
        nodes: Grid nodes a side and label: 12 small, 6 medium, 3 large shapes in the paper (at 192 voxels).
        labels: Number of labels J.
    """
    velocity = smooth_noise(shape, 6, g, 3) * uniform(0, 1, g)
    displacement = warping.integrate_velocity(velocity)
    noise = (warping.warp(smooth_noise(shape, nodes, g), displacement)[0, 0] for _ in range(labels))
    return _arg_max(noise)


def rectangles(shape: Sequence[int], g: Generator, *, labels: int = LABELS) -> Tensor:
    """Angular shapes: arg-max over 8^3 grids with 1000 random values each, enlarged (appendix A).

    The nodes are enlarged without interpolation, which is what makes the shapes rectangular.
    """

    def channel() -> Tensor:
        grid = torch.zeros(512)
        where = torch.randint(512, (1000,), generator=g)
        grid[where] = torch.rand(1000, generator=g)
        return torch.nn.functional.interpolate(grid.view(1, 1, 8, 8, 8), size=tuple(shape), mode="nearest")[0, 0]

    return _arg_max(channel() for _ in range(labels))


def spheres(
    shape: Sequence[int],
    g: Generator,
    *,
    labels: int = LABELS,
    per_label: int = 2000,
    radius: tuple[float, float] = (15.0, 25.0),
) -> Tensor:
    """Balls at random places, later ones over earlier ones (appendix A)."""
    count = labels * per_label
    # In random order, so that no label lies on top of all others.
    order = torch.randperm(count, generator=g) % labels
    centres = torch.rand((count, 3), generator=g) * torch.tensor([float(n) for n in shape])
    radii = radius[0] + (radius[1] - radius[0]) * torch.rand(count, generator=g)
    result = torch.zeros(tuple(shape), dtype=torch.uint8)
    # The last ones first, each where none lies yet: nearly all are hidden, and need not be looked at.
    unset, left = torch.ones(tuple(shape), dtype=torch.bool), result.numel()
    for label, centre, r in zip(order.flip(0).tolist(), centres.flip(0).tolist(), radii.flip(0).tolist(), strict=True):
        box = tuple(slice(max(0, int(c - r)), min(n, int(c + r) + 2)) for c, n in zip(centre, shape, strict=True))
        z, y, x = ((torch.arange(b.start, b.stop) - c).square() for b, c in zip(box, centre, strict=True))
        seen = unset[box] & (z[:, None, None] + y[None, :, None] + x[None, None, :] <= r * r)
        result[box][seen] = label
        unset[box] &= ~seen
        left -= int(seen.sum())
        if not left:
            break
    return result


def _distance_scale(noise: Tensor) -> Tensor:
    """Typical change of a noise volume per voxel: turns noise values into distances from its zero surface."""
    return torch.stack([noise.diff(dim=d).square().mean() for d in warping.SPATIAL]).sum().sqrt()


def draw_tubes(labels: Tensor, g: Generator, *, nodes: int, radius: float, label: int) -> Tensor:
    """Vessel-like tubes: where two smooth noise volumes are both near zero.

    Args:
        labels: Label map to draw on, shape `(D, H, W)`.
        g: Source of the draws.
        nodes: Nodes a side of the noise; more give more and windier tubes.
        radius: Radius of the tubes, voxels.
        label: Label of the tubes.
    """
    pair = [smooth_noise(labels.shape, nodes, g) for _ in range(2)]
    distance = torch.stack([(n / _distance_scale(n)).square() for n in pair]).sum(0)
    return torch.where(distance[0, 0] < radius**2, torch.tensor(label, dtype=torch.uint8), labels)


def draw_sheets(labels: Tensor, g: Generator, *, nodes: int, thickness: float, label: int) -> Tensor:
    """Sheet-like walls: where one smooth noise volume is near zero; parameters as in `draw_tubes`, voxels."""
    noise = smooth_noise(labels.shape, nodes, g)
    near = (noise / _distance_scale(noise)).abs()[0, 0] < thickness / 2
    return torch.where(near, torch.tensor(label, dtype=torch.uint8), labels)


def cut_body(labels: Tensor, g: Generator) -> Tensor:
    """Set all outside one large roundish body to `BACKGROUND`, as in skull-stripped or whole-body images."""
    axes = [torch.linspace(-1, 1, n) * uniform(0.8, 1.4, g) for n in labels.shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    outside = z.square() + y.square() + x.square() + 0.35 * smooth_noise(labels.shape, 5, g)[0, 0] > 1
    return torch.where(outside, torch.tensor(BACKGROUND, dtype=torch.uint8), labels)


def varied(shape: Sequence[int], g: Generator, *, labels: int = LABELS) -> Tensor:
    """Random geometry with shapes of some 8 to 32 voxels, whatever the side."""
    cell = uniform(8, 32, g)
    return random_geometry(shape, g, nodes=max(3, round(min(shape) / cell)), labels=labels)


def organs(shape: Sequence[int], g: Generator, *, labels: int = LABELS) -> Tensor:
    """A few large regions, each empty, full of vessels, or made of small parts: as lungs, livers and brains are.

    Large regions without edges inside are what random geometry of 26 labels never shows, and thin bright vessels in
    them are all that a lung offers to hold on to.
    """
    count = integer(2, 6, g)
    result = random_geometry(shape, g, nodes=integer(3, 5, g), labels=count)
    regions, side = result.clone(), min(shape)
    for region in range(count):
        filling = integer(0, 3, g)
        if filling == 0:
            continue
        filled = result
        if filling == 1:
            parts = varied(shape, g, labels=labels - count)
            filled = parts + count
        else:
            for _ in range(integer(2, 4, g)):
                nodes = max(3, round(side / uniform(5, 20, g)))
                label = integer(count, labels - 1, g)
                filled = draw_tubes(filled, g, nodes=nodes, radius=uniform(0.6, 2.2, g), label=label)
        result = torch.where(regions == region, filled, result)
    return result
