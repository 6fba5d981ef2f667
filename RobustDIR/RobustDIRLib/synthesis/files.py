"""Synthetic pairs as files: images, label maps, the exact displacement both ways, a preview, and what made them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.configuration import from_dict, read_json, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField, write_displacement
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.synthesis.kinds import LabelMapConfig, sample_label_map
from RobustDIRLib.synthesis.pairs import Pair, PairConfig, synthesize_pair
from RobustDIRLib.synthesis.random import generator

_LARGEST_SIDE = 1024
_SMALLEST_SIDE = 16


@dataclass(frozen=True)
class SynthesisSettings:
    """Settings of label maps and of pairs."""

    labels: LabelMapConfig = field(default_factory=LabelMapConfig)
    pairs: PairConfig = field(default_factory=PairConfig)


def read_settings(path: Path | None, side: int | None, count: int) -> SynthesisSettings:
    """Settings from a JSON file, if any, and the side from the command line, if given.

    Raises:
        InputError: If the file or a number is unfit.
    """
    settings = from_dict(SynthesisSettings, read_json(path), str(path)) if path else SynthesisSettings()
    if side is not None and not _SMALLEST_SIDE <= side <= _LARGEST_SIDE:
        raise InputError(f"`side` {side}: give from {_SMALLEST_SIDE} to {_LARGEST_SIDE} voxels.")
    if side is not None:
        settings = SynthesisSettings(replace(settings.labels, side=side), replace(settings.pairs, side=side))
    if count < 1:
        raise InputError(f"`count` {count} makes nothing: give 1 or more")
    if settings.pairs.side < _SMALLEST_SIDE:
        raise InputError(f"a side of {settings.pairs.side} voxels is too small: give at least {_SMALLEST_SIDE}")
    if max(settings.pairs.side, settings.labels.side) > _LARGEST_SIDE:
        raise InputError(f"{path}: sides of maps and pairs are at most {_LARGEST_SIDE} voxels")
    return settings


def write_pairs(
    folder: Path,
    settings: SynthesisSettings,
    count: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `count` pairs, each into a folder `pair_0000` of its own, whole or not at all.

    Raises:
        InputError: If one of the folders exists.
    """
    for index in range(count):
        target = folder / f"pair_{index:04d}"
        if target.exists():
            raise InputError(f"{target} already exists: name another folder or delete it")
        g = generator(seed, index)
        pair = synthesize_pair(sample_label_map(settings.labels, index, g), settings.pairs, g)
        temporary = folder / f".{target.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write_pair(temporary, pair)
        record = {"settings": to_dict(settings), "seed": seed, "index": index}
        (temporary / "pair.json").write_text(json.dumps(record, indent=1))
        os.replace(temporary, target)
        if progress:
            progress(index + 1, count)


def _write_pair(folder: Path, pair: Pair) -> None:
    grid = Grid(_sides(pair.fixed))
    for name in ("fixed", "moving", "fixed_labels", "moving_labels"):
        tensor: Tensor = getattr(pair, name)
        write_image(folder / f"{name}.nii.gz", Image(tensor[0, 0].numpy(), grid))
    truth_grid = grid.resized(_sides(pair.truth.displacement))
    for name, u in zip(("displacement", "inverse"), pair.truth, strict=True):
        field = DisplacementField(truth_grid.displacement_to_mm(u[0].numpy()), truth_grid)
        write_displacement(folder / f"{name}.nii.gz", field)
    _write_preview(folder / "preview.png", pair)


def _sides(tensor: Tensor) -> tuple[int, int, int]:
    depth, height, width = tensor.shape[2:]
    return depth, height, width


def _slice(volume: Tensor) -> np.ndarray:
    middle = volume[0, 0, volume.shape[2] // 2]
    return np.asarray(((middle.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8).numpy())


def _write_preview(path: Path, pair: Pair) -> None:
    """Middle slices of fixed, moving, moving warped by the truth, and the labels of fixed, side by side."""
    u = warping.resize_displacement(pair.truth.displacement, pair.fixed.shape[2:])
    labels = pair.fixed_labels.float() / max(float(pair.fixed_labels.max()), 1.0) * 2 - 1
    panels = [_slice(v) for v in (pair.fixed, pair.moving, warping.warp(pair.moving, u), labels)]
    sitk.WriteImage(sitk.GetImageFromArray(np.hstack(panels)), str(path))
