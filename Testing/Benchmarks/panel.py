"""How fast the panel opens, how long it keeps the application waiting during a run, and how fast its views answer.

`python Testing/Benchmarks/panel.py [SIDE]`, on the bench of Testing/SlicerHeadless. SIDE is the voxels along each side
of both volumes and of the transform (192). The registering process is a stand-in that answers at once, as what it
computes is measured elsewhere; the volumes it is handed and hands back are whole. Times are those of the clock and, as
other programs may keep it waiting, those that all its threads together computed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "Testing" / "Python"), str(ROOT / "RobustDIR")]
PROCESS = ROOT / "Testing" / "Python" / "panel_process.py"
COMPARISONS = ("blend", "checkerboard", "red-cyan", "difference", "jacobian")
DEFORMATIONS = ("grid", "glyph", "contour")


def timed(action: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock, and of all threads together, that something took."""
    clock, computed = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - computed


def tell(what: str, seconds: tuple[float, float]) -> None:
    """One line."""
    print(f"{what:42} {1000 * seconds[0]:7.0f} ms by the clock {1000 * seconds[1]:7.0f} ms computed", flush=True)


def volumes(side: int) -> list[Any]:
    """Two volumes in the scene, 1.5 mm."""
    from RobustDIRLib import mrml
    from RobustDIRLib.geometry import Grid

    z, y, x = np.meshgrid(*[np.arange(side, dtype=np.float32)] * 3, indexing="ij")
    array = np.sin(x / 9) * np.cos(y / 11) + np.sin(z / 13)
    grid = Grid(array.shape, (1.5, 1.5, 1.5))
    return [
        mrml.volume_to_node(mrml.Volume(each, grid), name)
        for each, name in ((array, "fixed"), ((100 * array).astype(np.int16), "moving"))
    ]


def watch_run(panel: Any) -> None:
    """One run, from the click to the results in the scene."""
    from SlicerHeadless import desktop

    section, ticks = panel.widget.panel.run, []
    poll = section._poll
    section._timer.disconnect("timeout()", poll)
    section._timer.connect("timeout()", lambda: ticks.append(timed(poll)))
    with desktop.LongestPause() as pause:
        clicked = timed(panel.ui.registerButton.click)
        desktop.wait_until(lambda: section.run is None, 600)
    assert panel.widget.panel.parameters.transformNode is not None, panel.ui.messageLabel.text
    tell("click on Register", clicked)
    tell("longest step of the panel during the run", max(ticks, key=lambda tick: tick[1]))
    print(f"{'longest pause of the event loop':42} {1000 * pause.seconds:7.0f} ms by the clock")


def watch_views(panel: Any) -> None:
    """Every toggle of the Look section, with the three slice views drawn."""
    import slicer

    look, manager = panel.widget.panel.look, slicer.app.layoutManager()
    views = [manager.sliceWidget(name).sliceView().offscreen for name in ("Red", "Yellow", "Green")]

    def draw() -> None:
        for view in views:
            view.render()

    draw()
    for mode in COMPARISONS:
        tell(f"compare: {mode}", timed(lambda mode=mode: (look.choose_comparison(mode), draw())))
    look.choose_comparison("blend")
    for mode in DEFORMATIONS:
        tell(f"deformation: {mode}", timed(lambda mode=mode: (look.choose_deformation(mode), draw())))
    tell("back to previous views", timed(lambda: (look.back(), draw())))


def main(side: int) -> None:
    """Everything, in order."""
    from RobustDIRLib.panel import runs
    from SlicerHeadless import desktop

    desktop.start()
    runs.library_command = lambda *words: [sys.executable, str(PROCESS), "well", *words]
    opened = []
    tell("opening the panel", timed(lambda: opened.append(desktop.open_panel(ROOT / "RobustDIR" / "RobustDIR.py"))))
    heavy = sorted({"torch", "SimpleITK", "scipy"} & set(sys.modules))
    print(f"{'loaded of torch, SimpleITK, SciPy':42} {', '.join(heavy) or 'none'}")
    panel = opened[0]
    fixed, moving = volumes(side)
    panel.ui.fixedSelector.setCurrentNode(fixed)
    panel.ui.movingSelector.setCurrentNode(moving)
    desktop.process_events()
    panel.widget.panel.update()
    watch_run(panel)
    watch_views(panel)
    panel.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 192)
