"""Scans of people who never were: anatomical label maps, each deformed, painted and corrupted, as a data set.

What `pretrain` learns from are pairs of one label map; two scans of this data set show two people, with the labels that
both have. So a model of an anatomy can be taught without an acquired image, as in Hoffmann et al., "SynthMorph" (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Generator, Tensor

from RobustDIRLib import warping
from RobustDIRLib.configuration import refuse_improbable
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.files import make_folder, write_json
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.run_files import DATA_SET
from RobustDIRLib.synthesis.bank import scene_from_anatomy
from RobustDIRLib.synthesis.deformations import sample_velocity
from RobustDIRLib.synthesis.intensities import Contrast, sample_contrasts, sample_texture
from RobustDIRLib.synthesis.labels import BACKGROUND, LABELS
from RobustDIRLib.synthesis.pairs import PairConfig, render
from RobustDIRLib.synthesis.random import chance, generator


@dataclass(frozen=True)
class ScanConfig:
    """How label maps become scans.

    Attributes:
        brightness: Mean grey value, 0 to 1, of labels (by their numbers, as text) in a contrast that scans share, such
            as T1; labels that are not named are dark.
        brightness_probability: How often a scan has that contrast, rather than one of its own.
        spread: Spread of the means in each scan of that contrast.
        core: Labels whose largest connected part stays with what is near it; all else becomes background, such as the
            skull of a head in whose map other tissue shares a label with the brain. None for all of the map.
        reach: How near, voxels.
    """

    brightness: dict[str, Any] = field(default_factory=dict)
    brightness_probability: float = 0.0
    spread: float = 0.05
    core: tuple[int, ...] = ()
    reach: float = 4.5

    def __post_init__(self) -> None:
        for label, value in self.brightness.items():
            if not label.isdecimal() or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f'brightness "{label}": {value!r} is no label\'s number with a value from 0 to 1')
        if min(self.spread, self.reach) < 0 or (self.brightness_probability and not self.brightness):
            raise ValueError("spread and reach must not be negative, and a brightness_probability needs a brightness")
        refuse_improbable(self)


def write_scans(
    folder: Path,
    files: Sequence[Path],
    settings: tuple[PairConfig, ScanConfig],
    count: int,
    seed: int,
    *,
    keep: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a data set: `images/PERSON/NUMBER.nii.gz`, `labels/PERSON/NUMBER.nii.gz`, and its `robustdir-dataset.json`.

    A person is a label map, named by its file; images are of 1 mm, from 0 to 255, and labels keep their numbers.

    Args:
        folder: Where; scans that are there already are kept, so that several processes can share the work.
        files: Label maps of 1 mm, any format `read_labels` knows.
        settings: Of deformations, grey values and corruptions (the side does not matter), and of the contrasts.
        count: Scans of each person.
        seed: Of every draw; each scan depends on its person's place in `files` and its own number alone.
        keep: Labels to keep, the others become background; all if not given.
        progress: Told of each scan done.
    Raises:
        InputError: If a file is unfit, two have one name, or the folder cannot be written to.
    """
    names = [file.name.split(".")[0] for file in files]
    if len(set(names)) < len(names):
        raise InputError(f"two label maps are called {_twice(names)}: a person needs a name of their own; rename one.")
    make_folder(folder)
    for person, (name, file) in enumerate(zip(names, files, strict=True)):
        labels = read_labels(file).array
        labels = labels if keep is None else np.where(np.isin(labels, keep), labels, 0)
        if not labels.any():
            raise InputError(f"{file} has no label {'to keep' if keep else 'but background'}: leave it out")
        if core := settings[1].core:
            labels = _near(labels, settings[1])
            if not labels.any():
                raise InputError(f"{file} has none of the core's labels ({', '.join(map(str, core))}): leave it out")
        for number in range(count):
            _write_scan(folder, name, number, labels, settings, generator(seed, person, number))
            if progress:
                progress(person * count + number + 1, len(files) * count)
    scans = {"image": "images/{subject}/{scan}.nii.gz", "labels": "labels/{subject}/{scan}.nii.gz"}
    write_json(folder / DATA_SET, {"name": folder.name, "scans": scans, "pairing": "all"})


def _twice(names: Sequence[str]) -> str:
    return next(name for k, name in enumerate(names) if name in names[:k])


def _near(labels: NDArray[np.integer], config: ScanConfig) -> NDArray[np.integer]:
    """What lies in or near the largest connected part of the core."""
    parts, count = ndimage.label(np.isin(labels, config.core))
    if not count:
        return np.zeros_like(labels)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.where(ndimage.distance_transform_edt(~largest) <= config.reach, labels, 0)


def _write_scan(
    folder: Path,
    person: str,
    number: int,
    labels: NDArray[np.integer],
    settings: tuple[PairConfig, ScanConfig],
    g: Generator,
) -> None:
    targets = [folder / kind / person / f"{number:02d}.nii.gz" for kind in ("images", "labels")]
    if all(target.exists() for target in targets):
        return
    for target, made in zip(targets, _scan(labels, settings, g), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_image(target, Image(made, Grid(_sides(made))))


def _sides(array: NDArray[Any]) -> tuple[int, int, int]:
    depth, height, width = array.shape
    return depth, height, width


def _scan(
    labels: NDArray[np.integer], settings: tuple[PairConfig, ScanConfig], g: Generator
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Image and label map of one scan, both `(z, y, x)`."""
    pairs, scans = settings
    numbers: dict[int, int] = {}
    scene = _framed(scene_from_anatomy(labels, numbers, 1), pairs.reduction)
    velocity = sample_velocity(scene.shape, pairs.deformation, g, reduction=pairs.reduction)
    displacement = warping.integrate_velocity(velocity, pairs.deformation.squarings)
    points = warping.identity_grid(scene.shape) + warping.resize_displacement(displacement, scene.shape)
    contrast = _contrast(pairs, scans, numbers, g)
    texture = sample_texture(scene.shape, g) if contrast.texture.any() else None
    image, deformed = render(scene, points, contrast, pairs.corruption, g, texture=texture)
    table = np.zeros(256, labels.dtype)
    for label, here in numbers.items():
        table[here] = label
    return _as_bytes(image[0, 0]), table[deformed[0, 0].numpy()]


def _as_bytes(image: Tensor) -> NDArray[np.uint8]:
    """Grey values from -1 to 1 as a scanner would store them."""
    found: NDArray[np.uint8] = ((image + 1) * 127.5).round().to(torch.uint8).numpy()
    return found


def _framed(scene: NDArray[np.uint8], multiple: int) -> Tensor:
    """The scene with sides that the velocities' reduction divides."""
    more = [(0, -n % multiple) for n in scene.shape]
    return torch.from_numpy(np.pad(scene, more, constant_values=BACKGROUND))


def _contrast(pairs: PairConfig, scans: ScanConfig, numbers: dict[int, int], g: Generator) -> Contrast:
    contrast, _ = sample_contrasts(pairs.intensity, LABELS, g)
    if not chance(scans.brightness_probability, g):
        return contrast
    mean = torch.zeros_like(contrast.mean)
    for label, number in numbers.items():
        mean[number] = float(scans.brightness.get(str(label), 0.0))
    mean = mean + scans.spread * torch.randn(len(mean), generator=g) * (mean > 0)
    mean[BACKGROUND] = contrast.mean[BACKGROUND]
    return replace(contrast, mean=mean)
