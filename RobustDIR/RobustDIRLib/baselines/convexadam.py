"""ConvexAdam with MIND features (Siebert et al. 2021; package convexAdam), by its own published defaults.

A discrete search over a correlation volume, made inverse-consistent by coupled convex optimisation, then Adam on the
displacement. It knows voxels only, so that both images are brought to the fixed image's working grid first.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from RobustDIRLib.baselines.aligned import aligned
from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.baselines.optional import failure, package, settings
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import DisplacementField, to_sitk_transform
from RobustDIRLib.io.images import Image

_MODULE = "convexAdam.convex_adam_MIND"
_COARSE_CELL = 6


@dataclass(frozen=True)
class ConvexAdam:
    """ConvexAdam-MIND.

    Attributes:
        name: As asked for.
        changes: To the package's defaults.
        device: Where it runs, as `robustdir register --device`.
    """

    name: str = "convexadam"
    changes: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"

    def settings(self) -> dict[str, Any]:
        """What it is set to, and the version of its package."""
        return settings(self, "convexAdam")

    def on(self, device: str) -> ConvexAdam:
        """The same on a device."""
        return replace(self, device=device)

    def prepare(self) -> None:
        """Import the package.

        Raises:
            InputError: If it is not installed.
        """
        package("convexAdam", self.name, _MODULE)

    def register(self, pair: Pair, threads: int) -> Outcome:
        """ConvexAdam's displacement, then the linear alignment. It gives no inverse."""
        from RobustDIRLib.registration.devices import find_device, repeatable

        module = package("convexAdam", self.name, _MODULE)
        with repeatable(threads):
            start = aligned(pair, threads)
            fixed, moving = start.on_fixed_grid()
            self._refuse_small(fixed)
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
                try:
                    voxels = module.convex_adam_pt(
                        fixed.array, moving.array, device=find_device(self.device), **self.changes
                    )
                except (RuntimeError, IndexError) as error:
                    raise failure(self.name, error) from error
        # Components come in the order of the array's axes, so z, y, x as in ours.
        displacement = fixed.grid.displacement_to_mm(np.moveaxis(voxels, -1, 0))
        return start.outcome(to_sitk_transform(DisplacementField(displacement, fixed.grid)))

    def _refuse_small(self, fixed: Image) -> None:
        """Three cells of the coarse grid a side: the package smooths over as many."""
        least = 3 * self.changes.get("grid_sp", _COARSE_CELL)
        if min(fixed.grid.shape) < least:
            sides = " x ".join(map(str, fixed.grid.size))
            raise InputError(
                f"{self.name} needs {least} working voxels along every side, and the fixed image has {sides}; use "
                f"another method for it."
            )


def quick() -> ConvexAdam:
    """A quarter of the iterations of Adam."""
    return ConvexAdam("convexadam-quick", {"selected_niter": 20})
