"""Seconds that a user of the Slicer module waits: opening the panel, drawing and redrawing a large deformation.

`python Testing/Benchmarks/slicer_timing.py` on the bench of Testing/SlicerHeadless, software rendering. An overlay's
time runs from the change in the panel until all three slice views (500 x 500) have been drawn anew. Beside the time on
the clock stands the processor's, which tells more where other programs run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "RobustDIR")]

from SlicerHeadless import availability  # noqa: E402

SIDE = 192
SLICES = ("Red", "Green", "Yellow")


class Moment(NamedTuple):
    """A time, or the difference of two, in seconds: of the clock and of this process's processors."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        return cls(time.perf_counter(), time.process_time())

    def __sub__(self, other: Moment) -> Moment:
        return Moment(self.clock - other.clock, self.processor - other.processor)


def main() -> int:
    """Measures and prints.

    Returns:
        0; 1 if this machine lacks what the bench needs.
    """
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--side", type=int, default=SIDE, help="voxels along each side of the transform")
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    reason = availability.why_no_desktop() or availability.why_no_rendering()
    if reason:
        print(reason, file=sys.stderr)
        return 1
    panel = _measure_opening()
    _measure_overlays(panel, given.side, given.repeats)
    panel.close()
    return 0


def _measure_opening():
    """Opens the panel, in a process that has loaded what the application has loaded anyway."""
    from SlicerHeadless import desktop

    desktop.start()
    loaded = set(sys.modules)
    start = Moment.now()
    panel = desktop.open_panel(ROOT / "RobustDIR" / "RobustDIR.py")
    _say("open the panel", [Moment.now() - start])
    heavy = {"torch", "SimpleITK", "nibabel", "skimage"} & (set(sys.modules) - loaded)
    print(f"imported by opening it: {', '.join(sorted(heavy)) or 'neither torch nor SimpleITK, nibabel, skimage'}")
    return panel


def _measure_overlays(panel, side: int, repeats: int) -> None:
    parameters = panel.widget.panel.parameters
    parameters.fixedVolume, parameters.warpedNode, parameters.jacobianNode, parameters.transformNode = _registered(side)
    _drawn()
    modes = {
        "grid": {"deformation": "grid"},
        "arrows": {"deformation": "glyph"},
        "contours": {"deformation": "contour"},
        "blend": {"compare": "blend"},
        "checkerboard": {"compare": "checkerboard"},
        "red and cyan": {"compare": "red-cyan"},
        "difference": {"compare": "difference"},
        "Jacobian map": {"compare": "jacobian"},
    }
    for name, wanted in modes.items():
        off = dict.fromkeys(wanted, "off")
        times = [(_change(parameters, wanted), _change(parameters, off)) for _ in range(repeats)]
        _say(f"{name}, on", [on for on, _ in times])
        _say(f"{name}, off", [gone for _, gone in times])
    _change(parameters, {"deformation": "grid"})
    spacings = [8.0 + 3 * k for k in range(repeats)]
    _say("grid, another spacing", [_change(parameters, {"deformationSpacing": each}) for each in spacings])


def _registered(side: int):
    """Nodes of a pair of volumes, a Jacobian map, and a smooth transform of that many voxels a side."""
    from RobustDIRLib import mrml
    from RobustDIRLib.geometry import Grid

    grid = Grid((side,) * 3, (1.0, 1.0, 1.0), (-side / 2,) * 3)
    noise = np.random.default_rng(1).normal(size=(5, 24, 24, 24))
    coarse = np.stack([gaussian_filter(channel, 2.5) for channel in noise])
    coarse /= np.abs(coarse).max(axis=(1, 2, 3), keepdims=True)
    fine = np.stack([zoom(channel, side / 24, order=1) for channel in coarse]).astype(np.float32)
    fixed, warped = (mrml.volume_to_node(mrml.Volume(1000 * channel, grid), "volume") for channel in fine[:2])
    jacobian = mrml.volume_to_node(mrml.Volume(1 + 0.5 * fine[2], grid), "jacobian")
    field = mrml.Field(8 * np.moveaxis(fine[2:], 0, -1), grid)
    return fixed, warped, jacobian, mrml.transform_from_parts([field], "transform")


def _change(parameters, wanted: dict) -> Moment:
    """Seconds until the views show other parameters."""
    start = Moment.now()
    for name, value in wanted.items():
        setattr(parameters, name, value)
    time.sleep(0.04)  # the panel gathers changes for 30 ms
    _drawn()
    return Moment.now() - start


def _drawn() -> None:
    import slicer

    from SlicerHeadless import desktop

    desktop.process_events()
    for name in SLICES:
        slicer.app.layoutManager().sliceWidget(name).sliceView().offscreen.render()


def _say(what: str, times: list[Moment]) -> None:
    clock, processor = [t.clock for t in times], [t.processor for t in times]
    print(
        f"{what:24}{1000 * median(clock):7.0f} ms   (largest {1000 * max(clock):.0f} of {len(times)};"
        f" processor {1000 * median(processor):.0f})"
    )


if __name__ == "__main__":
    sys.exit(main())
