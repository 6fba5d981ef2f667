"""Studies of what synthetic pairs should be: each pretrains one network a variant and judges it on real data sets.

Shapes and sizes (Table 1), intensities (Table 2), corruptions (Fig. D.2) and the number of label maps (Fig. D.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from RobustDIRLib.configuration import from_dict, to_dict
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.finetuning.pairs import PairMaker, listed_pairs
from RobustDIRLib.finetuning.scans import ScanStore
from RobustDIRLib.finetuning.validation import mean_measures, validate
from RobustDIRLib.model_store import load_model
from RobustDIRLib.run_files import CONFIG, MODEL
from RobustDIRLib.studies.study import Record, Row, Study, StudyRun
from RobustDIRLib.studies.tables import grouped, markdown, write_tables
from RobustDIRLib.synthesis.bank import make_bank
from RobustDIRLib.synthesis.kinds import LabelMapConfig
from RobustDIRLib.training.config import TrainingConfig
from RobustDIRLib.training.loop import train

_CACHE = 2**31
_MEASURES = ("error", "dice", "tre_mm", "folding_percent")


@dataclass(frozen=True)
class JudgedOn:
    """A real data set that pretrained networks are judged on, after the linear alignment of `register`.

    Attributes:
        name: Of its columns.
        dataset: Folder, or `robustdir-dataset.json`.
        part: Of the data set, where it has parts.
        pairs: At most.
        preset: Of the registration; each case's own if not given.
        alignment: See `FinetuneConfig`.
    """

    name: str
    dataset: str
    part: str | None = None
    pairs: int = 20
    preset: str | None = None
    alignment: str = "automatic"

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise ValueError("pairs must be at least 1")


@dataclass(frozen=True)
class PretrainingSettings:
    """What all variants have in common.

    Attributes:
        training: As a run file of `robustdir pretrain` has it, without `banks`.
        maps: Label maps of each bank; 100 in the paper.
        side: Voxels a side of the label maps.
        seeds: Runs of each variant.
        judged_on: Real data sets.
    """

    training: dict[str, Any]
    maps: int = 100
    side: int = 192
    seeds: int = 1
    judged_on: tuple[JudgedOn, ...] = ()

    def __post_init__(self) -> None:
        if min(self.maps, self.side, self.seeds) < 1:
            raise ValueError("maps, side and seeds must be at least 1")
        if len({judged.name for judged in self.judged_on}) < len(self.judged_on):
            raise ValueError("judged_on: each data set needs a name of its own")


@dataclass(frozen=True)
class Variant:
    """One way to make synthetic pairs: label maps, and changes of the training's settings."""

    name: str
    labels: LabelMapConfig
    maps: int
    changes: Mapping[str, Any] = field(default_factory=dict)


def shapes(settings: PretrainingSettings) -> Study:
    """Circles, squares and random geometry, small, medium and large (section 3.1.1, Table 1)."""
    kinds = {
        "circles": "spheres",
        "squares": "rectangles",
        "random": "medium",
        "random, small": "small",
        "random, large": "large",
    }
    variants = [Variant(n, LabelMapConfig((k,), side=settings.side), settings.maps) for n, k in kinds.items()]
    paper = {
        ("circles",): "4.3 mm (2.5-7.9)",
        ("squares",): "4.3 mm (2.5-7.9)",
        ("random",): "3.5 mm (2.0-7.4)",
        ("random, small",): "3.2 mm (1.4-9.9)",
        ("random, large",): "3.8 mm (1.9-9.1)",
    }
    return _study("shapes", settings, variants, paper)


def intensities(settings: PretrainingSettings) -> Study:
    """Static, dynamic and dynamic* contrast (section 3.1.2, Table 2)."""
    labels = LabelMapConfig(("medium",), side=settings.side)
    ways: dict[str, dict[str, Any]] = {
        "static": {"contrast": "static"},
        "dynamic": {"contrast": "dynamic"},
        "dynamic*": {"contrast": "dynamic", "sigma": [0.05, 0.2]},
    }
    variants = [Variant(n, labels, settings.maps, {"pairs": {"intensity": way}}) for n, way in ways.items()]
    paper = {
        ("static",): "2.9 mm (1.4-6.6); fails on T1 to T2",
        ("dynamic",): "3.5 mm (2.0-7.5)",
        ("dynamic*",): "4.8 mm (3.0-8.9)",
    }
    return _study("intensities", settings, variants, paper)


def corruptions(settings: PretrainingSettings) -> Study:
    """Bias field, contrast augmentation and partial volume, each alone and none (appendix D.1, Fig. D.2)."""
    labels = LabelMapConfig(("medium",), side=settings.side)
    ways: dict[str, dict[str, Any]] = {
        "none": {},
        "bias field": {"bias_field": 0.5},
        "contrast": {"contrast": 0.5},
        "partial volume": {"partial_volume": 0.5},
        "all": {"bias_field": 0.5, "contrast": 0.5, "partial_volume": 0.5},
    }
    variants = [Variant(n, labels, settings.maps, {"pairs": {"corruption": way}}) for n, way in ways.items()]
    return _study("corruptions", settings, variants, {("none",): "none of them improved consistently (D.1)"})


def label_maps(settings: PretrainingSettings) -> Study:
    """So many label maps and ten times as many (appendix D.1, Fig. D.3)."""
    labels = LabelMapConfig(("medium",), side=settings.side)
    variants = [Variant(f"{n} maps", labels, n) for n in (settings.maps, 10 * settings.maps)]
    return _study("label-maps", settings, variants, {(variants[0].name,): "100 and 1000 maps were comparable (D.1)"})


def _study(name: str, settings: PretrainingSettings, variants: Sequence[Variant], paper: Mapping[Any, str]) -> Study:
    runs = [
        StudyRun(f"{_plain(v.name)}_{seed}", {"variant": v.name, "seed": seed}, partial(_work, settings, v, seed),
            partial(_measure, settings))
        for v in variants
        for seed in range(settings.seeds)
    ]  # fmt: skip
    return Study(name, to_dict(settings), runs, partial(_report, settings, paper))


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.replace("*", "star"))


def _work(settings: PretrainingSettings, variant: Variant, seed: int, folder: Path) -> Iterator[Record]:
    bank = folder / "bank"
    make_bank(bank, variant.labels, variant.maps, seed)
    content = _merged({**settings.training, "banks": [str(bank)], "seed": seed}, variant.changes)
    config = from_dict(TrainingConfig, content, "training")
    place = folder / "training"
    yield from train(config, place, resume=(place / CONFIG).is_file())


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes, nested ones joined."""
    merged = dict(base)
    for key, value in changes.items():
        held = merged.get(key)
        merged[key] = _merged(held, value) if isinstance(held, dict) and isinstance(value, Mapping) else value
        if isinstance(merged[key], Mapping):
            merged[key] = dict(merged[key])
    return merged


def _measure(settings: PretrainingSettings, folder: Path) -> dict[str, Any]:
    """On every data set, and the linear alignment alone beside it."""
    network = load_model(folder / "training" / MODEL).network.eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found: dict[str, Any] = {}
    for judged in settings.judged_on:
        cases = open_dataset(judged.dataset, split=judged.part).cases[: judged.pairs]
        maker = PairMaker(ScanStore(_CACHE), judged.alignment)
        pairs = [maker.make(key) for key in listed_pairs(cases, judged.preset)]
        for suffix, tried in (("", network.to(device)), ("_linear", None)):
            measures = mean_measures(validate(tried, pairs, None, "auto", device))
            found.update({f"{judged.name}_{name}{suffix}": value for name, value in measures.items()})
    return found


def _report(settings: PretrainingSettings, paper: Mapping[Any, str], rows: Sequence[Row], folder: Path) -> None:
    words = {"dice": "Dice", "tre_mm": "TRE, mm", "folding_percent": "folding, %"}
    columns = {
        f"{judged.name}_{name}{suffix}": f"{judged.name}: {title}{', linear' if suffix else ''}"
        for judged in settings.judged_on
        for name, title in words.items()
        for suffix in ("", "_linear")
        if not (suffix and name == "folding_percent")
    }
    table = grouped(rows, ("variant",), list(columns))
    shown = {name: title for name, title in columns.items() if any(name in row for row in table)}
    text = markdown(table, {"variant": "synthetic pairs", "runs": "runs", **shown}, paper)
    write_tables(folder, rows, f"{text}\n\nThe paper's figures: median keypoint error in lung CT (NLST).")
