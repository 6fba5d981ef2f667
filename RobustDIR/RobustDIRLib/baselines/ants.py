"""ANTs' symmetric normalisation (Avants et al. 2008; package antspyx) in the setting of section 2.4.1.

Local normalised cross-correlation, four resolutions of 100 iterations at 1/8, 1/4, 1/2 and all of the working
resolution. What the paper leaves open is what antspyx takes: radius 4, gradient step 0.2, velocity smoothed by a
variance of 3 voxels. There is no linear stage: the images start from the linear alignment that all methods start from,
as the paper's were aligned before (section 2.3.3).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from RobustDIRLib.baselines.aligned import Frames, aligned
from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.baselines.optional import failure, itk_threads, package, settings
from RobustDIRLib.io.displacements import read_displacement, to_sitk_transform
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.registration.alignment import SEED
from RobustDIRLib.registration.linear import Linear


@dataclass(frozen=True)
class Ants:
    """Symmetric normalisation.

    Attributes:
        name: As asked for.
        metric: As antsRegistration writes it, `{images}` for both images.
        convergence: Iterations of the four resolutions, coarsest first, threshold and window.
    """

    name: str = "ants"
    metric: str = "CC[{images},1,4]"
    convergence: str = "[100x100x100x100,1e-7,8]"

    def settings(self) -> dict[str, Any]:
        """What it is set to, and the version of its package."""
        return settings(self, "antspyx")

    def prepare(self) -> None:
        """Import the package.

        Raises:
            InputError: If it is not installed.
        """
        package("antspyx", self.name, "ants")

    def register(self, pair: Pair, threads: int) -> Outcome:
        """SyN's displacement, then the linear alignment; the inverse likewise."""
        with itk_threads(threads):
            ants = package("antspyx", self.name, "ants")
            start = aligned(pair, threads)
            with tempfile.TemporaryDirectory(prefix="robustdir-") as folder:
                arguments = self._arguments(Path(folder), start.in_own_frames(), start.linear)
                try:
                    ants.registration(fixed=arguments, moving=None)
                except RuntimeError as error:
                    raise failure(self.name, error) from error
                # Number 0 is the linear alignment, given back as it came.
                warps = (Path(folder, f"result1{kind}.nii.gz") for kind in ("Warp", "InverseWarp"))
                return start.outcome(*(to_sitk_transform(read_displacement(warp)) for warp in warps))

    def _arguments(self, folder: Path, frames: Frames, linear: Linear) -> list[str]:
        """Of antsRegistration. Files carry the images, for full precision of their grids."""
        sitk.WriteTransform(linear.transform, str(folder / "linear.mat"))
        fixed, moving = _written(folder / "fixed.nrrd", frames.fixed), _written(folder / "moving.nrrd", frames.moving)
        masks = (
            _written(folder / "in_fixed.nrrd", frames.fixed_mask),
            _written(folder / "in_moving.nrrd", frames.moving_mask),
        )
        return [
            *("--dimensionality", "3", "--float", "1", "--random-seed", str(SEED)),
            *("--initial-moving-transform", str(folder / "linear.mat")),
            *("--transform", "SyN[0.2,3,0]", "--metric", self.metric.format(images=f"{fixed},{moving}")),
            *("--convergence", self.convergence, "--shrink-factors", "8x4x2x1", "--smoothing-sigmas", "3x2x1x0vox"),
            *("--masks", f"[{masks[0]},{masks[1]}]", "--output", str(folder / "result")),
        ]


def quick() -> Ants:
    """The deformable part of ANTs' own quick setting, antsRegistrationSyNQuick."""
    return Ants("ants-quick", "MI[{images},1,32]", "[100x70x50x0,1e-6,10]")


def _written(path: Path, image: Image | None) -> str:
    """The file an image was written to, or what antsRegistration calls none."""
    if image is None:
        return "NA"
    write_image(path, image)
    return str(path)
