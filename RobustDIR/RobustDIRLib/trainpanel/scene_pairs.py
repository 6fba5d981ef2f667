"""Pairs of the scene: kept with the parameters, and written out as a data set, whole or not at all.

The nodes are references of the parameter node, so that they are still the same ones after the scene was saved, loaded
or imported. What is written lies in the world, with all transforms above a node; voxels keep their type.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import make_folder, write_json
from RobustDIRLib.panelparts.exchange import write_in_steps
from RobustDIRLib.panelparts.usable import refuse_unusable
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import DATA_SET
from RobustDIRLib.trainpanel.dataset_files import tame
from RobustDIRLib.values import Image

ROLES = (
    "fixed", "moving", "fixed_segmentation", "moving_segmentation", "fixed_landmarks", "moving_landmarks"
)  # fmt: skip
NAMES_FILE = "label_names.json"


@dataclass
class ScenePair:
    """One pair.

    Attributes:
        subject: Whose scans they are.
        nodes: By role; a role without a node is not there.
    """

    subject: str
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For people."""
        return " – ".join(self.nodes[role].GetName() if role in self.nodes else "?" for role in ("fixed", "moving"))


def pairs_in(parameters: Any) -> list[ScenePair]:
    """The pairs of a parameter node; nodes that were deleted are missing from them."""
    node, found = parameters.parameterNode, []
    for number, subject in enumerate(_subjects(parameters)):
        held = {role: node.GetNodeReference(_reference(number, role)) for role in ROLES}
        found.append(ScenePair(subject, {role: each for role, each in held.items() if each is not None}))
    return found


def put_pairs(parameters: Any, pairs: Sequence[ScenePair]) -> None:
    """Keep pairs in a parameter node, instead of those that are there."""
    node = parameters.parameterNode
    for number in range(max(len(pairs), len(_subjects(parameters)))):
        held = pairs[number].nodes if number < len(pairs) else {}
        for role in ROLES:
            if role in held:
                node.SetNodeReferenceID(_reference(number, role), held[role].GetID())
            else:
                node.RemoveNodeReferenceIDs(_reference(number, role))
    parameters.scenePairs = json.dumps([pair.subject for pair in pairs])


def _subjects(parameters: Any) -> list[str]:
    try:
        held = json.loads(parameters.scenePairs or "[]")
    except ValueError:
        return []
    return [str(name) for name in held] if isinstance(held, list) else []


def _reference(number: int, role: str) -> str:
    return f"scenePair{number}.{role}"


def checked_pair(nodes: dict[str, Any], subject: str, number: int) -> ScenePair:
    """A pair that can be written.

    Args:
        nodes: By role; None where nothing is selected.
        subject: Whose; if empty, the patient of DICOM, else a number.
        number: Of the pair, for that.
    Raises:
        InputError: One sentence: what is missing or does not fit.
    """
    pair = ScenePair(subject.strip(), {role: node for role, node in nodes.items() if node is not None})
    for role in ("fixed", "moving"):
        if role not in pair.nodes:
            raise InputError(_("Select the {role} volume of the pair.").format(role=role))
        refuse_unusable(pair.nodes[role])
    if pair.nodes["fixed"] is pair.nodes["moving"]:
        raise InputError(_("The fixed and the moving volume are the same: select two."))
    _refuse_landmarks(pair)
    _refuse_segmentations(pair)
    patients = [mrml.patient_of(pair.nodes[role]) for role in ("fixed", "moving")]
    if not pair.subject:
        if all(patients) and patients[0] != patients[1]:
            raise InputError(
                _("The volumes are of two patients, {first} and {second}: say whose pair it is.").format(
                    first=patients[0], second=patients[1]
                )
            )
        pair.subject = next(filter(None, patients), _("patient {number}").format(number=number))
    return pair


def _refuse_landmarks(pair: ScenePair) -> None:
    given = [role for role in ("fixed_landmarks", "moving_landmarks") if role in pair.nodes]
    if len(given) == 1:
        raise InputError(_("Select landmarks of both volumes, or of none: they are learnt from and measured in pairs."))
    counts = [len(mrml.points_from_markups(pair.nodes[role]).names) for role in given]
    if len(set(counts)) > 1:
        raise InputError(
            _("There are {fixed} fixed landmarks and {moving} moving ones: each needs its counterpart.").format(
                fixed=counts[0], moving=counts[1]
            )
        )


def _refuse_segmentations(pair: ScenePair) -> None:
    given = [pair.nodes[role] for role in ("fixed_segmentation", "moving_segmentation") if role in pair.nodes]
    if len(given) == 1:
        raise InputError(_("Select segmentations of both volumes, or of none: structures are compared in pairs."))
    names = [_names_in(node) for node in given]
    if names and not set(names[0]) & set(names[1]):
        raise InputError(
            _("“{fixed}” and “{moving}” have no segment of one name: structures are matched by name.").format(
                fixed=given[0].GetName(), moving=given[1].GetName()
            )
        )


def _names_in(node: Any) -> list[str]:
    """Names of a segmentation's segments, each another one."""
    names = list(mrml.segments_of(node).values())
    if not all(name.strip() for name in names):
        raise InputError(
            _("“{segmentation}” has a segment without a name: give it one.").format(segmentation=node.GetName())
        )
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(
            _("“{segmentation}” has two segments called {twice}: give each its own name.").format(
                segmentation=node.GetName(), twice=twice
            )
        )
    return names


class SceneWriting:
    """Writes pairs as a data set.

    Args:
        pairs: Checked ones.
        folder: Of the data set; must not be there.
        preset: Of all cases.
    Raises:
        InputError: If there are no pairs, one lacks a volume or no longer fits, or the folder is there.
    """

    def __init__(self, pairs: Sequence[ScenePair], folder: Path, preset: str) -> None:
        if not pairs:
            raise InputError(_("No pair is in the list: select a fixed and a moving volume and add the pair."))
        if folder.exists():
            raise InputError(_("{folder} is there already: give the data set another name.").format(folder=folder))
        for number, pair in enumerate(pairs, 1):
            if not {"fixed", "moving"} <= set(pair.nodes):
                raise InputError(
                    _("A volume of {patient}'s pair is no longer in the scene: remove the pair.").format(
                        patient=pair.subject
                    )
                )
            checked_pair(pair.nodes, pair.subject, number)  # anew: nodes may have been changed since
        self.folder, self._pairs, self._preset = folder, pairs, preset
        self._temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        self._written: dict[tuple[Any, ...], str] = {}
        self._numbers = _label_numbers(pairs)

    def steps(self) -> Iterator[None]:
        """Write, a few megabytes between two yields; the folder is there at the end, or not at all.

        Raises:
            InputError: If segments overlap, which a label map cannot hold, or the disk takes no more.
        """
        make_folder(self._temporary)
        try:
            cases = []
            for number, pair in enumerate(self._pairs, 1):
                case: dict[str, Any] = {"name": f"{number:03d}_{tame(pair.subject)}", "subject": pair.subject}
                for side in ("fixed", "moving"):
                    case |= yield from self._write_side(pair, side)
                cases.append(case)
            write_json(self._temporary / NAMES_FILE, {number: name for name, number in self._numbers.items()})
            settings = {"name": self.folder.name, "preset": self._preset, "cases": cases}
            write_json(self._temporary / DATA_SET, settings)
            self._put_in_place()
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _put_in_place(self) -> None:
        try:
            os.rename(self._temporary, self.folder)
        except OSError as error:
            raise InputError(
                _("{folder} cannot be made ({reason}): give another name.").format(
                    folder=self.folder, reason=error.strerror
                )
            ) from error

    def _write_side(self, pair: ScenePair, side: str) -> Generator[None, None, dict[str, str]]:
        volume, segmentation = pair.nodes[side], pair.nodes.get(f"{side}_segmentation")
        named = {side: (yield from self._volume(volume))}
        if segmentation is not None:
            named[f"{side}_labels"] = yield from self._labels(segmentation, volume)
        if f"{side}_landmarks" in pair.nodes:
            named[f"{side}_landmarks"] = self._landmarks(pair.nodes[f"{side}_landmarks"])
        return named

    def _name(self, kind: str, node: Any, ending: str) -> str:
        return f"{kind}/{len(self._written) + 1:03d}_{tame(node.GetName())}{ending}"

    def _volume(self, node: Any) -> Generator[None, None, str]:
        """A volume of several pairs is written once."""
        key = (node.GetID(),)
        if key not in self._written:
            volume, filling = mrml.begin_volume(node)
            yield from filling
            yield from self._write(key, self._name("images", node, ".mha"), volume)
        return self._written[key]

    def _labels(self, node: Any, volume: Any) -> Generator[None, None, str]:
        key = node.GetID(), volume.GetID()
        if key not in self._written:
            numbers = {each: self._numbers[name] for each, name in mrml.segments_of(node).items()}
            labels, filling = mrml.begin_labels(node, mrml.grid_of_volume(volume), numbers)
            yield from filling
            if mrml.may_overlap(node):
                yield from _refuse_overlap(node, numbers, labels)
            yield from self._write(key, self._name("labels", node, ".mha"), labels)
        return self._written[key]

    def _write(self, key: tuple[Any, ...], name: str, volume: Image) -> Iterator[None]:
        path = self._temporary / name
        make_folder(path.parent)
        yield from write_in_steps(path, volume.array, volume.grid)
        self._written[key] = name

    def _landmarks(self, node: Any) -> str:
        from RobustDIRLib.io.landmarks import write_landmarks

        key = (node.GetID(),)
        if key not in self._written:
            name = self._name("landmarks", node, ".csv")
            make_folder((self._temporary / name).parent)
            write_landmarks(self._temporary / name, mrml.points_from_markups(node))
            self._written[key] = name
        return self._written[key]


def _label_numbers(pairs: Sequence[ScenePair]) -> dict[str, int]:
    """A number for every name of a segment: the same structure has the same one in all label maps."""
    nodes = [pair.nodes.get(f"{side}_segmentation") for pair in pairs for side in ("fixed", "moving")]
    names = [name for node in nodes if node is not None for name in mrml.segments_of(node).values()]
    return {name: number for number, name in enumerate(dict.fromkeys(names), 1)}


def _refuse_overlap(node: Any, numbers: dict[str, int], together: Image) -> Iterator[None]:
    """Every segment alone must be what it is among the others: where two overlap, one has lost voxels."""
    names = mrml.segments_of(node)
    for each, number in numbers.items():
        alone, filling = mrml.begin_labels(node, together.grid, {each: number})
        yield from filling
        for own, held in zip(alone.array, together.array, strict=True):
            lost = held[(own > 0) & (held != number)]
            if lost.size:
                other = next(name for name, n in numbers.items() if n == int(lost[0]))
                raise InputError(
                    _(
                        "“{first}” and “{second}” of “{segmentation}” overlap, and a label map holds "
                        "one structure a voxel: part them in the Segment Editor, or use two segmentations."
                    ).format(first=names[each], second=names[other], segmentation=node.GetName())
                )
            yield
