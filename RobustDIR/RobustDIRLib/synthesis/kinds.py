"""Kinds of label maps, and what a bank holds of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator, Tensor

from RobustDIRLib.configuration import refuse_improbable
from RobustDIRLib.synthesis.labels import (
    LABELS,
    SHAPE_NODES,
    SLIDING,
    cut_body,
    draw_sheets,
    draw_tubes,
    organs,
    random_geometry,
    rectangles,
    spheres,
    varied,
)
from RobustDIRLib.synthesis.random import chance, integer, uniform
from RobustDIRLib.synthesis.thorax import thorax

SMALLEST_SIDE, LARGEST_SIDE = 16, 1024


@dataclass(frozen=True)
class LabelMapConfig:
    """A bank's label maps.

    Attributes:
        kinds: Kinds to take in turn: small, medium, large (random geometry), rectangles, spheres, varied, organs,
            thorax.
        side: Voxels a side.
        labels: Number of labels J.
        thin_probability: How often tubes and sheets are drawn on top (0 in the paper).
        body_probability: How often all outside one body is emptied (0 in the paper).
    """

    kinds: tuple[str, ...] = ("medium",)
    side: int = 192
    labels: int = LABELS
    thin_probability: float = 0.0
    body_probability: float = 0.0

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}, not {unknown[0] if unknown else 'none'}")
        if not (SMALLEST_SIDE <= self.side <= LARGEST_SIDE and 1 <= self.labels <= SLIDING):
            raise ValueError(f"side must be from {SMALLEST_SIDE} to {LARGEST_SIDE}, and labels from 1 to {SLIDING}")
        refuse_improbable(self)


def _of_size(nodes: int) -> Callable[..., Tensor]:
    return lambda shape, g, *, labels=LABELS: random_geometry(shape, g, nodes=nodes, labels=labels)


KINDS: dict[str, Callable[..., Tensor]] = {
    **{name: _of_size(nodes) for name, nodes in SHAPE_NODES.items()},
    "rectangles": rectangles,
    "spheres": spheres,
    "varied": varied,
    "organs": organs,
    "thorax": thorax,
}


def _draw_thin(labels: Tensor, config: LabelMapConfig, g: Generator) -> Tensor:
    side = min(labels.shape)
    for _ in range(integer(1, 3, g)):
        nodes = max(3, round(side / uniform(6, 24, g)))
        label = integer(0, config.labels - 1, g)
        if chance(0.7, g):
            labels = draw_tubes(labels, g, nodes=nodes, radius=uniform(0.8, 3.0, g), label=label)
        else:
            labels = draw_sheets(labels, g, nodes=nodes, thickness=uniform(1.0, 4.0, g), label=label)
    return labels


def sample_label_map(config: LabelMapConfig, index: int, g: Generator) -> Tensor:
    """The label map of a given index in a bank; kinds take turns."""
    labels = KINDS[config.kinds[index % len(config.kinds)]]((config.side,) * 3, g, labels=config.labels)
    if chance(config.thin_probability, g):
        labels = _draw_thin(labels, config, g)
    return cut_body(labels, g) if chance(config.body_probability, g) else labels
