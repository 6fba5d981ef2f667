"""What 3D Slicer's panel showed as a report was asked for: the report holds that, and not what the run was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from RobustDIRLib.configuration import read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.report.pair.run_folder import RunFolder
from RobustDIRLib.report.pair.structures import Structure, values_of

FORMAT = "robustdir-shown-1"
UNKNOWN = "not known"


@dataclass(frozen=True)
class Shown:
    """What the panel showed.

    Attributes:
        patients: Of the fixed and of the moving volume; `UNKNOWN` where the scene does not say.
        volumes: Names of the fixed and of the moving volume.
        nodes: What each node of the registration is, its name and its ID in the scene.
        landmarks: `name`, `before_mm`, `after_mm`, and `fixed` and `moving`, points in mm, LPS.
        structures: Rows of the measurement of structures.
        warnings: What it said of the landmarks.
    """

    patients: tuple[str, str]
    volumes: tuple[str, str]
    nodes: tuple[tuple[str, str, str], ...]
    landmarks: tuple[Mapping[str, Any], ...]
    structures: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Both volumes."""
        return f"{self.volumes[1]} registered to {self.volumes[0]}"

    @property
    def patient(self) -> str:
        """Of both volumes, or of each where they are of two."""
        fixed, moving = self.patients
        return fixed if fixed == moving else f"fixed: {fixed}; moving: {moving}"

    @property
    def points(self) -> tuple[Landmarks, Landmarks] | None:
        """Landmarks in the fixed and in the moving image; None if there are none."""
        if not self.landmarks:
            return None
        names = tuple(str(row["name"]) for row in self.landmarks)
        fixed, moving = (np.array([row[side] for row in self.landmarks], float) for side in ("fixed", "moving"))
        return Landmarks(fixed, names), Landmarks(moving, names)

    def measured(self, run: RunFolder, transform: Any) -> RunFolder:
        """The run with these landmarks and structures in place of its own, and these warnings after its own.

        Args:
            run: Its folder.
            transform: ITK's, of the run, for the errors after its linear part; None if it is lost.
        """
        linear = self._linear_errors(transform)
        rows = [
            {"name": str(row["name"]), "before_mm": row["before_mm"], "linear_mm": error, "after_mm": row["after_mm"]}
            for row, error in zip(self.landmarks, linear, strict=True)
        ]
        measures = {
            **run.measures,
            "tre": {"count": len(rows), "landmarks": rows} if rows else None,
            "dice": [{"labels": [dict(row) for row in self.structures]}] if self.structures else [],
        }
        warnings = [*(run.record.get("warnings") or ()), *self.warnings]
        return replace(run, record={**run.record, "measures": measures, "warnings": warnings})

    def _linear_errors(self, transform: Any) -> list[float | None]:
        points = self.points
        if points is None:
            return []
        if transform is None or transform.GetName() != "CompositeTransform":
            return [None] * len(points[0])
        moved = apply_to_points(transform.Downcast().GetNthTransform(0), points[0].points)
        return [float(error) for error in np.linalg.norm(moved - points[1].points, axis=1)]

    def table(self) -> tuple[Structure, ...]:
        """The structures as the report lists them."""
        return tuple(
            Structure(
                map=1,
                label=str(row["label"]),
                values=values_of(row),
                fixed_ml=row.get("fixed_ml"),
                warped_ml=row.get("warped_ml"),
                folding_percent=row.get("folding_percent"),
                only_in=row.get("only_in") or "",
                reason=row.get("note") or "",
            )
            for row in self.structures
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "patient": self.patient,
            "volumes": {"fixed": self.volumes[0], "moving": self.volumes[1]},
            "nodes": [{"role": role, "name": name, "id": node_id} for role, name, node_id in self.nodes],
        }


def read_shown(path: Path) -> Shown:
    """What the panel wrote.

    Raises:
        InputError: If it is something else.
    """
    said = read_json(path)
    try:
        if said["format"] != FORMAT:
            raise ValueError(said["format"])
        return Shown(
            patients=(str(said["patients"][0] or UNKNOWN), str(said["patients"][1] or UNKNOWN)),
            volumes=(str(said["volumes"][0]), str(said["volumes"][1])),
            nodes=tuple((str(role), str(name), str(node_id)) for role, name, node_id in said["nodes"]),
            landmarks=tuple(said["landmarks"]),
            structures=tuple(said["structures"]),
            warnings=tuple(map(str, said.get("warnings") or ())),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path} does not say what the panel shows; write the report from the panel.") from error
