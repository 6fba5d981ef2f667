"""A run from the panel's side: results or a sentence, whatever happens to it, and nothing left behind."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import panel_cases
from registration_cases import grid_about, picture
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import apply_to_points, read_transform
from RobustDIRLib.panel import runs
from RobustDIRLib.panel.request import ChosenMethod, RegistrationRequest
from RobustDIRLib.panel.runs import RegistrationRun, RegistrationState, new_folder
from RobustDIRLib.panelparts import exchange, handover, workplaces
from RobustDIRLib.values import Image

FIXED = grid_about(np.array([30.0, -20, 10]), (22, 25, 27), (3.1, 2.9, 3.4), (12, -8, 20), (1, -1, 1))
MOVING = grid_about(np.array([33.0, -21, 6]), (24, 26, 21), (3.6, 3.3, 4.0), (-10, 25, 8), (-1, 1, 1))
CENTRE = np.array([30.0, -20, 10])
ALL = (handover.TRANSFORM_FIELD, handover.INVERSE_FIELD, handover.WARPED, handover.JACOBIAN)


@pytest.fixture(scope="module")
def a_request() -> RegistrationRequest:
    fixed = picture(FIXED, lambda p: p - CENTRE)
    moving = picture(MOVING, lambda p: (p - CENTRE) * 1.03 - [2, 1, 3])
    mask = Image(np.ones((12, 12, 12), np.uint8), grid_about(CENTRE, (12, 12, 12), (7, 7, 7), (3, 4, 5)))
    method = ChosenMethod(alignment="none", device="cpu", quality="fast")
    return RegistrationRequest(Image(fixed.array, FIXED), Image(moving.array, MOVING), method, fixed_mask=mask)


@pytest.fixture
def a_folder(tmp_path) -> Path:
    return new_folder(tmp_path, FIXED, MOVING)


def finish(run: RegistrationRun, seconds: float = 600.0) -> RegistrationState:
    end = time.monotonic() + seconds
    while run.advance() is RegistrationState.RUNNING:
        if time.monotonic() > end:
            run.kill()
            raise TimeoutError(run.stage)
        time.sleep(0.01)
    return run.state


def wait_for_stage(run: RegistrationRun, *stages: str) -> None:
    end = time.monotonic() + 60
    while run.stage not in stages:
        assert run.advance() is RegistrationState.RUNNING, run.message
        assert time.monotonic() < end
        time.sleep(0.005)


def play(monkeypatch, code: str) -> None:
    """Another process in place of the registering one."""
    monkeypatch.setattr(runs, "library_command", lambda *words: [sys.executable, "-c", code, *words])


@pytest.fixture(scope="module")
def a_real_run(a_request, tmp_path_factory) -> tuple[RegistrationRun, float]:
    """Done by the process that registers, and how long its longest step took of this one's time, seconds."""
    folder = new_folder(tmp_path_factory.mktemp("real"), FIXED, MOVING)
    run, longest = RegistrationRun(a_request, folder, None, ALL), 0.0
    while run.state is RegistrationState.RUNNING:
        begun = time.thread_time()
        run.advance()
        longest = max(longest, time.thread_time() - begun)
        time.sleep(0.01)
    assert run.state is RegistrationState.DONE, run.message
    return run, longest


def test_a_real_run_gives_results_that_agree_with_its_own_files(a_real_run):
    run, _ = a_real_run
    results = run.results
    assert set(results.arrays) == set(ALL)
    assert results.headers[handover.WARPED].grid.close_to(FIXED, 1e-6)
    transform = read_transform(results.folder / "transform.h5")
    header = results.headers[handover.TRANSFORM_FIELD]
    voxel = (5, 7, 9)
    point = header.grid.points_from_voxels(np.array(voxel, float))
    moved = point + results.arrays[handover.TRANSFORM_FIELD][voxel] * [-1, -1, 1]
    np.testing.assert_allclose(moved, apply_to_points(transform, point[None])[0], atol=1e-3)
    assert 0 < run.took["network"] < 60
    assert run.fraction == 1.0


def test_only_what_is_wanted_is_read(a_request, a_folder, monkeypatch):
    panel_cases.play(monkeypatch, "well")  # which hands everything over
    run = RegistrationRun(a_request, a_folder, None, (handover.JACOBIAN,))
    assert finish(run) is RegistrationState.DONE, run.message
    assert set(run.results.arrays) == {handover.JACOBIAN}


def test_steps_are_short(a_real_run):
    _, longest = a_real_run
    assert longest < 0.1


@pytest.mark.parametrize("stage", ["hand over", "start", "read"])
def test_cancelling_leaves_nothing(a_request, a_folder, stage):
    run = RegistrationRun(a_request, a_folder, None, ALL)
    wait_for_stage(run, stage, "normalise", "align", "network")
    run.stop()
    assert finish(run) is RegistrationState.STOPPED
    assert run.results is None
    assert not a_folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_process_ended_from_outside_is_a_sentence(a_request, a_folder):
    run = RegistrationRun(a_request, a_folder, None, ALL)
    wait_for_stage(run, "start")
    while run.process_id is None:
        run.advance()
    os.kill(run.process_id, signal.SIGKILL)
    assert finish(run) is RegistrationState.FAILED
    assert "ended from outside" in run.message
    assert not a_folder.exists()


def test_a_model_that_is_gone_is_a_sentence(a_request, a_folder):
    request = RegistrationRequest(a_request.fixed, a_request.moving, ChosenMethod(model="/gone/weights.pt"))
    run = RegistrationRun(request, a_folder, None, ALL)
    assert finish(run) is RegistrationState.FAILED
    assert run.message == "/gone/weights.pt does not exist; check the path."


def test_a_full_disk_while_handing_over_is_a_sentence(a_request, a_folder, monkeypatch):
    def full(path, array, grid):
        yield
        raise InputError(f"{path.parent} cannot be written to (No space left on device); free some space.")

    monkeypatch.setattr(exchange, "write_in_steps", full)
    run = RegistrationRun(a_request, a_folder, None, ALL)
    assert finish(run) is RegistrationState.FAILED
    assert "No space left on device" in run.message
    assert not a_folder.exists()


def test_a_full_disk_in_the_process_is_a_sentence(a_request, a_folder, monkeypatch):
    play(monkeypatch, "raise OSError(28, 'No space left on device')")
    run = RegistrationRun(a_request, a_folder, None, ALL)
    assert finish(run) is RegistrationState.FAILED
    assert run.message.startswith("The disk of the run folder is full")


def test_a_process_that_says_it_is_done_and_is_not(a_request, a_folder, monkeypatch):
    play(monkeypatch, "print('all well')")
    run = RegistrationRun(a_request, a_folder, None, ALL)
    assert finish(run) is RegistrationState.FAILED
    assert "cannot be read" in run.message
    assert run.log == ["all well"]


def test_results_cut_short_are_a_sentence(a_request, a_folder, monkeypatch):
    (a_folder / runs.RESULT).mkdir()
    (a_folder / runs.HANDOVER).mkdir()
    (a_folder / runs.RESULT / "run.json").write_text(json.dumps({"measures": {}}))
    exchange.write(a_folder / runs.HANDOVER / handover.WARPED, a_request.fixed.array, FIXED)
    whole = (a_folder / runs.HANDOVER / handover.WARPED).read_bytes()
    (a_folder / runs.HANDOVER / handover.WARPED).write_bytes(whole[:-8])
    play(monkeypatch, "pass")
    run = RegistrationRun(a_request, a_folder, None, (handover.WARPED,))
    assert finish(run) is RegistrationState.FAILED
    assert "cut short" in run.message


def test_killing_ends_the_process_at_once(a_request, a_folder, monkeypatch):
    play(monkeypatch, "import time; time.sleep(60)")
    run = RegistrationRun(a_request, a_folder, None, ALL)
    wait_for_stage(run, "start")
    run.advance()
    run.kill()
    assert run.state is RegistrationState.STOPPED
    assert not a_folder.exists()


class TestFolders:
    def test_too_little_room_is_a_sentence(self, tmp_path, monkeypatch):
        usage = type("Usage", (), {"free": 1000})
        monkeypatch.setattr(runs.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(InputError, match="The disk of .* is full: the registration needs .* MiB"):
            new_folder(tmp_path, FIXED, MOVING)

    def test_no_such_place_is_a_sentence(self, tmp_path):
        with pytest.raises(InputError, match="cannot take the panel's files"):
            new_folder(tmp_path / "gone", FIXED, MOVING)

    def test_only_folders_of_runs_are_removed(self, tmp_path):
        (tmp_path / "mine").mkdir()
        workplaces.remove_workplace(tmp_path / "mine")
        assert (tmp_path / "mine").exists()
