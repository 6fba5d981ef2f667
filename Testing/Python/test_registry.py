"""Runs that lie in folders: listed quickly and rightly whatever state they are in, resumed, deleted."""

import json
import os
import shutil
import signal
import socket
import time

import psutil
import pytest

import runner_cases as cases
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.lock import HOME, LockHolder
from RobustDIRLib.runner.deleting import delete_run
from RobustDIRLib.runner.registry import Registry, read_run, resume_words
from RobustDIRLib.runner.states import Evidence, RunState, judge


def listed(home):
    return {entry.folder.name: entry for entry in Registry([home]).list()}


def test_what_a_table_shows(tmp_path):
    cases.a_finished_run(tmp_path / "a")
    entry = listed(tmp_path)["a"]
    assert (entry.kind, entry.state) == ("finetune", RunState.ENDED)
    assert (entry.step, entry.steps, entry.epoch, entry.epochs) == (200, 200, 40, 40)
    assert entry.best["dice"] == pytest.approx(0.8)
    assert entry.seconds_left is None
    assert not entry.resumable
    assert abs(entry.began - time.time()) < 60
    assert entry.began_at.year >= 2026


def test_the_best_is_told_of_a_run_too_long_to_read(tmp_path):
    """Its best epoch lies far before the end of the records, which is all that is read."""
    cases.a_finished_run(tmp_path / "long", records=20_000)
    assert (tmp_path / "long" / "records.jsonl").stat().st_size > 1 << 20
    entry = read_run(tmp_path / "long")
    assert entry.best["dice"] == pytest.approx(0.8)
    assert (entry.step, entry.state) == (20_000, RunState.ENDED)


def test_records_that_do_not_tell_the_best_so_far_are_read_further_back(tmp_path):
    """As those of a pretraining."""
    folder = cases.a_finished_run(tmp_path / "a")
    errors = [5.0, 1.5, *(2.0 + k / 100 for k in range(300))]
    lines = [{"kind": "validation", "step": k, "error": error} for k, error in enumerate(errors)]
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_run(folder).best == {"error": 1.5}


@pytest.mark.parametrize(
    ("final", "state", "resumable"),
    [("end", RunState.ENDED, False), ("stop", RunState.STOPPED, True), ("", RunState.KILLED, True)],
)
def test_the_last_word_of_a_run_tells_its_state(tmp_path, final, state, resumable):
    entry = read_run(cases.a_finished_run(tmp_path / "a", final=final))
    assert (entry.state, entry.resumable) == (state, resumable)


def test_runs_of_every_kind_are_known(tmp_path):
    for name, files in {
        "pretraining": {"run.json": {"banks": ["b"], "steps": 3}, "records.jsonl": {"kind": "step", "step": 1}},
        "evaluation": {"evaluation.json": {"command": "x"}, "summary.json": {}},
        "deformations": {"deformation_model.npz": {}, "card.json": {}},
        "registration": {"run.json": {"measures": {}}, "transform.h5": {}},
        "of tomorrow": {"run.json": {"recipe": 5}, "records.jsonl": {"kind": "leap", "step": 1}},
    }.items():
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(json.dumps(content))
    found = {name: entry.kind for name, entry in listed(tmp_path).items()}
    assert found == {
        "pretraining": "pretrain",
        "evaluation": "evaluate",
        "deformations": "deformation-model",
        "registration": "register",
        "of tomorrow": "",
    }
    assert "not known to this version" in listed(tmp_path)["of tomorrow"].message
    assert listed(tmp_path)["evaluation"].state is RunState.ENDED


def test_an_evaluation_tells_its_progress_by_its_output(tmp_path):
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "evaluation.json").write_text(json.dumps({"command": "x"}))
    lines = [
        {"kind": "start", "step": 0, "steps": 6},
        {"kind": "end", "step": 6},  # of the time before
        {"kind": "start", "step": 2, "steps": 8},
        {"kind": "pair", "pair": 3, "pairs": 8, "seconds_per_step": 4.0},
    ]
    (tmp_path / "e" / "output.txt").write_text("".join(json.dumps(line) + "\nin words\n" for line in lines))
    entry = read_run(tmp_path / "e")
    assert (entry.step, entry.steps, entry.state) == (3, 8, RunState.KILLED)
    (tmp_path / "e" / "summary.json").write_text("{}")
    assert read_run(tmp_path / "e").state is RunState.ENDED


def test_other_folders_are_no_runs(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.nii.gz").touch()
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "run.json").write_text("{}")
    assert listed(tmp_path) == {}
    assert Registry([tmp_path / "none", tmp_path / "images" / "a.nii.gz"]).list() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "run.json").write_text('{"dataset'),
        lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe\x00"),
        lambda folder: (folder / "records.jsonl").write_bytes(b"\x00" * 5000),
        lambda folder: (folder / "records.jsonl").write_text("[[[[\n" * 100),
        lambda folder: (folder / "records.jsonl").unlink(),
        lambda folder: (folder / "process.json").write_text("{}"),
        lambda folder: (folder / "process.json").write_text('{"format": "robustdir-process-1", "pid": "x"}'),
        lambda folder: (folder / "process.json").mkdir(),
        lambda folder: os.utime(folder / "records.jsonl", (1e11, 1e11)),
        lambda folder: (folder / "run.json").write_text('{"dataset": "d", "judge": "auto", "epochs": "many"}'),
    ],
)
def test_a_damaged_run_is_listed_beside_the_others(tmp_path, damage):
    for name in "abc":
        cases.a_finished_run(tmp_path / name)
    damage(tmp_path / "b")
    found = listed(tmp_path)
    assert set(found) == {"a", "b", "c"}
    assert not found["b"].alive
    assert found["a"].state is found["c"].state is RunState.ENDED


def test_a_folder_that_vanishes_is_no_longer_listed(tmp_path):
    for name in "ab":
        cases.a_finished_run(tmp_path / name)
    registry = Registry([tmp_path])
    assert len(registry.list()) == 2
    shutil.rmtree(tmp_path / "a")
    assert [entry.folder.name for entry in registry.list()] == ["b"]


def test_what_changes_is_read_again(tmp_path):
    folder = cases.a_finished_run(tmp_path / "a", final="")
    registry = Registry([tmp_path])
    assert registry.list()[0].state is RunState.KILLED
    with (folder / "records.jsonl").open("a") as file:
        file.write('{"kind": "end", "step": 201}\n')
    assert (registry.list()[0].state, registry.list()[0].step) == (RunState.ENDED, 201)


def test_a_live_run_is_listed_as_such(tmp_path):
    run = cases.begin(tmp_path / "live")
    try:
        registry = Registry([tmp_path])
        cases.wait(run, lambda run: run.history.step > 7)
        entry = registry.list()[0]
        assert (entry.state, entry.alive, entry.resumable, entry.kind) == (RunState.RUNNING, True, False, "finetune")
        assert entry.seconds_left > 0
        assert entry.best["dice"] > 0.5
        for refused in (resume_words, delete_run):
            with pytest.raises(InputError, match="at work in this folder"):
                refused(tmp_path / "live")
        os.kill(run.process_id, signal.SIGSTOP)
        cases.wait(run, lambda run: psutil.Process(run.process_id).status() == psutil.STATUS_STOPPED)
        assert registry.list()[0].alive
        run.kill()
        assert registry.list()[0].state is RunState.KILLED  # noticed though no file has changed
    finally:
        run.kill()


class TestOtherMachines:
    @pytest.fixture
    def a_lock(self, tmp_path):
        folder = cases.a_finished_run(tmp_path / "a", final="")
        (folder / HOME).mkdir()
        path = folder / HOME / "1.json"
        path.write_text(json.dumps(vars(LockHolder("r", 0, "another.machine", 1, "5", "", True))))
        return path

    def test_their_runs_are_alive_and_left_alone(self, a_lock):
        entry = read_run(a_lock.parents[1])
        assert entry.alive
        assert "Another machine" in entry.message
        for refused in (resume_words, delete_run):
            with pytest.raises(InputError, match="another.machine"):
                refused(a_lock.parents[1])

    def test_until_their_lock_is_old(self, a_lock):
        os.utime(a_lock, (time.time() - 1000,) * 2)
        entry = read_run(a_lock.parents[1])
        assert (entry.alive, entry.state, entry.resumable) == (False, RunState.KILLED, True)
        assert a_lock.exists()  # looking changes nothing

    def test_a_lock_of_a_process_that_works_elsewhere_is_not_this_folders(self, a_lock):
        from RobustDIRLib.io.processes import start_of

        entry = LockHolder("r", 0, socket.gethostname(), os.getpid(), start_of(os.getpid()), "", True)
        a_lock.write_text(json.dumps(vars(entry)))
        from RobustDIRLib.runner.watching import attach

        assert attach(a_lock.parents[1]) is None  # nobody would end that process
        with pytest.raises(InputError, match="at work"):
            delete_run(a_lock.parents[1])


class TestResuming:
    def test_words_of_each_kind(self, tmp_path):
        folder = cases.a_finished_run(tmp_path / "p", final="stop")
        (folder / "run.json").write_text(json.dumps({"banks": ["b"]}))
        assert resume_words(folder) == ["pretrain", str(folder / "run.json"), "--output", str(folder), "--resume"]
        folder = tmp_path / "e"
        folder.mkdir()
        (folder / "evaluation.json").write_text(json.dumps({"command": f"robustdir evaluate data -o {folder}"}))
        assert resume_words(folder) == ["evaluate", "data", "-o", str(folder)]

    @pytest.mark.parametrize("kind", ["tune", "study", "deformation-model"])
    def test_what_keeps_no_records_is_begun_again_by_its_own_words(self, tmp_path, kind):
        run = cases.begin(tmp_path / "r", "--seconds", "0.02", kind=kind)
        try:
            cases.wait(run, lambda run: (run.folder / "records.jsonl").exists())
            with pytest.raises(InputError, match="at work in this folder"):
                resume_words(run.folder)
        finally:
            run.kill()
        cases.wait_for_state(run, RunState.KILLED)
        entry = read_run(run.folder)
        assert (entry.kind, entry.state, entry.resumable) == (kind, RunState.KILLED, True)
        words = resume_words(run.folder)
        assert words == [kind, "--output", str(run.folder), "--seconds", "0.02"]
        moved = (tmp_path / "r").rename(tmp_path / "moved")
        assert not read_run(moved).resumable  # its words name another folder

    def test_a_study_that_has_ended_is_not_begun_again(self, tmp_path):
        run = cases.begin(tmp_path / "r", "--steps", "2", kind="study")
        cases.wait_for_state(run, RunState.ENDED)
        with pytest.raises(InputError, match="come to its end"):
            resume_words(run.folder)

    def test_an_end_is_an_end(self, tmp_path):
        with pytest.raises(InputError, match="come to its end"):
            resume_words(cases.a_finished_run(tmp_path / "a"))

    def test_a_run_that_ended_before_its_first_checkpoint_begins_again_and_without_settings_nothing_does(
        self, tmp_path
    ):
        folder = cases.a_finished_run(tmp_path / "a", final="")
        (folder / "checkpoint.pt").unlink()
        assert resume_words(folder) == ["finetune", "--output", str(folder), "--resume"]
        (folder / "run.json").unlink()
        assert not read_run(folder).resumable
        with pytest.raises(InputError, match="nothing to go on from"):
            resume_words(folder)

    def test_an_evaluation_that_moved_is_not_made_elsewhere(self, tmp_path):
        (tmp_path / "e").mkdir()
        (tmp_path / "e" / "evaluation.json").write_text(json.dumps({"command": "robustdir evaluate d -o /elsewhere"}))
        assert not read_run(tmp_path / "e").resumable


class TestDeleting:
    def test_a_run_goes_whole(self, tmp_path):
        folder = cases.a_finished_run(tmp_path / "a")
        assert delete_run(folder) == []
        assert not folder.exists()

    def test_what_is_not_the_runs_stays(self, tmp_path):
        folder = cases.a_finished_run(tmp_path / "a")
        (folder / "scan.nii.gz").touch()
        assert delete_run(folder) == ["scan.nii.gz"]
        assert [path.name for path in folder.iterdir()] == ["scan.nii.gz"]

    def test_what_is_no_run_is_refused(self, tmp_path):
        (tmp_path / "scan.nii.gz").touch()
        for folder in (tmp_path, tmp_path / "none", tmp_path / "scan.nii.gz"):
            with pytest.raises(InputError, match="holds no run"):
                delete_run(folder)
        assert (tmp_path / "scan.nii.gz").exists()

    def test_what_a_pretraining_was_started_with_and_made_goes_with_it(self, tmp_path):
        folder = cases.a_finished_run(tmp_path / "a")
        (folder / "run.json").write_text(json.dumps({"banks": [str(folder / "bank")]}))
        (folder / "process.json").unlink(missing_ok=True)
        (folder / "bank").mkdir()
        for name in ("settings.json", "bank.json", "bank/labels_0000.npz"):
            (folder / name).write_text("{}")
        assert delete_run(folder) == []
        assert not folder.exists()

    def test_a_folder_that_is_called_as_a_file_of_the_run_is_left(self, tmp_path):
        folder = cases.a_finished_run(tmp_path / "a")
        (folder / "stop").mkdir()
        (folder / "stop" / "notes.txt").touch()
        assert delete_run(folder) == ["stop"]
        assert (folder / "stop" / "notes.txt").exists()

    def test_a_link_is_deleted_and_not_what_it_leads_to(self, tmp_path):
        folder = cases.a_finished_run(tmp_path / "a")
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "weights.pt").write_text("1")
        (folder / "weights.pt").symlink_to(tmp_path / "kept" / "weights.pt")
        (folder / "split.json").symlink_to(tmp_path / "kept", target_is_directory=True)
        assert delete_run(folder) == []
        assert (tmp_path / "kept" / "weights.pt").exists()


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (Evidence(True), RunState.RUNNING),
        (Evidence(True, begun=False), RunState.STARTING),
        (Evidence(True, paused=True), RunState.PAUSED),
        (Evidence(True, paused=True, asked=True), RunState.STOPPING),
        (Evidence(False, final="end"), RunState.ENDED),
        (Evidence(False, exit_code=0), RunState.ENDED),
        (Evidence(False, complete=True), RunState.ENDED),
        (Evidence(False, final="stop", exit_code=0), RunState.STOPPED),
        (Evidence(False, final="stop", exit_code=143), RunState.STOPPED),
        (Evidence(False, asked=True, exit_code=130), RunState.STOPPED),
        (Evidence(False, asked=True, recorded=False), RunState.STOPPED),
        (Evidence(False, asked=True), RunState.KILLED),
        (Evidence(False, exit_code=2, problem="x"), RunState.FAILED),
        (Evidence(False, final="end", exit_code=1, problem="x"), RunState.FAILED),
        (Evidence(False, problem="x"), RunState.FAILED),
        (Evidence(False), RunState.KILLED),
        (Evidence(False, exit_code=-9), RunState.KILLED),
        (Evidence(False, exit_code=137), RunState.KILLED),
        (Evidence(False, forced=True, final="stop"), RunState.KILLED),
        (Evidence(False, forced=True, unasked=True, asked=True), RunState.STOPPED),
        (Evidence(False, forced=True, asked=True, recorded=False), RunState.STOPPED),
        (Evidence(False, asked=True, recorded=False, exit_code=-9), RunState.STOPPED),
    ],
)
def test_states_are_judged_from_all_there_is(evidence, state):
    assert judge(evidence) is state
    assert state.over is not evidence.alive
