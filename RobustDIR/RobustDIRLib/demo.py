"""A pair of brain images whose deformation is known, for `robustdir demo` and for trying things out.

The fixed image is the MNI152 T1 template, skull-stripped, 1 mm, that the package nilearn carries. The moving image is
the same brain under a random smooth invertible deformation and a small affine one, in another contrast, with noise, on
an oblique grid of its own. The true transform is T(x) = A(x + u(x)), u the displacement of a stationary velocity and A
affine, from fixed to moving points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial.transform import Rotation

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.metrics import tre
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.io.displacements import (
    DisplacementField,
    apply_to_points,
    compose_transforms,
    read_transform,
    to_sitk_transform,
    write_transform,
)
from RobustDIRLib.io.images import Image, resample, write_image
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks, write_landmarks
from RobustDIRLib.warping import integrate_velocity

FIXED, MOVING = "fixed.nii.gz", "moving.nii.gz"
FIXED_LANDMARKS, MOVING_LANDMARKS = "fixed_landmarks.csv", "moving_landmarks.csv"
TRUE_TRANSFORM, TRUE_INVERSE = "true_transform.h5", "true_inverse.h5"
LANDMARKS = 300
LARGEST_DISPLACEMENT = 10.0
_SMOOTHNESS = ((22.0, 1.0), (11.0, 0.35))  # mm and weight of the velocity's coarse and fine parts
_TRUTH_SPACING = 2.0
_SQUARINGS = 7
_NOISE = 0.03
# Of the T1's air, cerebrospinal fluid, grey and white matter, to something like a T2: neither rising nor falling.
_T1_VALUES = (0.0, 0.05, 0.3, 0.6, 0.8, 1.0)
_NEW_VALUES = (0.0, 0.25, 0.95, 0.6, 0.35, 0.2)


@dataclass(frozen=True)
class KnownPair:
    """Two images and the truth between them.

    Attributes:
        fixed: On its own grid.
        moving: On its own grid, another contrast.
        transform: Fixed point to moving point, mm, LPS.
        inverse: Moving point to fixed point, mm, LPS.
        fixed_landmarks: Inside the object.
        moving_landmarks: The same places in the moving image, exact.
    """

    fixed: Image
    moving: Image
    transform: sitk.Transform
    inverse: sitk.Transform
    fixed_landmarks: Landmarks
    moving_landmarks: Landmarks


def template_brain() -> Image:
    """The T1 template inside nilearn, intensities from 0 to 1, 1 mm; read from the package, nothing is downloaded.

    Raises:
        InputError: If nilearn is missing.
    """
    try:
        from nilearn.datasets import load_mni152_template
    except ModuleNotFoundError as error:
        raise InputError("the demo needs nilearn; install it with: pip install 'robustdir[demo]'") from error
    template = load_mni152_template(resolution=1)
    affine = np.asarray(template.affine, dtype=np.float64)  # index x, y, z to RAS
    steps = swap_lps_ras(affine[:3, :3].T).T
    spacing = np.linalg.norm(steps, axis=0)
    array = np.ascontiguousarray(np.asarray(template.dataobj, dtype=np.float32).T)
    direction = tuple(map(tuple, steps / spacing))
    return Image(array, Grid(array.shape, tuple(spacing), tuple(swap_lps_ras(affine[:3, 3])), direction))


def make_pair(fixed: Image, seed: int = 0) -> KnownPair:
    """Deform an image by a random known transform and give it another contrast.

    Args:
        fixed: Intensities from 0, the background, to 1.
        seed: Of all that is random; equal seeds give equal pairs.
    Raises:
        InputError: If the seed is negative, intensities lie outside of 0 to 1, or too little lies above 0.1.
    """
    _check(fixed, seed)
    random = np.random.default_rng(seed)
    affine = _random_affine(fixed, random)
    displacement, inverse_displacement = _random_displacement(fixed, random)
    transform = compose_transforms(affine, displacement)
    inverse = compose_transforms(inverse_displacement, affine.GetInverse())
    moving = resample(_other_contrast(fixed, random), _moving_grid(fixed.grid, affine), inverse, outside=0.0)
    points = _random_points(fixed, random)
    return KnownPair(
        fixed=fixed,
        moving=Image(_noisy(moving.array, random), moving.grid),
        transform=transform,
        inverse=inverse,
        fixed_landmarks=Landmarks(points),
        moving_landmarks=Landmarks(apply_to_points(transform, points)),
    )


def _check(fixed: Image, seed: int) -> None:
    if seed < 0:
        raise InputError(f"`seed` is {seed}; give 0 or more.")
    low, high = float(fixed.array.min()), float(fixed.array.max())
    if not 0 <= low <= high <= 1:
        raise InputError(f"`fixed` has intensities from {low:g} to {high:g}; scale them to 0, the background, to 1.")
    if len(_object_voxels(fixed)) < LANDMARKS:
        raise InputError(f"`fixed` has fewer than {LANDMARKS} voxels within an object above 0.1; give a larger image.")


def _random_displacement(fixed: Image, random: np.random.Generator) -> tuple[sitk.Transform, sitk.Transform]:
    """A diffeomorphic displacement and its inverse; the largest within the object is `LARGEST_DISPLACEMENT` mm."""
    grid = _truth_grid(fixed.grid)
    velocity = _smooth_vectors(grid, random)
    inside = resample(fixed, grid, outside=0.0).array > 0
    displacement = _integrated(velocity, grid)
    for _ in range(2):  # integrating is nearly, not quite, linear in the velocity
        velocity *= LARGEST_DISPLACEMENT / np.linalg.norm(displacement.array[inside], axis=-1).max()
        displacement = _integrated(velocity, grid)
    return to_sitk_transform(displacement), to_sitk_transform(_integrated(-velocity, grid))


def _truth_grid(grid: Grid) -> Grid:
    """Coarser than the image, since the field is smooth, and wider, so that nothing leaves it."""
    extent = np.multiply(grid.shape, grid.spacing[::-1])
    spacing = max(_TRUTH_SPACING, min(grid.spacing))
    z, y, x = (max(8, int(np.ceil(side / spacing))) for side in extent)
    coarse = grid.resized((z, y, x))
    margin = (int(2 * LARGEST_DISPLACEMENT / spacing),) * 3
    return coarse.padded(margin, margin)


def _smooth_vectors(grid: Grid, random: np.random.Generator) -> NDArray[np.float64]:
    """Random vectors `(z, y, x, 3)`, mm, smooth over two lengths, of largest norm `LARGEST_DISPLACEMENT`."""
    vectors = np.zeros((*grid.shape, 3))
    for length, weight in _SMOOTHNESS:
        sigma = [length / s for s in grid.spacing[::-1]]
        for component in range(3):
            part = gaussian_filter(random.standard_normal(grid.shape), sigma, mode="reflect")
            vectors[..., component] += weight * part / part.std()
    return np.asarray(vectors * (LARGEST_DISPLACEMENT / np.linalg.norm(vectors, axis=-1).max()))


def _integrated(velocity: NDArray[np.float64], grid: Grid) -> DisplacementField:
    in_voxels = torch.from_numpy(grid.displacement_from_mm(velocity))[None]
    return DisplacementField(grid.displacement_to_mm(integrate_velocity(in_voxels, _SQUARINGS)[0].numpy()), grid)


def _random_affine(fixed: Image, random: np.random.Generator) -> sitk.AffineTransform:
    """A few degrees, percent and millimetres about the image's centre."""
    turn = Rotation.from_euler("xyz", random.uniform(-6, 6, 3), degrees=True).as_matrix()
    affine = sitk.AffineTransform(3)
    affine.SetCenter(_centre(fixed.grid).tolist())
    affine.SetMatrix((turn * random.uniform(0.96, 1.04, 3)).ravel().tolist())
    affine.SetTranslation(random.uniform(-5, 5, 3).tolist())
    return affine


def _centre(grid: Grid) -> NDArray[np.float64]:
    return grid.points_from_voxels((np.array(grid.shape) - 1) / 2)


def _moving_grid(fixed: Grid, affine: sitk.Transform) -> Grid:
    """As large as the fixed grid, but turned, and with slices a fifth thicker."""
    turn = Rotation.from_euler("xyz", (4, -3, 5), degrees=True).as_matrix() @ np.asarray(fixed.direction)
    x, y, z = fixed.spacing
    shape = (int(np.ceil(fixed.shape[0] / 1.2)), fixed.shape[1], fixed.shape[2])
    about_zero = Grid(shape, (x, y, 1.2 * z), direction=tuple(map(tuple, turn)))
    origin = np.array(affine.TransformPoint(_centre(fixed).tolist())) - _centre(about_zero)
    return Grid(shape, about_zero.spacing, tuple(origin), about_zero.direction)


def _other_contrast(fixed: Image, random: np.random.Generator) -> Image:
    values = np.array(_NEW_VALUES)
    values[1:] += random.uniform(-0.05, 0.05, len(values) - 1)
    return Image(np.interp(fixed.array, _T1_VALUES, values).astype(np.float32), fixed.grid)


def _noisy(array: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Rician noise, as magnitude images have, scaled to a scanner's range."""
    real, imaginary = (random.normal(0, _NOISE, array.shape) for _ in range(2))
    return (1000 * np.hypot(array + real, imaginary)).astype(np.float32)


def _random_points(fixed: Image, random: np.random.Generator) -> NDArray[np.float64]:
    """Points between voxels, at least two voxels within the object."""
    inside = _object_voxels(fixed)
    chosen = random.choice(inside, LANDMARKS, replace=False) + random.uniform(-0.5, 0.5, (LANDMARKS, 3))
    return fixed.grid.points_from_voxels(chosen)


def _object_voxels(fixed: Image) -> NDArray[np.int64]:
    return np.argwhere(binary_erosion(fixed.array > 0.1, iterations=2))


def write_pair(folder: Path, pair: KnownPair) -> None:
    """Write images, landmarks and the true transforms, under the names above.

    Raises:
        InputError: If a file cannot be written.
    """
    write_image(folder / FIXED, pair.fixed)
    write_image(folder / MOVING, pair.moving)
    write_landmarks(folder / FIXED_LANDMARKS, pair.fixed_landmarks)
    write_landmarks(folder / MOVING_LANDMARKS, pair.moving_landmarks)
    write_transform(folder / TRUE_TRANSFORM, pair.transform)
    write_transform(folder / TRUE_INVERSE, pair.inverse)


def assess(folder: Path, transform: Path) -> dict[str, Any]:
    """TRE before and after a registration of a written pair, from the files alone.

    Args:
        folder: What `write_pair` filled.
        transform: Found transform, fixed to moving points.
    Returns:
        Number of landmarks, and mean, median and largest TRE before and after, mm.
    """
    fixed, moving = (read_landmarks(folder / name).points for name in (FIXED_LANDMARKS, MOVING_LANDMARKS))
    errors = {"before": tre(fixed, moving), "after": tre(apply_to_points(read_transform(transform), fixed), moving)}
    measured: dict[str, Any] = {"landmarks": len(fixed)}
    for name, values in errors.items():
        measured[name] = {"mean": values.mean(), "median": np.median(values), "max": values.max()}
    return measured
