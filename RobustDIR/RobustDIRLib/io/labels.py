"""Label maps and masks: whole numbers as files round them, probabilities as masks, segments with their names."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io import dicom_segments, seg_nrrd
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.formats import META, NIFTI, NRRD, VolumeFile, recognised
from RobustDIRLib.io.images import Image, scalar_image
from RobustDIRLib.io.segments import Segments

_log = logging.getLogger(__name__)

# A voxel this near to a whole number is one: programs that store label maps as floats come that near.
_WHOLE = 1e-3
_MOST_CHANNELS = 254  # of which a label map of 8 bits is made
_COARSEST_STEP = 0.5  # of a file's scaling that still tells whole numbers apart


@dataclass(frozen=True)
class LabelMap(Image):
    """A label map that may know what its numbers mean.

    Attributes:
        names: Of structures by their number; empty where the file has none.
        source: The file; empty if it was made in memory.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    source: str = ""


def read_labels(path: PathLike) -> LabelMap:
    """Reads a label map: a volume of whole numbers, one-hot channels, or a segmentation of Slicer or DICOM.

    Args:
        path: What `io.images.read_image` reads, `.seg.nrrd`, DICOM SEG, or a folder with one of these.
    Returns:
        Array of the file's integer type up to 32 bits; int32 where the file holds whole floats or wider integers.
        Numbers of segments are those of the file. It lies on its own grid.
    Raises:
        InputError: If it cannot be read, a voxel is no whole number of 32 bits, or segments overlap.
    """
    with _spoken_of("label map"):
        file = recognised(path)
        segments = _segments_in(file)
        return _without_segments(file) if segments is None else _one_map(file.path, segments)


def read_label_maps(path: PathLike) -> tuple[LabelMap, ...]:
    """Reads a label map as `read_labels` does; where segments overlap, one map of each of the file's layers.

    Raises:
        InputError: If it cannot be read, or a voxel is no whole number of 32 bits.
    """
    with _spoken_of("label map"):
        file = recognised(path)
        segments = _segments_in(file)
        if segments is None:
            return (_without_segments(file),)
        if not segments.overlap():
            return (_one_map(file.path, segments),)
        return tuple(LabelMap(layer, segments.grid, segments.names, str(file.path)) for layer in segments.layers)


def _one_map(path: Path, segments: Segments) -> LabelMap:
    return LabelMap(segments.one_map(path), segments.grid, segments.names, str(path))


def _without_segments(file: VolumeFile) -> LabelMap:
    """A label map of whole numbers or of channels."""
    path = file.path
    channels = _channels(file)
    if channels is not None:
        return LabelMap(_from_channels(path, channels[0]), channels[1], source=str(path))
    image = scalar_image(file)
    return LabelMap(whole_numbers(str(path), image.array, _step(file)), image.grid, source=str(path))


def read_mask(path: PathLike) -> Image:
    """Reads a mask: inside is what lies above 0, or in any segment of a segmentation.

    Values that are whole but for a file's rounding are taken as whole; others, as of probabilities, are inside where
    they lie above 0, with a word in the log. NaN is outside.

    Returns:
        Array uint8, 1 inside, on the file's own grid.
    Raises:
        InputError: If it cannot be read as a 3D volume with one value a voxel, or a voxel is infinite.
    """
    with _spoken_of("mask"):
        file = recognised(path)
        segments = _segments_in(file)
        image = scalar_image(file) if segments is None else Image(segments.union(), segments.grid)
    return Image(above_zero(str(file.path), image.array, _step(file)), image.grid)


def above_zero(name: str, array: NDArray[Any], step: float = 0.0) -> NDArray[np.uint8]:
    """Where a mask is above 0, once what rounding made of 0 is 0 again; tells of values that masks seldom have.

    Args:
        name: Of the mask or its file, for messages.
        array: Shape `(z, y, x)`, any real type or boolean.
        step: Difference of neighbouring values that a file scales whole numbers to; 0 if it does not.
    Raises:
        InputError: If a voxel is infinite.
    """
    if np.issubdtype(array.dtype, np.floating):
        array = _without_rounding(name, array, step)
    if array.min() < 0:  # as in maps of distances, of which some are negative inside
        _log.warning("the mask %s holds values below 0; they count as outside, and all above 0 is inside.", name)
    return np.asarray(array > 0, dtype=np.uint8)


def _without_rounding(name: str, array: NDArray[Any], step: float) -> NDArray[Any]:
    """A mask of floats whose zeros are zeros; tells of values that are no whole numbers."""
    nan = int(np.count_nonzero(np.isnan(array)))
    if nan:
        _log.warning("the mask %s has %d voxels that are NaN; they count as outside.", name, nan)
        array = np.where(np.isnan(array), 0, array)
    infinite = int(np.count_nonzero(np.isinf(array)))
    if infinite:
        raise InputError(f"{name} is no mask: {infinite} voxels are infinite; replace them by a number.")
    whole = np.rint(array)
    near = np.abs(array - whole) <= _tolerance(step, array)
    if near.all():
        return np.asarray(whole)
    # Of probabilities only what rounding of the file's scaling makes of 0 is 0.
    array = np.where(np.abs(array) <= _rounding_of_zero(step, array), 0, array)
    share = 100 * np.count_nonzero(array > 0) / array.size
    _log.warning(
        "the mask %s holds fractions, %.3g to %.3g, such as probabilities; all above 0 is inside (%.0f %% of it).",
        name,
        array.min(),
        array.max(),
        share,
    )
    return array


def whole_numbers(name: str, array: NDArray[Any], step: float = 0.0) -> NDArray[Any]:
    """The whole numbers of a label map, in a type of at most 32 bits.

    Args:
        name: Of the map or its file, for messages.
        array: Shape `(z, y, x)`.
        step: Difference of neighbouring values that a file scales whole numbers to; 0 if it does not.
    Raises:
        InputError: If a voxel is no whole number, or needs more than 32 bits.
    """
    if np.issubdtype(array.dtype, np.integer) and np.can_cast(array.dtype, np.int32):
        return array
    if np.issubdtype(array.dtype, np.floating):
        with np.errstate(invalid="ignore"):
            whole = np.rint(array)
            odd = int(np.count_nonzero(~(np.abs(array - whole) <= _tolerance(step, array))))
        if odd:
            raise InputError(
                f"{name} is no label map: {odd} of {array.size} voxels are not whole numbers; give labels that were "
                "resampled by nearest neighbour, or the image where an image is asked for."
            )
        array = whole
    limits = np.iinfo(np.int32)
    if array.min() < limits.min or array.max() > limits.max:
        raise InputError(f"{name} has labels beyond 32 bits ({array.min()} to {array.max()}); renumber them.")
    return array.astype(np.int32)


def _tolerance(step: float, array: NDArray[Any]) -> Any:
    """How far from a whole number a voxel may lie: by the float's precision, or by the steps of the file's scaling."""
    scaling = step / 2 * (1 + 1e-3) if step < _COARSEST_STEP else 0.0
    return np.maximum(max(_WHOLE, scaling), 4 * np.finfo(array.dtype).eps * np.abs(array))


def _rounding_of_zero(step: float, array: NDArray[Any]) -> float:
    """What a file's scaling may make of 0: less than half a step, and no more than the float's own precision."""
    return min(step / 2, 1e-5 * float(np.abs(array).max(initial=0))) if step else 0.0


def _step(file: VolumeFile) -> float:
    """Difference of neighbouring values that a file scales whole numbers to; 0 if it does not."""
    return 0.0 if file.is_dicom else file.header.step


@contextmanager
def _spoken_of(what: str) -> Iterator[None]:
    """Turns refusals of an image into refusals of what was given."""
    try:
        yield
    except InputError as error:
        words = str(error).replace("as an image", f"as a {what}").replace("give an image", f"give a {what}")
        raise InputError(words) from error


def _segments_in(file: VolumeFile) -> Segments | None:
    """The segments of a Slicer or DICOM segmentation; None for anything else."""
    return dicom_segments.read_segments(file) or seg_nrrd.read_segments(file)


def _channels(file: VolumeFile) -> tuple[NDArray[Any], Grid] | None:
    """Several channels `(C, z, y, x)` of 0 and 1 and their grid; None if the file is no such thing."""
    if file.kind not in (NIFTI, NRRD, META) or file.header.values == 1:
        return None
    array, grid = file.header.read()
    channels = np.moveaxis(array, -1, 0) if array.ndim == 4 and array.dtype.names is None else array[None]
    return (channels, grid) if channels.ndim == 4 and np.isin(channels, (0, 1)).all() else None


def _from_channels(path: Path, channels: NDArray[Any]) -> NDArray[np.uint8]:
    """The label map of one-hot channels: the first is background where every voxel is in one of them."""
    together = channels.sum(axis=0)
    if len(channels) > _MOST_CHANNELS:
        raise InputError(
            f"{path} has {len(channels)} channels, and at most {_MOST_CHANNELS} are read as labels; give a label map."
        )
    if together.max() > 1:
        raise InputError(
            f"{path} has {len(channels)} channels, of which some overlap; give each as a label map of its own."
        )
    first = 0 if (together == 1).all() else 1
    _log.warning(
        "%s holds %d channels; read as a label map in which they are %d to %d%s.",
        path,
        len(channels),
        first,
        first + len(channels) - 1,
        " (the first is the background)" if first == 0 else "",
    )
    return np.where(together > 0, channels.argmax(axis=0) + first, 0).astype(np.uint8)
