"""Cases of a data set by what they are for, by subject, with a check that nobody is on two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from RobustDIRLib.configuration import from_dict, read_json
from RobustDIRLib.datasets.building import Scan
from RobustDIRLib.datasets.cases import Case, Dataset
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import scans_of
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import SPLITS, FinetuneConfig, SplitConfig
from RobustDIRLib.io.files import write_json
from RobustDIRLib.io.input_files import files_of, input_sha256
from RobustDIRLib.run_files import SPLIT
from RobustDIRLib.synthesis.random import generator


@dataclass(frozen=True)
class Part:
    """What of a data set is for one purpose.

    Attributes:
        subjects: Whose scans, in the order in which they were listed or drawn.
        cases: The data set's own pairs of these subjects alone.
        scans: All their scans, each once.
    """

    subjects: tuple[str, ...]
    cases: tuple[Case, ...]
    scans: tuple[Scan, ...]


def split_dataset(dataset: Dataset, config: SplitConfig) -> dict[str, Part]:
    """The parts `train`, `validation` and `test` of a data set.

    Raises:
        InputError: If a listed subject is not in the data set or on two sides, one image is there under the names of
            subjects on two sides, whose names differ in upper and lower case alone, or nobody is left to learn from.
    """
    scans = scans_of(dataset.cases)
    subjects = list(dict.fromkeys(scan.subject for scan in scans))
    chosen = _listed(dataset, subjects, config) if config.listed else _drawn(subjects, config)
    if config.limit:
        order = torch.randperm(len(chosen["train"]), generator=generator(config.seed, 1)).tolist()
        chosen["train"] = [chosen["train"][i] for i in order[: config.limit]]
    if not chosen["train"]:
        raise InputError(f"{dataset.folder}: nobody is left to learn from; give the part train more subjects.")
    _refuse_one_name(chosen)
    _refuse_shared_images(scans, chosen)
    return {name: _part(dataset.cases, scans, chosen[name]) for name in SPLITS}


def keep_people(config: FinetuneConfig, folder: Path, runs: str) -> FinetuneConfig:
    """Settings with everybody named, so that all runs of a folder are of the same people, whoever joins the data set.

    Args:
        config: Of one of them.
        folder: Of all; remembers the people of the first run, whose settings are to be given before it begins.
        runs: Pattern of their folders in it: where some of before this was kept drew for themselves, all do.
    """
    if (folder / SPLIT).exists():
        return replace(config, split=kept_people(folder))
    if any(folder.glob(runs)):
        return config
    parts = split_dataset(open_dataset(config.dataset, config.kind, config.part), config.split)
    write_json(folder / SPLIT, {name: list(part.subjects) for name, part in parts.items()})
    return replace(config, split=kept_people(folder))


def kept_people(folder: Path) -> SplitConfig:
    """The people of each part, as `keep_people` has named them.

    Raises:
        InputError: If the file is missing or damaged.
    """
    return from_dict(SplitConfig, read_json(folder / SPLIT), str(folder / SPLIT))


def _listed(dataset: Dataset, subjects: Sequence[str], config: SplitConfig) -> dict[str, list[str]]:
    chosen = {name: list(dict.fromkeys(getattr(config, name))) for name in SPLITS}
    unknown = sorted({s for part in chosen.values() for s in part} - set(subjects))
    if unknown:
        raise InputError(
            f"split: {dataset.folder} has no subject {', '.join(unknown[:5])}; `robustdir dataset check` lists them."
        )
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        if both := sorted(set(chosen[first]) & set(chosen[second])):
            raise InputError(f"split: {both[0]} is in {first} and in {second}; leave each subject in one part.")
    return chosen


def _drawn(subjects: Sequence[str], config: SplitConfig) -> dict[str, list[str]]:
    """Subjects by the shares; at least two for each part whose share is not 0, as two people make a pair, or one."""
    order = torch.randperm(len(subjects), generator=generator(config.seed, 0)).tolist()
    drawn = [subjects[i] for i in order]
    counts = [int(round(share * len(drawn))) for share in config.shares[1:]]
    fewest = 2 if len(drawn) >= 6 else 1
    counts = [max(n, fewest) if share > 0 else 0 for n, share in zip(counts, config.shares[1:], strict=True)]
    validation, test = (n if len(drawn) > 2 else 0 for n in counts)
    rest = len(drawn) - validation - test
    wanted = rest if sum(config.shares) > 1 - 1e-9 else int(round(config.shares[0] * len(drawn)))
    taught = max(min(rest, wanted), 1)
    ends = (taught, taught + validation, taught + validation + test)
    return {"train": drawn[: ends[0]], "validation": drawn[ends[0] : ends[1]], "test": drawn[ends[1] : ends[2]]}


def _refuse_one_name(chosen: Mapping[str, Sequence[str]]) -> None:
    """A person whose name is written in two ways must not be on two sides."""
    seen: dict[str, tuple[str, str]] = {}
    for name, subjects in chosen.items():
        for subject in subjects:
            first, side = seen.setdefault(subject.casefold(), (subject, name))
            if side != name:
                raise InputError(
                    f"split: {first} is in {side} and {subject} in {name}; if they are one person, write the name one "
                    "way, else make the names differ in more than upper and lower case."
                )


def _refuse_shared_images(scans: Sequence[Scan], chosen: Mapping[str, Sequence[str]]) -> None:
    """Two files of one content are one scan, whatever their names: it must not be on two sides.

    Only files of one size are compared by their checksums, so that large data sets open quickly.
    """
    side = {subject: name for name, subjects in chosen.items() for subject in subjects}
    sizes: dict[int, list[Scan]] = {}
    for scan in scans:
        if scan.subject in side and scan.image.path.is_file():
            sizes.setdefault(_voxels(scan).stat().st_size, []).append(scan)
    for alike in sizes.values():
        if len({side[scan.subject] for scan in alike}) < 2:
            continue
        seen: dict[str, Scan] = {}
        for scan in alike:
            first = seen.setdefault(input_sha256(_voxels(scan)), scan)
            if side[first.subject] != side[scan.subject]:
                raise InputError(
                    f"split: {first.image.path} and {scan.image.path} are the same scan, one in "
                    f"{side[first.subject]} and one in {side[scan.subject]}; put both subjects into one part."
                )


def _voxels(scan: Scan) -> Path:
    """The file that tells one scan from another: voxels beside a header, which names them otherwise in a copy."""
    files = files_of(scan.image.path)
    return files[1] if len(files) == 2 else scan.image.path


def _part(cases: Sequence[Case], scans: Sequence[Scan], subjects: Sequence[str]) -> Part:
    here = set(subjects)
    return Part(
        tuple(subjects),
        tuple(case for case in cases if here.issuperset(case.subjects)),
        tuple(scan for scan in scans if scan.subject in here),
    )
