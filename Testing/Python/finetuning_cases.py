"""Small data sets to learn from: bodies of several people, with organs as labels, on grids of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from registration_cases import grid_about, points_of, scene
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.io.landmarks import Landmarks, write_landmarks

NETWORK = {"kind": "pyramid", "encoder": [4, 4], "decoder": [4, 4], "depth": [1, 1], "radius": [1, 1], "squarings": 2}


def grid_of(person: int) -> Grid:
    """Odd sides, three spacings, an oblique frame of each person's own."""
    shape = (15 + person % 3, 18, 13 + person % 2)
    return grid_about(np.array([5.0 * person, -3.0, 2.0]), shape, (5.1, 4.2, 6.3), (4 * person, -7, 3 * person))


def to_scene(person: int, points: Array) -> Array:
    """Points of a person's space as points of the scene: shifted, and bent by a few mm of the person's own."""
    moved = points - np.array([5.0 * person, -3.0, 2.0])
    phase = 0.7 * person
    bend = np.stack([np.sin(moved[..., (a + 1) % 3] / 21 + phase + a) for a in range(3)], -1)
    return moved + (5 + 0.3 * person) * bend


def a_scan(person: int) -> tuple[Image, Image]:
    """Image and label map: the values of the scene, and the same in steps."""
    grid = grid_of(person)
    values = scene(to_scene(person, points_of(grid)))
    noise = np.random.default_rng(person).normal(0, 0.01, values.shape)
    labels = np.digitize(values, (0.15, 0.5)).astype(np.uint8)
    return Image((100 * (values + noise)).astype(np.float32), grid), Image(labels, grid)


def decathlon(folder: Path, people: int = 6) -> Path:
    """Unpaired images with label maps, as the Decathlon lists them."""
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    listed = []
    for person in range(people):
        name = f"organ_{person:03d}.nii.gz"
        image, labels = a_scan(person)
        write_image(folder / "imagesTr" / name, image)
        write_image(folder / "labelsTr" / name, labels)
        listed.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    (folder / "dataset.json").write_text(json.dumps({"name": "organs", "training": listed}))
    return folder


def paired(folder: Path, cases: int = 4, count: int = 7) -> Path:
    """Listed pairs without labels, each with landmarks in both images."""
    for case in range(cases):
        place = folder / f"case{case}"
        place.mkdir(parents=True)
        rng = np.random.default_rng(case)
        for role, person in (("fixed", 2 * case), ("moving", 2 * case + 1)):
            image, _ = a_scan(person)
            write_image(place / f"{role}.nii.gz", image)
        # Points of the fixed image, well inside; and the points of the moving image that show the same of the scene.
        grid = grid_of(2 * case)
        points = grid.points_from_voxels(rng.uniform(0.3, 0.7, (count, 3)) * (np.array(grid.shape) - 1))
        write_landmarks(place / "fixed_landmarks.csv", Landmarks(points))
        write_landmarks(place / "moving_landmarks.csv", Landmarks(same_place(2 * case, 2 * case + 1, points)))
    return folder


def same_place(person: int, other: int, points: Array) -> Array:
    """Points of another person that show what a person's points show."""
    wanted = to_scene(person, points)
    found = points + np.array([5.0 * (other - person), 0, 0])
    for _ in range(60):
        found = found - 0.7 * (to_scene(other, found) - wanted)
    return found


def a_config(dataset: Path, **changes: Any) -> FinetuneConfig:
    """A run of seconds, of a tiny network from scratch."""
    settings: dict[str, Any] = {
        "dataset": str(dataset),
        "initial": None,
        "network": NETWORK,
        "alignment": "centre",
        "split": {"shares": [0.5, 0.25, 0.25]},
        "optimizer": {"learning_rate": 1e-3, "average": 0.0, "clip": 1.0},
        "epochs": 2,
        "threads": 1,
        "log_every": 1,
        "precision": "fp32",
    }
    return from_dict(FinetuneConfig, {**settings, **changes})
