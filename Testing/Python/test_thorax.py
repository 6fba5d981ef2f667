"""Label maps of chests: what lies where, and what a CT of them looks like."""

from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from RobustDIRLib.synthesis import thorax as chest
from RobustDIRLib.synthesis import trees
from RobustDIRLib.synthesis.labels import BACKGROUND, SLIDING
from RobustDIRLib.synthesis.random import generator

SHAPE = (64, 60, 72)


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return chest.thorax(SHAPE, generator(3))


def _lung(labels: torch.Tensor) -> torch.Tensor:
    return (labels >= chest.LOBES[0]) & (labels <= chest.LOBES[-1])


def _height(mask: torch.Tensor) -> float:
    return float(mask.nonzero()[:, 0].float().mean())


def test_a_chest_has_all_its_parts_and_is_fixed_by_its_seed(labels: torch.Tensor) -> None:
    assert labels.shape == SHAPE and labels.dtype == torch.uint8
    parts = {chest.FAT, chest.MUSCLE, chest.RIB, chest.VERTEBRA, chest.DISC, chest.CORD, BACKGROUND, *chest.LOBES}
    parts |= {chest.VESSEL, chest.HEART, chest.MEDIASTINUM, chest.AORTA, chest.LIVER, chest.STOMACH, chest.BOWEL}
    assert parts <= set(labels.unique().tolist())
    assert torch.equal(labels, chest.thorax(SHAPE, generator(3)))
    assert not torch.equal(labels, chest.thorax(SHAPE, generator(4)))


def test_the_wall_surrounds_what_slides_and_the_abdomen_lies_below_the_lungs(labels: torch.Tensor) -> None:
    inner = (labels >= SLIDING) & (labels < BACKGROUND)
    assert 0.2 < float(inner.float().mean()) < 0.9
    assert chest.is_chest(labels) and not chest.is_chest(labels[inner.logical_not()])
    # Bone is wall, and nothing that slides lies outside it in the middle heights.
    for bone in (chest.RIB, chest.VERTEBRA):
        assert bone < SLIDING
    outside = ndimage.binary_dilation((labels == BACKGROUND).numpy(), iterations=1)
    assert not (outside & inner.numpy()).any()
    assert _height(labels == chest.LIVER) < _height(labels == chest.HEART) < _height(_lung(labels))


def test_vessels_are_trees_inside_the_lungs(labels: torch.Tensor) -> None:
    vessels = (labels == chest.VESSEL).numpy()
    lung = _lung(labels).numpy()
    around = ndimage.binary_dilation(vessels) & ~vessels
    assert lung[around].mean() > 0.5
    assert 0.01 < vessels.sum() / lung.sum() < 0.6


def test_every_node_of_a_tree_hangs_on_one_nearer_to_its_root() -> None:
    points = torch.rand((80, 3), generator=generator(1)) * torch.tensor([20.0, 40.0, 30.0])
    root = torch.tensor([3.0, 5.0, 30.0])
    nodes, (parent, load) = trees._grow(points, root)
    distance = (nodes - root).norm(dim=1)
    assert (distance[parent[1:].long()] < distance[1:]).all()
    assert load[0] == len(nodes) and load[-1] == 1
    assert torch.equal(load[1:].sort().values[:1], torch.ones(1))


def test_a_ct_shows_dark_lungs_bright_vessels_and_brighter_bone() -> None:
    mean, sigma = chest.ct_values(256, generator(5))
    assert mean[chest.AIRWAY] < mean[list(chest.LOBES)].min()
    assert mean[list(chest.LOBES)].max() < 0.35 < mean[chest.VESSEL] < mean[chest.RIB] + 0.05
    assert mean[BACKGROUND] == 0 and (sigma > 0).all()


def test_lungs_alone_grow_darker_where_they_are_stretched(labels: torch.Tensor) -> None:
    image = torch.full((1, 1, *SHAPE), 0.4)
    density = torch.full_like(image, 0.5)
    lung = _lung(labels)
    result = chest.aerate(image, labels[None, None], density)[0, 0]
    assert torch.allclose(result[lung], torch.tensor(0.2)) and torch.equal(result[~lung], image[0, 0][~lung])
