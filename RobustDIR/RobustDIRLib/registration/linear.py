"""Linear transforms from fixed to moving points, and a linear alignment: what was found, and by which stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.geometry import Array


@dataclass(frozen=True)
class Linear:
    """`point -> matrix @ point + offset`, mm, LPS, from fixed to moving."""

    matrix: Array
    offset: Array

    @property
    def transform(self) -> sitk.AffineTransform:
        """The same for SimpleITK, with its centre at the origin."""
        return sitk.AffineTransform(self.matrix.ravel().tolist(), self.offset.tolist())

    def __call__(self, points: Array) -> Array:
        """Moving points `(..., 3)` of fixed points, mm, LPS."""
        return np.asarray(points @ self.matrix.T + self.offset)

    def inverse(self) -> Linear:
        """Moving points to fixed points."""
        matrix = np.asarray(np.linalg.inv(self.matrix))
        return Linear(matrix, -matrix @ self.offset)

    def after(self, first: Linear) -> Linear:
        """`point -> self(first(point))`."""
        return Linear(self.matrix @ first.matrix, self.matrix @ first.offset + self.offset)


@dataclass(frozen=True)
class Stage:
    """One attempted stage: its metric (higher is better), and whether and why it was kept."""

    name: str
    metric: float
    kept: bool
    reason: str
    seconds: float


@dataclass(frozen=True)
class LinearAlignment:
    """The alignment found and how: fixed point to moving point, mm, LPS.

    Attributes:
        kind: One of `alignment.KINDS`.
        linear: The alignment.
        stages: How it was found.
        overlap: Share of the smaller image that both cover.
        mirrored: Whether the images agree clearly better if one is mirrored, which no alignment does; not looked for
            where `kind` is `none`.
    """

    kind: str
    linear: Linear
    stages: tuple[Stage, ...]
    overlap: float
    mirrored: bool = False

    @property
    def transform(self) -> sitk.AffineTransform:
        """Fixed point to moving point."""
        return self.linear.transform

    def summary(self) -> dict[str, Any]:
        """The linear part and every attempted stage, ready for JSON."""
        return {
            "kind": self.kind,
            "matrix": self.linear.matrix.tolist(),
            "offset_mm": self.linear.offset.tolist(),
            "overlap": self.overlap,
            "mirrored": self.mirrored,
            "stages": [
                {"name": s.name, "metric": s.metric, "kept": s.kept, "reason": s.reason, "seconds": round(s.seconds, 3)}
                for s in self.stages
            ],
        }


IDENTITY = Linear(np.eye(3), np.zeros(3))
