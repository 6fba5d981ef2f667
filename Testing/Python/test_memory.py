import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io import free_memory
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration.memory import (
    BYTES_PER_REFINED_VOXEL,
    Budget,
    available_memory,
    fitting_grid,
    forecast,
)
from RobustDIRLib.registration.preprocessing import working_grid

FIXED, MOVING, PRESET = Grid((60, 70, 80)), Grid((50, 90, 40)), PRESETS["brain-mri"]
NEEDED = forecast(working_grid(FIXED, PRESET), FIXED, MOVING, Budget(None))[0].needed


def fit(budget: Budget) -> tuple[Grid, list[str]]:
    said: list[str] = []
    return fitting_grid(FIXED, MOVING, PRESET, budget, said.append)[0], said


def test_enough_memory_keeps_the_presets_grid_in_silence():
    assert fit(Budget(NEEDED)) == (working_grid(FIXED, PRESET), [])


def test_unknown_memory_is_no_obstacle():
    assert fit(Budget(None)) == (working_grid(FIXED, PRESET), [])


def test_little_memory_gives_the_finest_coarser_grid_that_fits_and_says_so():
    grid, said = fit(Budget(NEEDED - 1))
    assert grid == working_grid(FIXED, PRESET, 1.25)
    assert len(said) == 1
    assert "80x70x60" in said[0]
    assert "x".join(map(str, grid.size)) in said[0]


def test_too_little_memory_is_refused_with_the_figures():
    with pytest.raises(InputError, match=r"not enough memory.*needs \d\.\d\d GiB of memory \(0\.01 GiB free\)"):
        fit(Budget(10 * 2**20))


def test_forecast_grows_with_the_working_grid_and_the_networks_price():
    fine, coarse = (forecast(working_grid(FIXED, PRESET, c), FIXED, MOVING, Budget(None))[0].needed for c in (1, 2))
    dear = forecast(working_grid(FIXED, PRESET), FIXED, MOVING, Budget(None, bytes_per_voxel=4500))[0].needed
    assert coarse < fine < dear


def test_network_on_a_gpu_is_counted_against_the_gpus_memory():
    main, gpu = forecast(FIXED, FIXED, MOVING, Budget(10**12, 10**6, 300))
    assert gpu.needed == 300 * np.prod(FIXED.shape)
    assert main.fits
    assert not gpu.fits
    with pytest.raises(InputError, match="GPU memory"):
        fit(Budget(10**12, 10**6, 300))


def test_refinement_needs_main_memory_wherever_the_network_runs():
    voxels = int(np.prod(FIXED.shape))
    cheap, cheaper = (forecast(FIXED, FIXED, MOVING, Budget(None, None, n))[0].needed for n in (20, 10))
    main = forecast(FIXED, FIXED, MOVING, Budget(None, 10**9, 300))[0].needed
    assert cheap == cheaper == main
    assert (
        forecast(FIXED, FIXED, MOVING, Budget(None, None, 300))[0].needed
        == main + (300 - BYTES_PER_REFINED_VOXEL) * voxels
    )


def test_free_memory_is_known_here_and_plausible():
    free = available_memory()
    assert free is None or 2**20 < free < 2**50


@pytest.mark.parametrize(("container", "least"), [(None, 7 * 2**30), (2**30, 2**30), (2**40, 7 * 2**30)])
def test_free_memory_is_the_least_of_machine_and_container(monkeypatch, container, least):
    """On every system alike: psutil knows what is free on Windows and macOS too."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=7 * 2**30))
    monkeypatch.setattr(free_memory, "_cgroup_available", lambda: container)
    assert available_memory() == least


@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_of_the_process_is_free_memory_as_well(kind):
    """Under `ulimit -v` or `-d` the last gigabyte is all there is, whatever the machine has."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, kind) or not Path("/proc/self/statm").is_file():
        pytest.skip("no such limits here")
    code = (
        "import resource; from RobustDIRLib.io.free_memory import available_memory as free\n"
        f"kind, figure = resource.{kind}, {['RLIMIT_AS', 'RLIMIT_DATA'].index(kind) * 5}; free()\n"
        "used = int(open('/proc/self/statm').read().split()[figure])\n"
        "limit = used * resource.getpagesize() + (256 << 20)\n"
        "resource.setrlimit(kind, (limit, limit)); print(free()); taken = bytearray(128 << 20); print(free())"
    )
    library = str(Path(free_memory.__file__).parents[2])
    said = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": library}, check=True,
                          capture_output=True, text=True).stdout  # fmt: skip
    before, after = map(int, said.split())
    assert 250 << 20 < before <= 256 << 20
    assert 120 << 20 < before - after < 136 << 20


def test_without_psutil_the_container_alone_is_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(free_memory, "_cgroup_available", lambda: None)
    assert available_memory() is None
