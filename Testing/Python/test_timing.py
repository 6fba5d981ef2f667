"""Cost of a registration: measured in a process of its own, whatever becomes of it."""

import errno
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from RobustDIRLib.baselines.method import Pair
from RobustDIRLib.baselines.registry import find_method
from RobustDIRLib.baselines.timing import measured, peak_memory
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import apply_to_points
from timing_process import Probe

_MIB = 2**20
POINTS = [[1.0, 2, 3], [-4, 5, 6]]


@pytest.fixture(scope="module")
def pair(an_image) -> Pair:
    return Pair(an_image, an_image)


def test_outcome_comes_back_whole(pair):
    outcome, _ = measured(Probe("nothing"), pair, 1)
    np.testing.assert_allclose(apply_to_points(outcome.transform, POINTS), np.add(POINTS, [1, 2, 3]))
    assert outcome.inverse is None


def test_composed_transforms_come_back_whole(pair):
    method = find_method("linear")
    outcome, _ = measured(method, pair, 1)
    direct = method.register(pair, 1)
    for found, expected in ((outcome.transform, direct.transform), (outcome.inverse, direct.inverse)):
        np.testing.assert_array_equal(apply_to_points(found, POINTS), apply_to_points(expected, POINTS))


def test_waiting_takes_wall_time_but_no_cpu_time(pair):
    _, cost = measured(Probe("sleep", 0.5), pair, 1)
    assert cost.wall_s >= 0.5
    assert cost.cpu_s < 0.25


def test_preparing_is_not_timed(pair):
    _, cost = measured(Probe("prepare", 1.0), pair, 1)
    assert cost.wall_s < 1.0


def test_computing_takes_cpu_time(pair):
    _, cost = measured(Probe("compute", 0.5), pair, 1)
    assert cost.cpu_s >= 0.5


def test_peak_memory_is_of_the_registration_alone(pair):
    held_by_parent = np.ones(400 * _MIB, dtype=np.uint8)
    (_, little), (_, much) = (measured(Probe("fill", amount), pair, 1) for amount in (0, 300 * _MIB))
    assert little.peak_bytes < 400 * _MIB
    assert 290 * _MIB < much.peak_bytes - little.peak_bytes < 320 * _MIB
    assert peak_memory() > held_by_parent.nbytes


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_reach_libraries(pair, threads):
    outcome, _ = measured(Probe("threads"), pair, threads)
    np.testing.assert_array_equal(outcome.transform.TransformPoint((0.0, 0, 0)), (threads, threads, 0))


def test_refusal_comes_back_as_it_was(pair):
    with pytest.raises(InputError, match="^probe refuses this pair; give another.$"):
        measured(Probe("refuse"), pair, 1)


def test_mistake_comes_back_with_its_traceback(pair):
    with pytest.raises(RuntimeError, match="(?s)probe failed.*in register.*a mistake of ours"):
        measured(Probe("err"), pair, 1)


def test_a_full_disk_comes_back_as_one(pair):
    with pytest.raises(OSError) as raised:
        measured(Probe("full"), pair, 1)
    assert raised.value.errno == errno.ENOSPC


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_killed_process_is_no_mistake_of_ours(pair):
    with pytest.raises(InputError, match="probe: its process was ended by signal 9"):
        measured(Probe("die"), pair, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_registration_ends_with_the_process_that_asked_for_it(tmp_path):
    mark = tmp_path / "pid"
    code = f"""
import sys; sys.path[:] = {sys.path!r}
from timing_process import Marking, Pair
from RobustDIRLib.baselines.timing import measured
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
import numpy as np
image = Image(np.zeros((8, 8, 8), np.float32), Grid((8, 8, 8)))
measured(Marking({str(mark)!r}), Pair(image, image), 1)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    _wait(lambda: mark.exists() and mark.read_text(encoding="utf-8"))
    child = int(mark.read_text(encoding="utf-8"))
    parent.kill()
    parent.wait()
    _wait(lambda: not _runs(child))


def _runs(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(condition, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
