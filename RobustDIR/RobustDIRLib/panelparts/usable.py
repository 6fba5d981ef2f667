"""Which volumes of the scene can be registered, and learnt from."""

from __future__ import annotations

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import SMALLEST_SIDE
from RobustDIRLib.mrml.nodes import VolumeNode
from RobustDIRLib.panelparts.words import _


def refuse_unusable(node: VolumeNode) -> None:
    """Refuse a volume that cannot be registered or learnt from.

    Raises:
        InputError: One sentence that names it.
    """
    name = node.GetName()
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(
            _(
                "“{name}” is a label map, and registration needs an image: select the image it was drawn "
                "on, or convert it to a scalar volume in the Volumes module."
            ).format(name=name)
        )
    image = node.GetImageData()
    scalars = None if image is None else image.GetPointData().GetScalars()
    if image is None or scalars is None or not scalars.GetNumberOfTuples():
        raise InputError(_("“{name}” holds no voxels: load or create its image first.").format(name=name))
    if scalars.GetNumberOfComponents() != 1:
        raise InputError(
            _("“{name}” has {count} values a voxel, and registration needs one: convert it to a scalar volume.").format(
                name=name, count=scalars.GetNumberOfComponents()
            )
        )
    if min(image.GetDimensions()) < SMALLEST_SIDE:
        sides = " x ".join(str(n) for n in image.GetDimensions())
        raise InputError(
            _("“{name}” is {sides} voxels, and every side must have at least {side}: load the whole volume.").format(
                name=name, sides=sides, side=SMALLEST_SIDE
            )
        )
    mrml.grid_of_volume(node)  # refuses what a transform flattens
