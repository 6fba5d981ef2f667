"""Every shift of one image over another at once: joint histograms by the fast Fourier transform.

Where one image shows a part of what the other shows, their centres say nothing, and a search about them fails. The
number of voxels at which bin a meets bin b under a shift is a correlation of two indicator images, so that the mutual
information of all shifts costs one transform back for every pair of bins.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from RobustDIRLib.geometry import Array
from RobustDIRLib.io.images import Image
from RobustDIRLib.registration.poses import Bins, binned, mutual_information

_BINS = 3
_LEAST_COVERED = 0.2


class Shifts:
    """Scores of all shifts of a turned moving image over a fixed one."""

    def __init__(self, fixed: Image, moving: Image) -> None:
        """Take coarse copies of both, of one voxel size."""
        self._fixed, self._moving = fixed, moving
        step = float(np.mean(fixed.grid.spacing))
        extent = np.linalg.norm(np.array(moving.grid.size) * np.array(moving.grid.spacing))
        self._side = int(np.ceil(extent / step))  # of a cube that holds the moving image however it is turned
        self._size = [fft.next_fast_len(n + self._side, real=True) for n in fixed.array.shape]
        self._spectra = self._transformed(binned(fixed.array, _BINS))
        self._voxels = min(fixed.array.size, moving.array.size)
        middle = (self._side - 1) / 2
        self._offsets = np.stack(np.meshgrid(*[np.arange(self._side) - middle] * 3, indexing="ij"), -1)

    def best(self, matrix: Array, point: Array) -> tuple[Array, float]:
        """The best shift of `x -> matrix @ x + shift`.

        Returns:
            The moving point that a fixed `point` is taken to, and the score as of `PoseScore`, though of fewer bins.
        """
        scores = self._scores(self._turned(matrix))
        best = int(scores.argmax())
        shift = np.array(np.unravel_index(best, self._size))
        shift = np.where(shift >= np.array(self._fixed.array.shape), shift - np.array(self._size), shift)
        centre = self._fixed.grid.points_from_voxels(shift + (self._side - 1) / 2)
        return self._middle + matrix @ (point - centre), float(scores[best])

    @property
    def _middle(self) -> Array:
        grid = self._moving.grid
        return grid.points_from_voxels((np.array(grid.shape) - 1) / 2)

    def _turned(self, matrix: Array) -> Bins:
        """Bins of the moving image about its middle, on a cube of fixed voxels; -1 outside."""
        grid = self._moving.grid
        points = self._middle + self._offsets @ (matrix @ self._fixed.grid.array_to_mm).T
        voxels = np.rint(grid.voxels_from_points(points)).astype(np.intp)
        inside = np.asarray(((voxels >= 0) & (voxels < np.array(grid.shape))).all(-1))
        z, y, x = np.moveaxis(np.where(inside[..., None], voxels, 0), -1, 0)
        return np.asarray(np.where(inside, binned(self._moving.array, _BINS)[z, y, x], np.int32(-1)))

    def _transformed(self, bins: Bins) -> list[Array]:
        return [fft.rfftn((bins == value).astype(np.float32), self._size) for value in range(_BINS)]

    def _scores(self, bins: Bins) -> Array:
        spectra = [np.conj(spectrum) for spectrum in self._transformed(bins)]
        counts = np.array([fft.irfftn(a * b, self._size).ravel() for a in self._spectra for b in spectra])
        np.maximum(np.rint(counts, out=counts), 0, out=counts)
        share = counts.sum(0, dtype=np.float64) / self._voxels
        enough = share > _LEAST_COVERED  # few shifts are
        # Bins lie first in memory: sums over a few last ones would take longer than the transforms.
        joint = np.moveaxis(counts[:, enough].astype(np.float64).reshape(_BINS, _BINS, -1), -1, 0)
        scores = np.zeros(len(share))
        scores[enough] = mutual_information(joint) * np.sqrt(np.minimum(share[enough], 1))
        return scores
