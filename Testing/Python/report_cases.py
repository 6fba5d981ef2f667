"""A run of a registration on disk as `robustdir register` leaves it, with everything a report can show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import html5lib
import numpy as np

from registration_cases import Standin, grid_about, picture
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.io.landmarks import Landmarks, write_landmarks
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions
from RobustDIRLib.registration.saving import save
from segment_cases import write_segmentation

FIXED_GRID = grid_about(np.array([30.0, -20, 10]), (15, 21, 17), (4.9, 3.4, 5.3), (12, -8, 20), (1, -1, 1))
MOVING_GRID = grid_about(np.array([33.0, -21, 6]), (22, 26, 20), (3.7, 4.2, 4.6), (-10, 25, 8), (-1, 1, 1))
HOSTILE = '<script>alert("1")</script>'
NAMES = (HOSTILE, "a & b", "hilum", "c\u0153ur", "5", "<b>six</b>")
STRUCTURES = ("rind", "flesh", "stone & <i>core</i>")
CARD = "# Standin\n\nTaught on *nothing*.\n\n| a | b |\n|---|--:|\n| 1 | <img src=x> |\n\n[link](https://example.org)\n"


QUICK = RegistrationOptions(alignment="none", quality="fast", device="cpu")


def make_run(
    folder: Path,
    *,
    labels: bool = True,
    landmarks: bool = True,
    named: bool = False,
    options: RegistrationOptions | None = None,
) -> Path:
    """Inputs in `folder/in`, the run in `folder/run`, a model with a card in `folder/model`; gives the run's folder."""
    inputs = folder / "in"
    inputs.mkdir(parents=True)
    fixed = picture(FIXED_GRID, lambda p: p - [30, -20, 10], noise=0.01)
    moving = picture(MOVING_GRID, lambda p: p - [33, -21, 6])
    files = {"fixed": inputs / "fixed <b>&.nii.gz", "moving": inputs / "moving.mha"}
    write_image(files["fixed"], fixed)
    write_image(files["moving"], moving)
    extras = {}
    if landmarks:
        for name, image, seed in (("fixed", fixed, 1), ("moving", moving, 2)):
            points = Landmarks(_points(image.grid, seed), NAMES)
            files[f"{name}_landmarks"] = inputs / f"{name}.csv"
            write_landmarks(files[f"{name}_landmarks"], points)
            extras[f"{name}_landmarks"] = points
    if labels:
        maps = {"labels": some_labels(moving, (1, 2, 4)), "fixed_labels": some_labels(fixed, (1, 2, 3))}
        for name, image in maps.items():
            files[name] = inputs / f"{name}.nrrd"
            write_image(files[name], image)
        if named:  # the same structures under other numbers in the fixed label map
            for name, numbers in (("labels", (1, 2, 4)), ("fixed_labels", (2, 1, 3))):
                named_map = some_labels(moving if name == "labels" else fixed, numbers)
                entries = [(structure, n, 0) for structure, n in zip(STRUCTURES, numbers, strict=True)]
                write_segmentation(files[name], named_map, named_map.array[None], entries)
                maps[name] = read_labels(files[name])
        extras |= {"moving_labels": (maps["labels"],), "fixed_labels": (maps["fixed_labels"],)}
    model, options = make_model(folder / "model"), options or RegistrationOptions()
    result = register(fixed, moving, model, options=options, extras=PairExtras(**extras))
    identity = {name: {"path": str(path), "sha256": sha256(path)} for name, path in files.items()}
    recorded = {name: [one] if name.endswith("labels") else one for name, one in identity.items()}
    return save(result, folder / "run", provenance={"command": f"robustdir register '{HOSTILE}'", "inputs": recorded})


def make_model(folder: Path) -> SimpleNamespace:
    folder.mkdir()
    (folder / "weights.pt").write_bytes(b"weights")
    (folder / "card.md").write_text(CARD)
    path = folder / "weights.pt"
    return SimpleNamespace(network=Standin(), card={"name": "standin"}, path=path, checksum=sha256(path))


def some_labels(image: Image, numbers: tuple[int, int, int]) -> Image:
    """Three nested labels by brightness."""
    levels = np.digitize(image.array, [0.3, 0.55, 0.8])
    return Image(np.array([0, *numbers], np.uint8)[levels], image.grid)


def _points(grid: Grid, seed: int) -> np.ndarray:
    voxels = np.array(grid.shape) * np.random.default_rng(seed).uniform(0.35, 0.65, (len(NAMES), 3))
    return grid.points_from_voxels(voxels)


def parsed(text: str):
    """The page as a tree; raises where it is not valid HTML by the standard's own parsing rules."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(tree) -> str:
    """All text of a page in order, but for style and scripts."""
    return " ".join("".join(_texts(tree)).split())


def _texts(element) -> Iterator[str]:
    if element.tag not in ("script", "style"):
        yield element.text or ""
        for child in element:
            yield from _texts(child)
            yield child.tail or ""
