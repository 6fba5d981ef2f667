"""Learn2Reg and Medical Segmentation Decathlon: a `dataset.json` (or `NLST_dataset.json`, ...) that lists the files.

Learn2Reg lists pairs by split (`training_paired_images`, `registration_val`, `registration_test`), and for each image
what comes with it (`training`, `test`: image, label, mask, keypoints or landmarks; see `learn2reg_files.py`).

The Decathlon, and Learn2Reg's training sets of unpaired images, list images alone: they are paired with one another,
see `settings.Settings.pairing`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from RobustDIRLib.configuration import read_json
from RobustDIRLib.datasets.building import pairs_of
from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.datasets.learn2reg_files import Listed, drop_unpublished, files_of, make_case
from RobustDIRLib.datasets.problems import Root
from RobustDIRLib.datasets.settings import Settings
from RobustDIRLib.errors import InputError
from RobustDIRLib.presets import DEFAULT, preset_of_data_set

SPLITS = {
    "training": ("training_paired_images",),
    "validation": ("registration_val",),
    "test": ("registration_test", "test_paired_images"),
}
_ABBREVIATED = {"train": "training", "val": "validation"}

Pair = tuple[str, str]  # names of the fixed and the moving image, as listed


def list_files(folder: Path) -> list[Path]:
    """The `dataset.json` of a folder, or its files `*_dataset.json`."""
    plain = folder / "dataset.json"
    return [plain] if plain.is_file() else sorted(folder.glob("[!.]*_dataset.json"))


def recognises(folder: Path) -> bool:
    """Whether the folder has such a list."""
    return bool(list_files(folder))


def cases(root: Root, settings: Settings) -> list[Case]:
    """The cases of one split (`training`, `validation`, `test`) or of `all`.

    Without a split it is the validation set where there is one, else the test set with its pairs, else all images.

    Raises:
        InputError: If there is no list, or several, or it is not of this form, or has no such split.
    """
    listing = Listing(_chosen_file(root.folder, settings), root, settings)
    return [case for split in listing.splits() for case in listing.cases(split)]


def _chosen_file(folder: Path, settings: Settings) -> Path:
    if settings.listing:
        return folder / settings.listing
    found = list_files(folder)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no dataset.json"
        raise InputError(f"{folder} has {names} where one list is needed; name the one that you mean.")
    return found[0]


class Listing:
    """The content of a `dataset.json`, and the cases that it describes."""

    def __init__(self, path: Path, root: Root, settings: Settings) -> None:
        self.path, self.root, self.settings = path, root, settings
        self.content = read_json(path)
        if not isinstance(self.content, dict):
            raise InputError(f"{path} holds no object with named lists; check that it is the file you mean.")

    def splits(self) -> list[str]:
        """The splits asked for."""
        asked = _ABBREVIATED.get(self.settings.split or "", self.settings.split)
        if asked is None:
            return [next((split for split in ("validation", "test") if self.pairs(split)), "training")]
        if asked == "all":
            return [split for split in SPLITS if self.pairs(split) or split == "training"]
        if asked not in SPLITS:
            raise InputError(f"`split` {asked}: {self.path} has training, validation and test; choose one, or all.")
        if asked != "training" and not self.pairs(asked):
            raise InputError(f"`split` {asked}: {self.path} lists no pairs for it; choose another split.")
        return [asked]

    def cases(self, split: str) -> list[Case]:
        """The cases of one split; what is wrong with their files is noted."""
        pairs = self.pairs(split) or self._paired_here()
        files = {image: files_of(self.root.folder, image, self._entries.get(image)) for p in pairs for image in p}
        drop_unpublished(self.root, files, split)
        name = str(self.content.get("name", self.root.folder.name)).lower()
        preset = self.settings.preset or self._by_name(name)
        made = [make_case(self.root, files[fixed], files[moving], preset) for fixed, moving in pairs]
        return [case for case in made if case]

    def _by_name(self, name: str) -> str:
        """The preset that a data set's name stands for, which is said: a name does not make values Hounsfield units."""
        preset = preset_of_data_set(name)
        sentence = f"the preset {preset} was chosen by the data set's name; its settings can name another."
        if preset != DEFAULT and sentence not in self.root.notes:
            self.root.notes.append(sentence)
        return preset

    def pairs(self, split: str) -> list[Pair]:
        """Pairs listed for a split; those of validation and test do not count as training."""
        pairs = [self._pair(entry, key) for key in SPLITS[split] for entry in self._list(key)]
        held_out = {*self.pairs("validation"), *self.pairs("test")} if split == "training" else set()
        return [pair for pair in dict.fromkeys(pairs) if pair not in held_out]

    def _list(self, key: str) -> list[Any]:
        found = self.content.get(key) or []
        if not isinstance(found, list):
            raise InputError(f"{self.path}: {key} is not a list; correct it.")
        return found

    def _pair(self, entry: Any, key: str) -> Pair:
        fixed, moving = (entry.get("fixed"), entry.get("moving")) if isinstance(entry, dict) else (None, None)
        if not isinstance(fixed, str) or not isinstance(moving, str):
            raise InputError(f"{self.path}: {key} has an entry without fixed and moving ({entry!r}); correct it.")
        return _plain(fixed), _plain(moving)

    def _paired_here(self) -> list[Pair]:
        """Pairs of the images listed for training, those of the pairs of validation and test left out."""
        held_out = {image for split in ("validation", "test") for pair in self.pairs(split) for image in pair}
        images = sorted({self._image(entry) for entry in self._list("training")} - held_out)
        pairing = self.settings.pairing or "neighbours"
        pairs = pairs_of(images, pairing)
        self.root.notes.append(
            f"{len(images)} images are listed without pairs; paired as {pairing}, {len(pairs)} in all."
        )
        return pairs

    @cached_property
    def _entries(self) -> dict[str, Listed]:
        """What is listed for each image, by the image."""
        entries = [*self._list("training"), *self._list("test")]
        return {self._image(entry): _texts(entry) for entry in entries}

    def _image(self, entry: Any) -> str:
        image = _texts(entry).get("image")
        if image is None:
            raise InputError(f"{self.path}: an entry has no image ({entry!r}); correct it.")
        return image


def _texts(entry: Any) -> Listed:
    """The named paths of an entry, which may also be an image's path alone."""
    named = entry if isinstance(entry, dict) else {"image": entry}
    return {key: _plain(value) for key, value in named.items() if isinstance(value, str)}


def _plain(name: str) -> str:
    """`./imagesTr/a.nii.gz` as `imagesTr/a.nii.gz`."""
    return PurePosixPath(name).as_posix()
