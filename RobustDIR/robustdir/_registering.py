"""Registering two images, whatever they come as, and the result with what a notebook asks of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import nibabel as nib
import SimpleITK as sitk

from robustdir._arguments import checked
from robustdir._images import (
    ImageLike,
    LandmarksLike,
    as_image,
    as_label_maps,
    as_landmarks,
    as_mask,
    in_memory,
    to_nibabel,
    to_sitk,
)
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.label_pairs import all_paired
from RobustDIRLib.evaluation.pictures import registration_figure, write_figure
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.images import Image, read_image, resample
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.io.remarks import heard
from RobustDIRLib.model_file import LoadedModel
from RobustDIRLib.model_store import DEFAULT_MODEL, load_model
from RobustDIRLib.networks.network import Network
from RobustDIRLib.registration.journal import Progress
from RobustDIRLib.registration.register import register as register_images
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions, RegistrationResult
from RobustDIRLib.registration.saving import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from typing_extensions import Unpack

Part = Literal["warped", "jacobian", "displacement"]
_LABELS: tuple[Literal["moving_labels"], Literal["fixed_labels"]] = ("moving_labels", "fixed_labels")


class OptionSettings(TypedDict, total=False):
    """`RegistrationOptions`, each by its name."""

    preset: str
    alignment: str
    device: str
    threads: int | None
    memory_limit: int | None
    blank_outside: bool
    spacing: float | None
    quality: str
    refine: bool | None
    refine_seconds: float | None


_OPTIONS = frozenset(OptionSettings.__annotations__)


class ExtraSettings(TypedDict, total=False):
    """What may come with the two images: masks, landmarks, label maps."""

    fixed_mask: ImageLike | None
    moving_mask: ImageLike | None
    fixed_landmarks: LandmarksLike | None
    moving_landmarks: LandmarksLike | None
    moving_labels: ImageLike | Sequence[ImageLike]
    fixed_labels: ImageLike | Sequence[ImageLike]
    fill_nan: float | None


class RegisterSettings(OptionSettings, ExtraSettings, total=False):
    """All that `register` can be told by name."""


@dataclass(frozen=True, kw_only=True)
class Registration(RegistrationResult):
    """A registration and the two images it is of; everything else about images lies on the original fixed grid.

    Attributes:
        fixed: Image that stayed.
        moving: Image that was warped onto it.
    """

    fixed: Image
    moving: Image

    @checked
    def to_sitk(self, part: Part = "warped") -> sitk.Image:
        """The warped image, the Jacobian map or the displacement (vectors, mm, LPS) as SimpleITK holds it."""
        return to_sitk(self._part(part))

    @checked
    def to_nibabel(self, part: Part = "warped") -> nib.Nifti1Image:
        """The warped image, the Jacobian map or the displacement (intent 1006, mm, RAS) as nibabel holds it."""
        return to_nibabel(self._part(part))

    @checked
    def apply(self, image: ImageLike, *, nearest: bool = False) -> Image:
        """Another image or label map of the moving side, resampled once onto the fixed grid.

        Args:
            image: On any grid in the moving image's space.
            nearest: Nearest voxel, for label maps and masks; linear otherwise.
        Raises:
            InputError: If it is no image.
        """
        if isinstance(image, (str, os.PathLike)):
            given: Image = read_labels(image) if nearest else read_image(image)
        else:
            given = in_memory(image, "the image")
        return resample(given, self.fixed.grid, self.transform, nearest=nearest)

    @checked
    def plot(self, path: PathLike | None = None, *, title: str = "") -> Figure:
        """A picture: fixed, moving and warped in three planes, and the deformation grid.

        Args:
            path: Where to write it, too: `.png`, `.pdf` or `.svg`.
            title: One line above.
        Returns:
            A figure of matplotlib; a notebook shows it.
        Raises:
            InputError: If matplotlib is missing.
        """
        figure = registration_figure(self.fixed, self.moving, self.warped, self.displacement, title=title)
        if path is not None:
            write_figure(path, figure)
        return figure

    @checked
    def save(self, folder: PathLike, *, overwrite: bool = False) -> Path:
        """Write all files of the registration into a folder, as `robustdir.save` does."""
        return save(self, folder, overwrite=overwrite)

    def _part(self, part: Part) -> Image | DisplacementField:
        parts: dict[str, Image | DisplacementField] = {
            "warped": self.warped, "jacobian": self.jacobian, "displacement": self.displacement
        }  # fmt: skip
        if part not in parts:
            raise InputError(f"`part` is {part!r}; give one of {', '.join(parts)}.")
        return parts[part]


def register(
    fixed: ImageLike,
    moving: ImageLike,
    model: LoadedModel | Network | PathLike = DEFAULT_MODEL,
    *,
    progress: Progress | None = None,
    enough: Callable[[], bool] = bool,
    **settings: Unpack[RegisterSettings],
) -> Registration:
    """Register a moving image to a fixed one.

    Args:
        fixed: Image that stays: a file, a DICOM folder, or an image of RobustDIR, SimpleITK or nibabel.
        moving: Image to be warped onto it, likewise.
        model: A loaded model, the name or file of one, or a network of your own (`robustdir.Network`).
        progress: Told of every stage: at its start without, at its end with the seconds it took.
        enough: Asked often while refining; once it says so, the best result so far is kept.
        **settings: `preset` (`"generic"`, `"lung-ct"`, `"brain-mri"`), `quality` (`"fast"`, `"balanced"`, `"best"`) and
            the other fields of `RegistrationOptions`; and what comes with the images: `fixed_mask`, `moving_mask`,
            `fixed_landmarks` and `moving_landmarks` (for the TRE alone), `moving_labels` and `fixed_labels` (one
            or a list), each as a file or in memory; `fill_nan`, what NaN voxels become.
    Returns:
        Transform (fixed to moving points, mm, LPS), inverse, displacement, warped image and labels, Jacobian, measures.
    Raises:
        InputError: If an image or an option is no good, memory does not suffice, or the images cannot overlap.
        TypeError: If a setting has another name.
    """
    options = {name: value for name, value in settings.items() if name in _OPTIONS}
    extras = {name: value for name, value in settings.items() if name not in _OPTIONS}
    _refuse_unknown(extras)
    loaded = load_model(model) if isinstance(model, (str, os.PathLike)) else model
    with heard() as remarks:
        fill_nan = settings.get("fill_nan")
        pair = as_image(fixed, "the fixed image", fill_nan), as_image(moving, "the moving image", fill_nan)
        given = _extras(cast(ExtraSettings, extras), *pair)
    asked = RegistrationOptions(**cast(OptionSettings, options))
    result = register_images(*pair, loaded, options=asked, extras=given, progress=progress, enough=enough)
    told = tuple(dict.fromkeys((*remarks, *result.warnings)))
    return Registration(**vars(replace(result, warnings=told)), fixed=pair[0], moving=pair[1])


def _refuse_unknown(extras: Mapping[str, object]) -> None:
    known = {*_OPTIONS, *ExtraSettings.__annotations__}
    unknown = sorted(set(extras) - known)
    if unknown:
        raise TypeError(f"register() has no setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _extras(given: ExtraSettings, fixed: Image, moving: Image) -> PairExtras:
    sides = [[as_label_maps(one, f"`{name}`") for one in _listed(given.get(name, ()))] for name in _LABELS]
    moving_labels, fixed_labels = all_paired(*sides)
    return PairExtras(
        fixed_mask=as_mask(given.get("fixed_mask"), "`fixed_mask`"),
        moving_mask=as_mask(given.get("moving_mask"), "`moving_mask`"),
        fixed_landmarks=as_landmarks(given.get("fixed_landmarks"), "`fixed_landmarks`", fixed),
        moving_landmarks=as_landmarks(given.get("moving_landmarks"), "`moving_landmarks`", moving),
        moving_labels=moving_labels,
        fixed_labels=fixed_labels,
    )


def _listed(given: Any) -> list[Any]:
    """Several, or the one that was given for them."""
    return list(given) if isinstance(given, (list, tuple)) else [given]
