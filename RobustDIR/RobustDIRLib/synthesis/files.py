"""Synthetic pairs as files: images, label maps, the exact displacement both ways, a preview, and what made them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.configuration import from_dict, read_json, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField, write_displacement
from RobustDIRLib.io.files import check_room, make_folder, write_json, written_atomically
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.synthesis.kinds import LARGEST_SIDE, SMALLEST_SIDE, LabelMapConfig, sample_label_map
from RobustDIRLib.synthesis.pairs import PairConfig, SyntheticPair, synthesize_pair
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.synthesis.scans import ScanConfig


@dataclass(frozen=True)
class SynthesisSettings:
    """Settings of label maps, of pairs, and of scans made of given label maps."""

    labels: LabelMapConfig = field(default_factory=LabelMapConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    scans: ScanConfig = field(default_factory=ScanConfig)


def read_settings(path: Path | None, side: int | None, count: int) -> SynthesisSettings:
    """Settings from a JSON file, if any, and the side from the command line, if given.

    Raises:
        InputError: If the file or a number is unfit.
    """
    settings = from_dict(SynthesisSettings, read_json(path), str(path)) if path else SynthesisSettings()
    if side is not None and not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise InputError(f"`side` {side}: give from {SMALLEST_SIDE} to {LARGEST_SIDE} voxels.")
    if side is not None:
        labels, pairs = replace(settings.labels, side=side), replace(settings.pairs, side=side)
        settings = replace(settings, labels=labels, pairs=pairs)
    if count < 1:
        raise InputError(f"`count` {count} makes nothing: give 1 or more")
    if settings.pairs.side < SMALLEST_SIDE:
        raise InputError(f"a side of {settings.pairs.side} voxels is too small: give at least {SMALLEST_SIDE}")
    if max(settings.pairs.side, settings.labels.side) > LARGEST_SIDE:
        raise InputError(f"{path}: sides of maps and pairs are at most {LARGEST_SIDE} voxels")
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
        InputError: If one of the folders exists, or cannot be made.
    """
    make_folder(folder)
    for index in range(count):
        target = folder / f"pair_{index:04d}"
        if target.exists():
            raise InputError(f"{target} already exists: name another folder or delete it")
        pair = make_pair(settings, seed, index)
        temporary = folder / f".{target.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        try:
            _write_pair(temporary, pair)
            write_json(temporary / "pair.json", {"settings": to_dict(settings), "seed": seed, "index": index})
            os.replace(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        if progress:
            progress(index + 1, count)


class PairImages(NamedTuple):
    """A synthetic pair as images on a grid of 1 mm.

    Attributes:
        fixed, moving: Images, from -1 to 1.
        fixed_labels, moving_labels: Their label maps, `uint8`.
        displacement: The exact displacement from fixed to moving points, mm, LPS.
        inverse: That from moving to fixed points, exact likewise.
    """

    fixed: Image
    moving: Image
    fixed_labels: Image
    moving_labels: Image
    displacement: DisplacementField
    inverse: DisplacementField


def make_pair(settings: SynthesisSettings, seed: int, index: int) -> SyntheticPair:
    """The pair of an index under a seed: equal settings and numbers give equal pairs."""
    g = generator(seed, index)
    return synthesize_pair(sample_label_map(settings.labels, index, g), settings.pairs, g)


def pair_images(pair: SyntheticPair) -> PairImages:
    """A pair in millimetres; the truth lies on a coarser grid of the same borders where it was made at one."""
    grid = Grid(_sides(pair.fixed))
    truth_grid = grid.resized(_sides(pair.truth.displacement))
    fixed, moving, fixed_labels, moving_labels = (Image(tensor[0, 0].numpy(), grid) for tensor in pair[:4])
    there, back = (DisplacementField(truth_grid.displacement_to_mm(u[0].numpy()), truth_grid) for u in pair.truth)
    return PairImages(fixed, moving, fixed_labels, moving_labels, there, back)


def _write_pair(folder: Path, pair: SyntheticPair) -> None:
    for name, made in pair_images(pair)._asdict().items():
        path = folder / f"{name}.nii.gz"
        write_image(path, made) if isinstance(made, Image) else write_displacement(path, made)
    _write_preview(folder / "preview.png", pair)


def _sides(tensor: Tensor) -> tuple[int, int, int]:
    depth, height, width = tensor.shape[2:]
    return depth, height, width


def _slice(volume: Tensor) -> np.ndarray:
    middle = volume[0, 0, volume.shape[2] // 2]
    return np.asarray(((middle.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8).numpy())


def _write_preview(path: Path, pair: SyntheticPair) -> None:
    """Middle slices of fixed, moving, moving warped by the truth, and the labels of fixed, side by side."""
    u = warping.resize_displacement(pair.truth.displacement, pair.fixed.shape[2:])
    labels = pair.fixed_labels.float() / max(float(pair.fixed_labels.max()), 1.0) * 2 - 1
    panels = [_slice(v) for v in (pair.fixed, pair.moving, warping.warp(pair.moving, u), labels)]
    picture = np.hstack(panels)
    with written_atomically(path) as temporary:
        check_room(temporary, picture.nbytes)  # ITK's writer of PNG says nothing when the disk takes only part of it
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(temporary))
