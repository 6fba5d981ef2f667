"""Segmentations as 3D Slicer saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.io.images import Image, to_sitk


def write_segmentation(path: Path, image: Image, layers: np.ndarray, entries: list[tuple[str, Any, Any]]) -> Path:
    """A segmentation as Slicer saves it: layers `(L, z, y, x)`, and of each segment name, value and layer, if any."""
    grid = image.grid
    itk = [to_sitk(Image(layer.astype(np.uint8), grid)) for layer in layers]
    itk_image = itk[0] if len(itk) == 1 else sitk.Compose(itk)
    for k, (name, value, layer) in enumerate(entries):
        for key, said in (("ID", f"Segment_{k + 1}"), ("Name", name), ("LabelValue", value), ("Layer", layer)):
            if said is not None:
                itk_image.SetMetaData(f"Segment{k}_{key}", str(said))
    itk_image.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    sitk.WriteImage(itk_image, str(path), useCompression=True)
    return path
