"""Random search: draws in the paper's ranges, goes on after a kill with the same trials, and says which was best."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cohort_cases
from finetuning_cases import NETWORK, a_config, decathlon
from RobustDIRLib import clusters
from RobustDIRLib.cli import main
from RobustDIRLib.clusters import Place
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning import tuning, tuning_journal
from RobustDIRLib.finetuning.config import TuneConfig
from RobustDIRLib.finetuning.tuner import Tuner
from RobustDIRLib.finetuning.tuning import tune
from RobustDIRLib.finetuning.tuning_journal import load_optuna, open_study, take_up_again
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.training.checkpoints import save_checkpoint

pytest.importorskip("optuna")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_journal, "_BEGINNING_S", 0.0)


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("organs"))


def _trials(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "trials.csv").read_text(encoding="utf-8").splitlines()))


def test_the_ranges_and_the_number_of_runs_are_the_papers() -> None:
    config = TuneConfig()
    assert (config.trials, config.learning_rate, config.gradient) == (17, (5e-5, 1e-3), (0.0, 10.0))


def test_it_tries_different_settings_and_names_the_best(organs: Path, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    best = tune(a_config(organs, epochs=1), TuneConfig(trials=3, prune=False), tmp_path, told.append)
    rows = _trials(tmp_path)
    assert len(rows) == 3 and len({row["learning_rate"] for row in rows}) == 3
    assert all(5e-5 <= float(row["learning_rate"]) <= 1e-3 and 0 <= float(row["gradient"]) <= 10 for row in rows)
    assert best["value"] == max(float(row["value"]) for row in rows)
    ran = json.loads((Path(best["file"]).parent / "run.json").read_text(encoding="utf-8"))
    assert ran["optimizer"]["learning_rate"] == best["learning_rate"]
    assert ran["loss"]["gradient"] == best["gradient"]
    assert {record["trial"] for record in told} == {0, 1, 2}
    assert (tmp_path / "trials.png").stat().st_size > 3000


def test_a_search_that_was_cut_off_goes_on_with_the_trial_it_was_in(organs: Path, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die_in_the_second(record: dict[str, Any]) -> None:
        if record["trial"] == 1 and record["kind"] == "checkpoint":
            raise Killed

    config, search = a_config(organs, epochs=2), TuneConfig(trials=3, prune=False)
    with pytest.raises(Killed):
        tune(config, search, tmp_path, die_in_the_second)
    begun = json.loads((tmp_path / "trial_001" / "run.json").read_text(encoding="utf-8"))
    told: list[dict[str, Any]] = []
    tune(config, search, tmp_path, told.append)
    rows = _trials(tmp_path)
    assert sorted(row["folder"] for row in rows) == ["trial_000", "trial_001", "trial_002"]  # as of one never cut off
    again = json.loads((tmp_path / "trial_001" / "run.json").read_text(encoding="utf-8"))
    assert again == begun
    resumed = [r for r in told if r["kind"] == "start" and r["step"] > 0]
    assert len(resumed) == 1
    once_more = tune(config, search, tmp_path, lambda record: pytest.fail(f"nothing is left to do: {record}"))
    assert once_more["trial"] in {int(row["trial"]) for row in rows}


def test_a_trial_that_the_disk_was_full_for_goes_on(organs: Path, tmp_path: Path, monkeypatch) -> None:
    """It is bad input, not a trial that failed: its checkpoint is taken up, as is a journal whose last line is half."""
    checkpoints = []

    def write(path, state):
        checkpoints.append(path)
        if len(checkpoints) == 2:
            raise InputError(f"{path} cannot be written.") from OSError(errno.ENOSPC, "No space left on device")
        save_checkpoint(path, state)

    monkeypatch.setattr("RobustDIRLib.finetuning.loop.save_checkpoint", write)
    config, search = a_config(organs, epochs=2), TuneConfig(trials=1, prune=False)
    with pytest.raises(InputError, match="cannot be written"):
        tune(config, search, tmp_path, lambda _: None)
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code": 5, "wor')
    told: list[dict[str, Any]] = []
    best = tune(config, search, tmp_path, told.append)
    assert Path(best["file"]).parent.name == "trial_000"
    assert [r["step"] > 0 for r in told if r["kind"] == "start"] == [True]
    (tmp_path / "journal.log").write_text('{"op_co\n{"op_code": 5}\n')
    with pytest.raises(InputError, match="journal.log is damaged"):
        tune(config, search, tmp_path, lambda _: None)


def test_a_folder_of_another_search_is_refused_and_more_trials_are_not(organs: Path, tmp_path: Path) -> None:
    tune(a_config(organs, epochs=1), TuneConfig(trials=1), tmp_path, lambda _: None)
    with pytest.raises(InputError, match="another folder"):
        tune(a_config(organs, epochs=1, seed=3), TuneConfig(trials=1), tmp_path, lambda _: None)
    tune(a_config(organs, epochs=1), TuneConfig(trials=2), tmp_path, lambda _: None)
    assert len(_trials(tmp_path)) == 2


def test_a_trial_that_was_killed_before_its_first_checkpoint_begins_anew(organs: Path, tmp_path: Path) -> None:
    """Its weights and records lie there then, which no other run would write over."""

    class Killed(BaseException):
        pass

    def die_at_once(record: dict[str, Any]) -> None:
        if record["kind"] == "epoch":
            raise Killed

    config, search, left = a_config(organs, epochs=1), TuneConfig(trials=1, prune=False), tmp_path / "trial_000"
    with pytest.raises(Killed):
        tune(config, search, tmp_path, die_at_once)
    assert (left / "weights.pt").is_file() and not (left / "checkpoint.pt").exists()
    best = tune(config, search, tmp_path, lambda record: None)
    assert Path(best["file"]).parent == left and (left / "checkpoint.pt").is_file()


@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_a_trial_that_was_killed_before_it_had_begun_draws_the_same(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: int
) -> None:
    class Killed(BaseException):
        pass

    trial, left = load_optuna().trial.Trial, [drawn]
    draw = trial.suggest_float

    def draw_or_die(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        return draw(*args, **more) if left[0] >= 0 else die()

    def die(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(tuning, "_records", lambda *_: iter([{"kind": "epoch", "epoch": 1, "loss": 1.0}]))
    config, search = a_config(organs, epochs=1), TuneConfig(trials=1, prune=False)
    tune(config, search, tmp_path / "whole", lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(trial, "suggest_float", draw_or_die)
        patch.setattr(trial, "set_user_attr", die)
        with pytest.raises(Killed):
            tune(config, search, tmp_path / "killed", lambda _: None)
    tune(config, search, tmp_path / "killed", lambda _: None)
    whole, killed = (_trials(tmp_path / name) for name in ("whole", "killed"))
    assert [{**row, "trial": ""} for row in whole] == [{**row, "trial": ""} for row in killed]


@pytest.mark.parametrize("trial", [0, 1])
def test_a_search_that_is_stopped_goes_on_with_the_trial_it_was_in(
    organs: Path, tmp_path: Path, trial: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that the user stopped is not one that was worse than others: it is not over."""
    settings, steps = tmp_path / "settings.json", list[int]()
    plain = {"initial": None, "network": NETWORK, "alignment": "centre", "precision": "fp32", "epochs": 2}
    settings.write_text(json.dumps(plain))
    command = ["tune", str(organs), "-o", str(tmp_path / "search"), "--config", str(settings), "--trials", "2"]
    learn = Tuner.learn

    def interrupted(tuner: Tuner, *rest: Any) -> float:
        steps.append(tuner.learner.step)
        if len(steps) == 1 + 2 * trial * tuner.steps_per_epoch:
            os.kill(os.getpid(), signal.SIGINT)
        return learn(tuner, *rest)

    monkeypatch.setattr(Tuner, "learn", interrupted)
    assert main([*command, "--threads", "1", "--no-prune"]) == 128 + signal.SIGINT
    told = capsys.readouterr().out
    assert "stopped; the same command goes on" in told and ("best so far: trial 0" in told) == (trial == 1)
    assert main([*command, "--threads", "1", "--no-prune"]) == 0
    rows = _trials(tmp_path / "search")
    assert [row["state"] for row in rows] == ["complete"] * 2 and {row["epochs"] for row in rows} == {"2"}
    assert len({row["folder"] for row in rows}) == 2 and f"trial_{trial:03d}" in {row["folder"] for row in rows}
    assert len(steps) == 2 * max(steps) + 2  # none was done twice


def test_commands_that_share_a_folder_draw_different_settings_and_a_run_the_same_ones_each_time(
    organs: Path, tmp_path: Path
) -> None:
    """Each opened the journal while it was empty, as on machines that are started together."""
    optuna, config = load_optuna(), TuneConfig(trials=4, seed=2**40)
    drawn: list[list[tuple[float, float]]] = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        studies = [open_study(optuna, config, folder) for _ in range(2)]
        for study in (*studies, *studies):
            study.optimize(lambda trial, at=folder: _drawn(optuna, trial, organs, config, at), n_trials=1)
        params = [trial.params for trial in studies[0].get_trials()]
        drawn.append([(p["learning_rate"], p["gradient"]) for p in params])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 4


def _drawn(optuna: Any, trial: Any, organs: Path, config: TuneConfig, folder: Path) -> float:
    """A trial's draws, without its run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_records", lambda run, place: iter(()))
        tuning._run(optuna, trial, a_config(organs), config, folder, lambda record: None)
    return 0.0


def test_a_trial_that_another_command_has_just_begun_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optuna = load_optuna()
    study = open_study(optuna, TuneConfig(trials=2), tmp_path)
    begun, dead = study.ask(), study.ask()
    with ExitStack() as held:

        def begin(_: float) -> None:
            begun.set_user_attr("folder", f"trial_00{begun.number}")
            held.enter_context(locked(tmp_path / f"trial_00{begun.number}", Rank.alone()))

        monkeypatch.setattr(tuning_journal, "time", SimpleNamespace(sleep=begin))
        take_up_again(optuna, study, tmp_path)
    states = {trial.number: trial.state.name for trial in study.get_trials()}
    assert (states[begun.number], states[dead.number]) == ("RUNNING", "FAIL")


def test_commands_that_share_a_folder_do_as_many_runs_as_asked_for(organs: Path, tmp_path: Path) -> None:
    config, search, told = a_config(organs, epochs=1), TuneConfig(trials=2, prune=False), list[int]()

    def another_comes(record: dict[str, Any]) -> None:
        if record["kind"] == "checkpoint" and not told:  # the first trial is at work
            told.append(record["trial"])
            tune(config, search, tmp_path, lambda record: told.append(record["trial"]))

    assert tune(config, search, tmp_path, another_comes)["trial"] in (0, 1)
    assert set(told) == {0, 1}
    assert [row["trial"] for row in _trials(tmp_path)] == ["0", "1"]
    assert sorted(path.name for path in tmp_path.glob("trial_*")) == ["trial_000", "trial_001"]


def test_all_runs_of_a_search_are_judged_on_the_same_people_whoever_joins_the_data_set(tmp_path: Path) -> None:
    organs, search = decathlon(tmp_path / "organs", 8), tmp_path / "search"
    listed = json.loads((organs / "dataset.json").read_text())
    (organs / "dataset.json").write_text(json.dumps({**listed, "training": listed["training"][:6]}))
    tune(a_config(organs, epochs=1), TuneConfig(trials=1, prune=False), search, lambda _: None)
    (organs / "dataset.json").write_text(json.dumps(listed))
    tune(a_config(organs, epochs=1), TuneConfig(trials=2, prune=False), search, lambda _: None)
    splits = [json.loads((search / f"trial_00{k}" / "split.json").read_text()) for k in (0, 1)]
    assert splits[0] == splits[1]


def test_a_search_whose_journal_is_lost_begins_beside_the_runs_that_lie_there(organs: Path, tmp_path: Path) -> None:
    config, search, told = a_config(organs, epochs=1), TuneConfig(trials=1, prune=False), list[str]()
    tune(config, search, tmp_path, lambda _: None)
    (tmp_path / "journal.log").unlink()
    best = tune(config, search, tmp_path, lambda _: None, say=told.append)
    assert Path(best["file"]).parent.name == "trial_001"
    assert len(told) == 1 and "knows nothing of the 1 runs" in told[0]


@pytest.mark.parametrize(
    "journal", [b"\xff\xfe\n", b"5\n", b"null\n", b"{}\n", b'{"op_code": "x", "worker_id": 3}\n', b'{"op_code": 4}\n']
)
def test_a_journal_that_holds_anything_else_is_a_sentence(organs: Path, tmp_path: Path, journal: bytes) -> None:
    (tmp_path / "journal.log").write_bytes(journal)
    with pytest.raises(InputError, match="journal.log is damaged"):
        tune(a_config(organs), TuneConfig(trials=1), tmp_path, lambda _: None)


@pytest.mark.skipif(os.name == "nt", reason="kills a process by a signal")
def test_a_journal_that_cannot_be_written_is_a_sentence(organs: Path, tmp_path: Path) -> None:
    (tmp_path / "journal.log").mkdir()
    with pytest.raises(InputError, match="journal.log cannot be written"):
        tune(a_config(organs, epochs=1), TuneConfig(trials=1), tmp_path, lambda _: None)


def test_trials_on_a_cluster_are_as_many_and_one_whose_worker_dies_goes_on(organs: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    told: list[dict[str, Any]] = []

    with cohort_cases.a_cluster(2, failures=3) as cluster:

        def kill_one_at_its_first_checkpoint(record: dict[str, Any]) -> None:
            if not any(earlier["kind"] == "checkpoint" for earlier in told) and record["kind"] == "checkpoint":
                os.kill(cluster.workers[0].pid, signal.SIGKILL)
            told.append(record)

        search, place = TuneConfig(trials=3, prune=False), Place(scheduler=cluster.scheduler_address)
        best = tune(a_config(organs, epochs=2), search, tmp_path, kill_one_at_its_first_checkpoint, place)
    rows = _trials(tmp_path)
    assert len(rows) == 3 and len({row["learning_rate"] for row in rows}) == 3
    assert {row["state"] for row in rows} == {"complete"} and {row["epochs"] for row in rows} == {"2"}
    assert {row["folder"] for row in rows} == {path.name for path in tmp_path.glob("trial_*")}
    assert best["value"] == max(float(row["value"]) for row in rows)
    assert not [record for record in told if "trial" not in record]


def test_several_at_once_without_dask_are_one_after_the_other_which_is_said(
    organs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "find_spec", lambda name: None)
    settings = tmp_path / "settings.json"
    plain = {"initial": None, "network": NETWORK, "alignment": "centre", "precision": "fp32", "epochs": 1}
    settings.write_text(json.dumps(plain))
    command = ["tune", str(organs), "-o", str(tmp_path / "search"), "--config", str(settings), "--trials", "1"]
    assert main([*command, "--threads", "1", "--jobs", "2"]) == 0
    assert "several jobs need Dask (pip install 'robustdir[cluster]')" in capsys.readouterr().out
    assert main([*command, "--jobs", "0"]) == 2
    assert main([*command, "--threads", "1", "--scheduler", "tcp://127.0.0.1:9"]) == 0  # nothing is left to do


def test_the_command_searches(organs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.json"
    plain = {"initial": None, "network": NETWORK, "alignment": "centre", "precision": "fp32", "epochs": 1}
    settings.write_text(json.dumps(plain))
    command = ["tune", str(organs), "-o", str(tmp_path / "search"), "--config", str(settings), "--trials", "1"]
    assert main([*command, "--threads", "1"]) == 0
    assert "best: trial 0" in capsys.readouterr().out
    assert main([*command, "--trials", "0"]) == 2
