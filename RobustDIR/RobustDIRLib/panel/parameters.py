"""What the panel remembers: the fields of the module's parameter node (`RobustDIR.py`), and what some keep as JSON."""

from __future__ import annotations

import json
from typing import Any, Protocol

from RobustDIRLib.mrml.nodes import MarkupsNode, SegmentationNode, TransformNode, VolumeNode


class Parameters(Protocol):
    """One set of parameters, as Slicer's parameter node wrapper gives it."""

    parameterNode: Any
    fixedVolume: VolumeNode | None
    movingVolume: VolumeNode | None
    fixedMask: SegmentationNode | None
    movingMask: SegmentationNode | None
    fixedMaskSegment: str
    movingMaskSegment: str
    blankOutside: bool
    fixedLandmarks: MarkupsNode | None
    movingLandmarks: MarkupsNode | None
    fixedSegmentation: SegmentationNode | None
    movingSegmentation: SegmentationNode | None
    model: str
    preset: str
    alignment: str
    quality: str
    device: str
    makeTransform: bool
    makeWarped: bool
    makeInverse: bool
    makeJacobian: bool
    transformNode: TransformNode | None
    warpedNode: VolumeNode | None
    inverseNode: TransformNode | None
    jacobianNode: VolumeNode | None
    compare: str
    blend: float
    deformation: str
    deformationSpacing: float
    deformationInSlices: bool
    deformationIn3D: bool
    deformationColoured: bool
    linkSlices: bool
    record: str
    structures: str
    chosenOutputs: str
    ofFixedVolume: VolumeNode | None
    ofMovingVolume: VolumeNode | None
    ofFixedMask: SegmentationNode | None
    ofMovingMask: SegmentationNode | None
    madeTransform: TransformNode | None
    madeWarped: VolumeNode | None
    madeInverse: TransformNode | None
    madeJacobian: VolumeNode | None
    tolerances: str


def kept_object(text: str) -> dict[str, Any]:
    """The JSON object that a field keeps; empty where it is damaged."""
    value = _kept(text)
    return value if isinstance(value, dict) else {}


def kept_list(text: str) -> list[str]:
    """The JSON list that a field keeps; empty where it is damaged."""
    value = _kept(text)
    return value if isinstance(value, list) else []


def _kept(text: str) -> object:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None
