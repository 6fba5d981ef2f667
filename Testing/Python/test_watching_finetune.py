"""A real fine-tuning under the runner: watched, paused, stopped, resumed to its end."""

import json
import os

import pytest

import runner_cases as cases
from finetuning_cases import a_config, decathlon
from RobustDIRLib.configuration import to_dict
from RobustDIRLib.runner import watching
from RobustDIRLib.runner.registry import Registry, resume_words
from RobustDIRLib.runner.states import RunState

SECONDS = 120.0  # at most, for what takes a few on a machine that does nothing else


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    config = a_config(decathlon(folder / "organs"), epochs=2, convergence={"stop": False})
    (folder / "settings.json").write_text(json.dumps(to_dict(config)))
    return folder / "settings.json"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_from_start_over_a_pause_and_a_stop_to_the_end(settings, tmp_path):
    folder = tmp_path / "runs" / "first"
    words = ["finetune", "--config", str(settings), "--output", str(folder)]
    run = watching.start(folder, words, {"OMP_NUM_THREADS": "1"})
    try:
        run.pause()
        cases.wait_for_state(run, RunState.PAUSED, seconds=SECONDS)
        (entry,) = Registry([tmp_path / "runs"]).list()
        assert (entry.state, entry.kind, entry.step) == (RunState.PAUSED, "finetune", 1)
        run.stop(grace=SECONDS)
        cases.wait_for_state(run, RunState.STOPPED, seconds=SECONDS)
        assert (run.exit_code, run.message) == (0, "")
        (entry,) = Registry([tmp_path / "runs"]).list()
        assert (entry.state, entry.resumable, entry.epochs) == (RunState.STOPPED, True, 2)
        run = watching.start(folder, resume_words(folder), {"OMP_NUM_THREADS": "1"})
        cases.wait_for_state(run, RunState.ENDED, seconds=SECONDS)
    finally:
        run.kill()
    (entry,) = Registry([tmp_path / "runs"]).list()
    best = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (entry.state, entry.resumable, entry.alive) == (RunState.ENDED, False, False)
    assert (entry.epoch, entry.step) == (2, entry.steps)
    assert entry.best == pytest.approx({name: held.value for name, held in run.history.best.items()})
    assert len(run.history.curves["epoch/dice"].points) == 3  # before, and after each epoch
    assert best["pairs"]
    assert not (folder / ".running").exists()


@pytest.mark.long
def test_its_own_refusals_are_told(settings, tmp_path):
    folder = tmp_path / "run"
    run = watching.start(folder, ["finetune", "/no/such/data", "--output", str(folder)])
    cases.wait_for_state(run, RunState.FAILED, seconds=SECONDS)
    assert "/no/such/data" in run.message
    assert run.exit_code == 2
