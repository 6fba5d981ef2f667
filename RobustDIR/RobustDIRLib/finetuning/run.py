"""What a fine-tuning run works on: data, pairs, network and loss, made from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from RobustDIRLib.configuration import from_dict, read_json, to_dict
from RobustDIRLib.datasets.cases import Dataset
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import ring, two_people
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import SPLITS, FinetuneConfig, LossWeights, SplitConfig
from RobustDIRLib.finetuning.grids import FittedGrid
from RobustDIRLib.finetuning.losses import resolve_terms
from RobustDIRLib.finetuning.pairs import PairKey, PairMaker, epoch_pairs, listed_pairs
from RobustDIRLib.finetuning.scans import ScanStore
from RobustDIRLib.finetuning.split import Part, split_dataset
from RobustDIRLib.finetuning.virtual import check_source
from RobustDIRLib.model_store import load_model
from RobustDIRLib.networks.build import build_network, network_config
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.registration.memory import available_memory
from RobustDIRLib.run_files import CONFIG, SPLIT
from RobustDIRLib.training.starting import saved_network

_MIB = 2**20
BEFORE_THERE_WAS_A_CHOICE: Mapping[str, Any] = {"grid": "registration"}  # what runs had whose settings lack it
# Learning keeps what a pass computes for the way back: measured peak over that of a pass alone.
_LEARNING_FACTOR = 5.0
_SHARE_OF_MEMORY = 0.6
# Of `Material.began_with`, what must stay, and what it is called.
_FIXED = {
    "scans": "the scans to learn from",
    "pairs": "the pairs to learn from",
    "validation": "the pairs of validation",
    "loss": "what the loss can look at",
    "judge": "what can choose the best epoch",
}


def start_network(config: FinetuneConfig) -> LearningNetwork:
    """The network that a run starts from: a model's or a checkpoint's, or of random (Kaiming) weights.

    Raises:
        InputError: If the model is unknown or damaged, or `freeze` names no parameter, or all.
    """
    if config.initial is None:
        architecture = config.network or network_config(load_model().network)
        network = build_network(architecture)
    else:
        network = saved_network(config.initial)
    _freeze(network, config.freeze)
    return network


def _freeze(network: nn.Module, beginnings: tuple[str, ...]) -> None:
    for beginning in beginnings:
        held = [p for name, p in network.named_parameters() if f"{name}.".startswith(f"{beginning}.")]
        if not held:
            known = ", ".join(name for name, _ in network.named_children())
            raise InputError(f"freeze: the network has no parameters called {beginning}; its parts are {known}.")
        for parameter in held:
            parameter.requires_grad_(False)
    if beginnings and not any(p.requires_grad for p in network.parameters()):
        raise InputError("freeze: nothing of the network is left to learn; freeze less.")


@dataclass
class Material:
    """The data of a run, opened; nothing of the images is read before it is asked for.

    Attributes:
        config: Of the run.
        dataset: Opened.
        parts: By what they are for.
        loss: Its weights, with automatic terms chosen.
        random: Whether pairs are drawn.
        maker: Makes pairs.
    """

    config: FinetuneConfig
    dataset: Dataset
    parts: dict[str, Part]
    loss: LossWeights
    random: bool
    maker: PairMaker
    _epochs: dict[int, list[PairKey]] = field(default_factory=dict, init=False, repr=False)

    @property
    def preset(self) -> str:
        """Of random pairs: the run's, or that of the data set's first case."""
        return self.config.preset or self.dataset.cases[0].preset

    @cached_property
    def listed(self) -> list[PairKey]:
        """The training part's own pairs."""
        return listed_pairs(self.parts["train"].cases, self.config.preset)

    def epoch(self, number: int) -> list[PairKey]:
        """The pairs of an epoch (from 1), in their order."""
        drawn = self._epochs.get(number)
        if drawn is None:
            count, seeds = self.config.pairs_per_epoch, (self.config.seed, 1, number)
            drawn = epoch_pairs(self.parts["train"], self.listed, self.random, self.preset, count, seeds)
            self._epochs = {number: drawn}  # the one that is at work: every step asks for it
        return drawn

    def fixed_pairs(self, part: str, most: int) -> list[PairKey]:
        """The pairs on which a part is judged, the same in every run: the listed ones, or each scan with the next."""
        held = self.parts[part]
        # Listed: two people are aligned directly here, as a registration aligns them.
        pairs = listed_pairs(ring(held.scans, self.preset) if self.random else held.cases, self.config.preset)
        return pairs[:most] if most else pairs

    def check_test(self) -> None:
        """Take note, from the beginning on, of the files that are read at the end alone, or see that they are the same.

        Raises:
            InputError: If one was changed since the run began.
        """
        for key in self.fixed_pairs("test", self.config.test_pairs):
            for scan in (key.fixed, key.moving):
                self.maker.store.check(scan)

    @cached_property
    def began_with(self) -> dict[str, Any]:
        """What a run's data come to: to be kept, since it depends on the data set and the machine as they are now."""
        return {
            "split": describe_split(self),
            "voxels": self.maker.most_voxels,
            "scans": sorted(scan.name for scan in self.parts["train"].scans),
            "pairs": sorted(key.name for key in self.listed),
            "validation": [key.name for key in self.fixed_pairs("validation", self.config.validation_pairs)],
            "loss": to_dict(self.loss),
            "judge": effective_judge(self),
        }


def open_material(
    config: FinetuneConfig,
    network: LearningNetwork,
    checksums: dict[str, str] | None = None,
    before: Mapping[str, Any] | None = None,
) -> Material:
    """The data of a run.

    Args:
        config: Of the run.
        network: That will learn: its size says how large pairs may be.
        checksums: Of files as an earlier stretch of the run read them.
        before: What that stretch began with, as of `Material.began_with`, or its `split` alone: nobody may be tested on
            who taught, whoever else is in the data set by now.
    Raises:
        InputError: If the data set cannot be opened or split, is not what the run began with, or lacks what the loss or
            the judge needs.
    """
    kept = before or {}
    dataset = open_dataset(config.dataset, config.kind, config.part)
    parts = split_dataset(dataset, _split_of(kept["split"]) if kept.get("split") else config.split)
    random = config.pairing == "random" or (config.pairing == "auto" and two_people(dataset.cases))
    labelled = all(scan.labels is not None for scan in parts["train"].scans)
    loss = resolve_terms(config.loss, labelled)
    store = ScanStore(config.cache_mib * _MIB, checksums)
    voxels = kept.get("voxels", config.most_voxels or _bearable_voxels(network))
    reference = parts["train"].scans[0] if random else None
    taught = FittedGrid(network.multiple, config.grid == "native", config.spacing)
    fitted = None if config.grid == "registration" else taught
    maker = PairMaker(store, config.alignment, voxels, reference, fitted, config.spacing)
    material = Material(config, dataset, parts, loss, random, maker)
    _check(material)
    if changed := [title for name, title in _FIXED.items() if name in kept and kept[name] != material.began_with[name]]:
        raise InputError(
            f"{dataset.folder} is not what the run began with: {' and '.join(changed)} changed; put it back as it was, "
            "or start a new run."
        )
    return material


def _split_of(lists: Any) -> SplitConfig:
    """The very subjects of each part, as a run's `split.json` lists them."""
    return from_dict(SplitConfig, lists, "the run's split")


def _bearable_voxels(network: LearningNetwork) -> int:
    """Working voxels of a pair that main memory bears while learning; 0 if that is unknown."""
    free = available_memory()
    return int(_SHARE_OF_MEMORY * free / (_LEARNING_FACTOR * network.bytes_per_voxel)) if free else 0


def _check(material: Material) -> None:
    """Refuse, before any time is spent, what cannot teach."""
    dataset, train, loss = material.dataset, material.parts["train"], material.loss
    if material.random and len({scan.subject for scan in train.scans}) < 2:
        raise InputError(f"{dataset.folder}: one subject alone makes no pair of two people; list more for train.")
    if not material.random and not material.listed:
        raise InputError(f"{dataset.folder}: the subjects of train make no pair of the data set; list others.")
    pairs = material.listed
    if loss.dice and not any(scan.labels for scan in train.scans):
        raise InputError(f"{dataset.folder} has no label maps for the Dice loss; use local_ncc, nmi or mind instead.")
    if loss.landmarks and (material.random or not any(p.fixed.landmarks and p.moving.landmarks for p in pairs)):
        raise InputError(f"{dataset.folder} has no paired landmarks to learn from; leave the landmark loss out.")
    check_source(material.config.virtual)
    _check_judge(material)


def _check_judge(material: Material) -> None:
    held = material.fixed_pairs("validation", 1)
    if not held:
        return
    judge, pair = material.config.judge, held[0]
    has_labels = pair.fixed.labels is not None and pair.moving.labels is not None
    has_landmarks = pair.fixed.landmarks is not None and pair.moving.landmarks is not None
    if (judge == "dice" and not has_labels) or (judge == "tre" and not has_landmarks):
        missing = "label maps" if judge == "dice" else "landmarks"
        raise InputError(f"judge {judge}: {pair.name} of the part validation has no {missing}; choose another judge.")


def effective_judge(material: Material) -> str:
    """`dice`, `tre` or `loss`: what chooses the best epoch."""
    if material.config.judge != "auto":
        return material.config.judge
    held = material.fixed_pairs("validation", 1)
    labelled = bool(held) and held[0].fixed.labels is not None and held[0].moving.labels is not None
    return "dice" if labelled else "loss"


def describe_split(material: Material) -> dict[str, Any]:
    """The subjects of every part, for the run's folder."""
    return {name: list(material.parts[name].subjects) for name in SPLITS}


def kept_settings(folder: Path) -> dict[str, Any]:
    """The settings of the run in a folder, as `FinetuneConfig` takes them, to go on with it.

    Raises:
        InputError: If there is none, or its file is damaged.
    """
    settings = read_json(folder / CONFIG)
    if not isinstance(settings, dict):
        raise InputError(f"{folder / CONFIG} holds no settings by name; put it back as the run wrote it.")
    return {**BEFORE_THERE_WAS_A_CHOICE, **settings}


def kept_split(folder: Path) -> dict[str, Any]:
    """What `open_material` takes of a run's folder: the split that the run has; nothing where it left none.

    Raises:
        InputError: If the file is damaged.
    """
    return {"split": read_json(folder / SPLIT)} if (folder / SPLIT).is_file() else {}
