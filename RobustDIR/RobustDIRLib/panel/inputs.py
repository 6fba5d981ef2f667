"""What the panel's inputs hold, checked, as a registration, or the measurement of structures, takes it.

Every refusal is one sentence for the panel. Nothing in the scene is changed. Voxels that must be resampled, which takes
seconds, are left to steps that the caller does when there is time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import slicer
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.mrml.nodes import SegmentationNode, TransformNode, VolumeNode
from RobustDIRLib.panel.landmark_inputs import outside_warnings
from RobustDIRLib.panel.parameters import Parameters
from RobustDIRLib.panel.request import ChosenMethod, RegistrationRequest
from RobustDIRLib.panelparts.devices import DEVICES, offered
from RobustDIRLib.panelparts.usable import refuse_unusable
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.values import Image

Steps = list[Iterator[None]]
VectorsRAS = tuple[NDArray[np.floating], Grid]  # `(z, y, x, 3)`, mm, components in RAS as MRML holds them


def request(parameters: Parameters) -> RegistrationRequest:
    """All that a registration of the panel's parameters is given.

    Raises:
        InputError: If something is missing or cannot be used; the sentence names it. So do the request's steps.
    """
    fixed, moving = _both(parameters)
    for node in (fixed, moving):
        refuse_unusable(node)
    steps: Steps = []
    return RegistrationRequest(
        fixed=_volume(fixed, steps),
        moving=_volume(moving, steps),
        method=_method(parameters),
        fixed_mask=_mask(parameters, "fixed", steps),
        moving_mask=_mask(parameters, "moving", steps),
        steps=chain.from_iterable(steps),
    )


def warnings(parameters: Parameters) -> list[str]:
    """What can be registered but is hardly meant, a sentence each; both volumes are selected."""
    fixed, moving = parameters.fixedVolume, parameters.movingVolume
    found = []
    if fixed is not None and fixed is moving:
        name = fixed.GetName()
        found.append(
            _("Fixed and moving volume are the same, “{name}”: there will be no deformation to find.").format(name=name)
        )
    patients = [mrml.patient_of(node) for node in (fixed, moving)]
    if all(patients) and patients[0] != patients[1]:
        found.append(
            _("The volumes are of two patients: fixed of {fixed}, moving of {moving}.").format(
                fixed=patients[0], moving=patients[1]
            )
        )
    return [*found, *filter(None, [of_masks(parameters)]), *outside_warnings(parameters)]


def of_masks(parameters: Parameters) -> str:
    """What is hardly meant about the masks, one sentence; empty if there is nothing to say."""
    masks = " and ".join(_masks(parameters))
    if masks and parameters.alignment == "none" and parameters.quality == "fast" and not parameters.blankOutside:
        return _(
            "The {masks} mask does nothing: without a pre-alignment there is none to guide, nothing "
            "is refined inside it, and the network sees whole volumes unless it is to see nothing "
            "outside the masks."
        ).format(masks=masks)
    if parameters.blankOutside and not masks:
        return _("The network can be shown nothing outside the masks only where a mask is selected; there is none.")
    return ""


def of_device(parameters: Parameters) -> str:
    """That the chosen device is not here, as one sentence: a scene may come from another computer; empty if it is."""
    if parameters.device in offered():
        return ""
    return _("The device “{device}” is not here: choose another under Method.").format(
        device=DEVICES.get(parameters.device, parameters.device)
    )


def _masks(parameters: Parameters) -> list[str]:
    """Sides that have a mask."""
    return [side for side in ("fixed", "moving") if getattr(parameters, f"{side}Mask") is not None]


def grid_of(node: VolumeNode | None) -> Grid:
    """Where a volume lies in the world, without its voxels.

    Raises:
        InputError: If there is no volume, or it cannot be registered.
    """
    if node is None:
        raise InputError(_("Select a fixed and a moving volume under Inputs."))
    refuse_unusable(node)
    return mrml.grid_of_volume(node)


def _both(parameters: Parameters) -> tuple[VolumeNode, VolumeNode]:
    fixed, moving = parameters.fixedVolume, parameters.movingVolume
    if fixed is None and moving is None:
        raise InputError(_("No volumes are selected: choose a fixed and a moving volume under Inputs."))
    if fixed is None or moving is None:
        lacking = "fixed" if fixed is None else "moving"
        raise InputError(_("No {lacking} volume is selected: choose one under Inputs.").format(lacking=lacking))
    return fixed, moving


def _volume(node: VolumeNode, steps: Steps) -> Image:
    volume, filling = mrml.begin_volume(node)
    steps.append(filling)
    return volume


def _method(parameters: Parameters) -> ChosenMethod:
    """The method, its model there to be read."""
    from RobustDIRLib.model_store import find_model

    find_model(parameters.model)
    if absent := of_device(parameters):
        raise InputError(absent)
    p = parameters
    return ChosenMethod(
        p.model, p.preset, p.alignment, p.device, blank_outside=p.blankOutside and bool(_masks(p)), quality=p.quality
    )


def _mask(parameters: Parameters, side: str, steps: Steps) -> Image | None:
    node = getattr(parameters, f"{side}Mask")
    if node is None:
        return None
    segment = segment_of(node, getattr(parameters, f"{side}MaskSegment"))
    if segment is None:
        raise InputError(
            _("The {side} mask “{node}” has no segments: draw one, or select no mask.").format(
                side=side, node=node.GetName()
            )
        )
    grid = mrml.grid_of_volume(getattr(parameters, f"{side}Volume"))
    mask, filling = mrml.begin_labels(node, grid, [segment])
    name = segments(node)[segment]
    problem = _("The {side} mask “{name}” covers no voxel of the {side} volume: draw it there, or use none.").format(
        side=side, name=name
    )
    steps += [filling, _refuse_empty(mask, problem)]
    return mask


def _refuse_empty(mask: Image, problem: str) -> Iterator[None]:
    if not mask.array.any():
        raise InputError(problem)
    yield


def segments(node: SegmentationNode | None) -> dict[str, str]:
    """Names of a segmentation's segments by their IDs."""
    if node is None:
        return {}
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(k) for k in range(segmentation.GetNumberOfSegments())]
    return {segment: found.GetName() for segment in ids if (found := segmentation.GetSegment(segment)) is not None}


def segment_of(node: SegmentationNode | None, chosen: str) -> str | None:
    """The chosen segment if it is still there, else the first; None if there is none."""
    known = list(segments(node))
    return chosen if chosen in known else (known[0] if known else None)


def field_of(node: TransformNode) -> VectorsRAS:
    """A grid transform's displacements from fixed to moving points, `(z, y, x, 3)`, mm, RAS components.

    Raises:
        InputError: If the node holds no grid.
    """
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False, True)
    image = None if grid is None else grid.GetDisplacementGrid()
    if grid is None or image is None:
        raise InputError(
            _("“{node}” is no grid transform of a registration: register again.").format(node=node.GetName())
        )
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*image.GetDimensions()[::-1], 3)
    matrix = grid.GetGridDirectionMatrix()
    direction = np.eye(3) if matrix is None else slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    lps = swap_lps_ras(direction.T).T
    origin = swap_lps_ras(image.GetOrigin())
    return array, Grid(array.shape[:3], image.GetSpacing(), tuple(origin), tuple(map(tuple, lps)))


def structures(parameters: Parameters) -> tuple[tuple[Image, Image, VectorsRAS, dict[int, str]], Iterator[None]]:
    """What the measurement of structures takes: label maps of both volumes, the field, and the structures' names.

    Structures are paired by name.

    Returns:
        These, and the steps after which the label maps are filled.
    Raises:
        InputError: If a segmentation or the transform is missing, or no name is in both.
    """
    for side in ("fixed", "moving"):
        node = getattr(parameters, f"{side}Segmentation")
        if node is None or not segments(node):
            raise InputError(_("Select a segmentation of the {side} volume that has segments.").format(side=side))
    if parameters.transformNode is None:
        raise InputError(_("There is no transform: register first, with the transform ticked under Outputs."))
    _both(parameters)
    steps: Steps = []
    labels = _paired_labels(parameters, steps)
    if labels is None:
        raise InputError(_("The two segmentations share no name: give the same structure the same name in both."))
    names = {number: name for name, number in _numbers(parameters).items()}
    return (*labels, field_of(parameters.transformNode), names), chain.from_iterable(steps)


def _numbers(parameters: Parameters) -> dict[str, int]:
    """Labels of the structures' names: the same in both segmentations."""
    nodes = parameters.fixedSegmentation, parameters.movingSegmentation
    names = dict.fromkeys(name for node in nodes for name in segments(node).values())
    return {name: number for number, name in enumerate(names, start=1)}


def _paired_labels(parameters: Parameters, steps: Steps) -> tuple[Image, Image] | None:
    """Label maps of both segmentations; None if they share no name."""
    fixed, moving = (segments(getattr(parameters, f"{side}Segmentation")) for side in ("fixed", "moving"))
    if not set(fixed.values()) & set(moving.values()):
        return None
    return _labels(parameters, "fixed", steps), _labels(parameters, "moving", steps)


def _labels(parameters: Parameters, side: str, steps: Steps) -> Image:
    node, numbers = getattr(parameters, f"{side}Segmentation"), _numbers(parameters)
    labels = {segment: numbers[name] for segment, name in segments(node).items()}
    grid = mrml.grid_of_volume(getattr(parameters, f"{side}Volume"))
    volume, filling = mrml.begin_labels(node, grid, labels)
    steps.append(filling)
    return volume
