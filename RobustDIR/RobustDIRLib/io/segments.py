"""Segments of a segmentation: named structures, each in a layer, which may overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid


@dataclass(frozen=True)
class Segments:
    """What a segmentation holds.

    Attributes:
        layers: Label maps `(z, y, x)` in which a number means one structure; those of two layers may overlap.
        grid: Of each layer, mm, LPS.
        names: Of structures by their number.
    """

    layers: tuple[NDArray[np.int32], ...]
    grid: Grid
    names: Mapping[int, str]

    def union(self) -> NDArray[np.uint8]:
        """1 where any structure is."""
        inside = np.zeros(self.grid.shape, dtype=bool)
        for layer in self.layers:
            inside |= np.isin(layer, list(self.names))
        return inside.astype(np.uint8)

    def overlap(self) -> bool:
        """Whether structures of two layers share a voxel."""
        count = sum((layer != 0).astype(np.uint8) for layer in self.layers)
        return bool(np.max(count) > 1)

    def one_map(self, path: Path) -> NDArray[np.int32]:
        """All structures in one label map.

        Args:
            path: The file, for the message.
        Raises:
            InputError: If two structures overlap.
        """
        whole = np.zeros(self.grid.shape, dtype=np.int32)
        for layer in self.layers:
            inside = np.isin(layer, list(self.names))
            both = inside & (whole != 0)
            if both.any():
                k = tuple(np.argwhere(both)[0])
                pair = " and ".join(repr(self.names.get(int(n), str(n))) for n in (whole[k], layer[k]))
                raise InputError(
                    f"{path} holds segments that overlap ({pair}, in {int(both.sum())} voxels), which one label map "
                    "cannot hold; export overlapping segments to files of their own."
                )
            whole[inside] = layer[inside]
        return whole


def layered(structures: Iterable[tuple[int, NDArray[np.bool_]]], grid: Grid) -> tuple[NDArray[np.int32], ...]:
    """Layers for structures that come one by one, each in the first layer in which it meets no other.

    Args:
        structures: Number and inside `(z, y, x)` of each.
        grid: Of all.
    """
    layers: list[NDArray[np.int32]] = []
    for number, inside in structures:
        layer = next((layer for layer in layers if not layer[inside].any()), None)
        if layer is None:
            layer = np.zeros(grid.shape, dtype=np.int32)
            layers.append(layer)
        layer[inside] = number
    return tuple(layers) or (np.zeros(grid.shape, dtype=np.int32),)
