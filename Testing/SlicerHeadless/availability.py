"""What of the bench this machine can run, as reasons to skip: None where all is there."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys

APT_PACKAGES = (
    "libegl1 libegl-mesa0 libgl1-mesa-dri libgl1 libxkbcommon0 libfontconfig1 libdbus-1-3 libglib2.0-0 "
    "fonts-dejavu-core"
)

_WORKS = "SLICER_HEADLESS_WORKS"  # what was found to work, which children of this process need not try again


def why_no_scene() -> str | None:
    """Why MRML cannot be used: the wheel `slicer-core` is missing."""
    return None if _is_there("slicer_core") else "slicer-core is not installed (pip install '.[dev]')"


@functools.lru_cache
def why_no_desktop() -> str | None:
    """Why Qt cannot be used: PySide6 or the system libraries it links to are missing."""
    if why_no_scene():
        return why_no_scene()
    if not _is_there("PySide6"):
        return "PySide6-Essentials is not installed (pip install '.[dev]')"
    return _failure_of("import PySide6.QtWidgets, PySide6.QtUiTools", "Qt")


@functools.lru_cache
def why_no_rendering() -> str | None:
    """Why views cannot be rendered; tried in another process, since VTK ends the process where OpenGL is missing."""
    if why_no_scene():
        return why_no_scene()
    code = (
        "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.SetSize(8, 8); "
        "w.AddRenderer(vtk.vtkRenderer()); w.Render(); import sys; "
        "sys.exit(0 if w.SupportsOpenGL() else 'no OpenGL')"
    )
    return _failure_of(code, "off-screen rendering")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _failure_of(code: str, what: str) -> str | None:
    found = os.environ.get(_WORKS, "").split(";")
    if what in found:
        return None
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment, check=False
    )
    if done.returncode == 0:
        os.environ[_WORKS] = ";".join([*found, what])
        return None
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    said = last.split("| ")[-1].removesuffix("\x1b[0m")  # of VTK's log without time, place and colours
    return f"{what} does not work here ({said:.90}); apt-get install --no-install-recommends {APT_PACKAGES}"
