"""Trees of vessels in label maps: grown from a root towards points of a region, thinner with every fork."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from RobustDIRLib.synthesis.random import integer, uniform


def _grow(points: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Parent and load of every point of a tree: each joins the nearest one that is closer to the root than itself.

    Args:
        points: Shape `(n, 3)`, voxels.
        root: Shape `(3,)`; becomes point 0.
    Returns:
        Nodes `(n + 1, 3)` sorted by distance from the root, and two rows `(2, n + 1)`: parent, number of descendants.
    """
    nodes = torch.cat([root[None], points[(points - root).norm(dim=1).argsort()]])
    distance = torch.cdist(nodes, nodes)
    depth = distance[0]
    # A branch that turns back is no branch: only nodes nearer to the root can be parents.
    distance[depth[None, :] >= depth[:, None]] = math.inf
    parent = distance.argmin(1)
    load = torch.ones(len(nodes))
    for k in range(len(nodes) - 1, 0, -1):
        load[parent[k]] += load[k]
    return nodes, torch.stack([parent.float(), load])


def draw_branch(labels: Tensor, ends: Tensor, radius: float, label: int, inside: Tensor) -> None:
    """Paint a capsule between two points `(2, 3)`, voxels, where `inside` holds."""
    low, high = ends.amin(0) - radius - 1, ends.amax(0) + radius + 2
    box = tuple(slice(max(0, int(a)), max(0, min(n, int(b)))) for a, b, n in zip(low, high, labels.shape, strict=True))
    axes = [torch.arange(s.start, s.stop, dtype=torch.float32) for s in box]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    along = ends[1] - ends[0]
    t = ((points - ends[0]) @ along / along.square().sum().clamp_min(1e-6)).clamp(0, 1)
    near = (points - ends[0] - t[..., None] * along).square().sum(-1) <= radius**2
    labels[box][near & inside[box]] = label


def draw_tree(labels: Tensor, inside: Tensor, root: Tensor, label: int, g: Generator) -> None:
    """Paint a tree of vessels: from a root towards points spread over a region, thinner with every fork.

    Args:
        labels: Label map, changed in place, shape `(D, H, W)`.
        inside: Where the tree may grow, the same shape.
        root: Where it starts, voxels, shape `(3,)`.
        label: Label of the tree.
        g: Source of the draws.
    """
    where = inside.nonzero()
    if not len(where):
        return
    count = min(len(where), integer(150, 400, g))
    tips = where[torch.randint(len(where), (count,), generator=g)].float()
    nodes, (parent, load) = _grow(tips, root)
    thinnest, thickest = uniform(0.5, 0.9, g), uniform(2.0, 4.0, g)
    for k in range(1, len(nodes)):
        radius = min(thickest, thinnest * float(load[k]) ** (1 / 3))
        draw_branch(labels, nodes[[k, int(parent[k])]], radius, label, inside)
