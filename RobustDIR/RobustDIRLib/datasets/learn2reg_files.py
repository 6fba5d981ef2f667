"""Which files a `dataset.json` means: what is listed, what is not listed but there, what is listed but was never there.

Where nothing is listed, files of the image's name in `labelsTr`, `masksTr`, `landmarksTr` and `keypointsTr` are taken.
Landmarks set by people go before automatic keypoints; both are voxel indices x, y, z from 0 of their image. Where a set
has keypoints by task (`keypoints01`, `keypoints02`), those that both images of a pair have are theirs.

Published lists differ from what they list: keypoints carry the extension of their image, unpublished truth of
validation cases is listed all the same, and images of several channels (`NAME_0000.nii.gz`) go by `NAME.nii.gz`.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from RobustDIRLib.datasets.building import safe_name
from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.datasets.problems import Root
from RobustDIRLib.datasets.sources import ImageFile, LabelFile, VoxelLandmarkFile
from RobustDIRLib.io.files import extension

Listed = dict[str, str]  # paths in the data set by what they are: image, label, mask, keypoints, keypoints01, ...

_POINTS = ("landmarks", "keypoints")
# What may lie beside a folder `images*`, and in which folder.
_BESIDE = {"label": "labels", "mask": "masks", "landmarks": "landmarks", "keypoints": "keypoints"}
_ROLES = {"image": "{}", "mask": "{}_mask", "label": "{}_labels"}


def files_of(folder: Path, image: str, listed: Listed | None) -> Listed:
    """Everything that comes with an image, under the names by which it is stored.

    Args:
        folder: Of the data set.
        image: As listed.
        listed: What the list says comes with it.
    """
    files = dict(listed or {"image": image})
    for kind in _BESIDE:
        beside = _beside(image, kind)
        if not any(key.startswith(kind) for key in files) and beside and (folder / beside).is_file():
            files[kind] = beside
    return {key: _as_stored(folder, key, name) for key, name in files.items()}


def _beside(image: str, kind: str) -> str | None:
    """`labelsTr/a.nii.gz` for the label of `imagesTr/a.nii.gz`; None where images lie in no such folder."""
    path = PurePosixPath(image)
    if not path.parent.name.startswith("images"):
        return None
    place = path.parent.with_name(path.parent.name.replace("images", _BESIDE[kind], 1))
    return (place / (f"{_stem(image)}.csv" if kind in _POINTS else path.name)).as_posix()


def _as_stored(folder: Path, key: str, name: str) -> str:
    if (folder / name).exists():
        return name
    stem = name.removesuffix(PurePosixPath(name).name[len(_stem(name)) :])
    if key.startswith(_POINTS):
        return f"{stem}.csv"
    channel = f"{stem}_0000{extension(name)}"
    return channel if key == "image" and (folder / channel).is_file() else name


def drop_unpublished(root: Root, files: dict[str, Listed], split: str) -> None:
    """Takes out, with a note, what is listed for every image of a split and there for none: it was not published.

    Where it is there for some images, those without it are a problem, which shows when their paths are made.
    """
    for kind in sorted({key for held in files.values() for key in held} - {"image"}):
        listed = [held for held in files.values() if kind in held]
        if any((root.folder / held[kind]).exists() or _leaves(held[kind]) for held in listed):
            continue
        root.notes.append(f"none of the {len(listed)} files listed as {kind} for {split} is there; left out.")
        for held in listed:
            del held[kind]


def make_case(root: Root, fixed: Listed, moving: Listed, preset: str) -> Case | None:
    """The case of two images and what comes with them; None, noted, where an image is missing."""
    points = next((key for key in _points_in_order(fixed) if key in moving), None)
    sources = _sources(root, "fixed", fixed, points) | _sources(root, "moving", moving, points)
    if not {"fixed", "moving"} <= set(sources):
        return None
    names = [_stem(held["image"]) for held in (fixed, moving)]
    whose = [_subject(name) for name in names]
    return Case(safe_name("-".join(names)), whose[1], preset, **sources, fixed_subject=whose[0])


def _points_in_order(held: Listed) -> list[str]:
    """Keys of landmarks, those set by people first."""
    return [key for kind in _POINTS for key in sorted(held) if key.startswith(kind)]


def _sources(root: Root, role: str, held: Listed, points: str | None) -> dict[str, Any]:
    """Sources by the fields of a case, those whose file is there."""
    sources: dict[str, Any] = {}
    for key, name in held.items():
        if key not in _ROLES and key != points:
            continue
        path = root.path(name, needed_by=f"{key} of {_stem(held['image'])}")
        if path is None:
            continue
        if key == points:
            sources[f"{role}_landmarks"] = VoxelLandmarkFile(path)
        else:
            sources[_ROLES[key].format(role)] = ImageFile(path) if key == "image" else LabelFile(path)
    return sources


def _leaves(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts


def _stem(name: str) -> str:
    last = PurePosixPath(name).name
    return last[: len(last) - len(extension(last))]


def _subject(stem: str) -> str:
    """`NLST_0001` of `NLST_0001_0000`: the last number counts scans of one person."""
    head, _, tail = stem.rpartition("_")
    return head if len(tail) == 4 and tail.isdigit() and head[-1:].isdigit() else stem
