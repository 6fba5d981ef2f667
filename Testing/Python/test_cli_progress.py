"""`robustdir register` for programs: JSON lines, the stop file, and what it hands over."""

import json
import os
import signal

import numpy as np
import pytest

from registration_cases import Standin, grid_about, picture
from RobustDIRLib import model_file
from RobustDIRLib.cli import main, progress
from RobustDIRLib.cli import register as register_command
from RobustDIRLib.io.images import write_image
from RobustDIRLib.panelparts import handover

GRID = grid_about(np.array([30.0, -20, 10]), (15, 21, 17), (4.9, 3.4, 5.3), (12, -8, 20), (1, -1, 1))


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Runs `robustdir register` on a small pair without a network; gives its exit code."""
    for name in ("fixed", "moving"):
        write_image(tmp_path / f"{name}.mha", picture(GRID, lambda p: p - np.array([30.0, -20, 10])))
    monkeypatch.setattr(model_file, "read_model", lambda *_: Standin())

    def run(*words: str) -> int:
        pair = [str(tmp_path / f"{name}.mha") for name in ("fixed", "moving")]
        return main(["register", *pair, "-o", str(tmp_path / "run"), "--alignment", "none", *words])

    return run


def events(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_stage_begins_and_ends(register, capsys, tmp_path):
    assert register("--progress", "json") == 0
    said = events(capsys)
    stages = [event for event in said if event["event"] == "stage"]
    names = ["read", "normalise", "align", "network", "refine", "resample", "measure", "write"]
    assert [event["stage"] for event in stages[::2]] == [event["stage"] for event in stages[1::2]] == names
    assert [event["done"] for event in stages] == [False, True] * len(names)
    assert all(event["seconds"] >= 0 for event in stages[1::2])
    assert said[-1]["event"] == "result"
    assert said[-1]["folder"] == str(tmp_path / "run")


def test_the_panel_knows_every_stage(register, capsys):
    from RobustDIRLib.panel.forecast import STAGES

    register("--progress", "json")
    assert {event["stage"] for event in events(capsys) if event["event"] == "stage"} <= set(STAGES)


def test_bad_input_is_an_event_and_a_sentence(register, capsys, tmp_path):
    assert register("--progress", "json", "--fixed-mask", str(tmp_path / "gone.nrrd")) == 2
    captured = capsys.readouterr()
    said = json.loads(captured.out.splitlines()[-1])
    assert said["event"] == "error"
    assert captured.err == f"robustdir: {said['message']}\n"
    assert "gone.nrrd does not exist" in said["message"]


def test_a_stop_file_ends_it_and_leaves_nothing(register, tmp_path, capsys):
    (tmp_path / "stop").touch()
    assert register("--progress", "json", "--stop-file", str(tmp_path / "stop")) == 130
    assert not (tmp_path / "run").exists()
    assert events(capsys) == []


def test_results_are_handed_over(register, tmp_path):
    assert register("--hand-over", str(tmp_path / "plain")) == 0
    assert set(os.listdir(tmp_path / "plain")) == set(handover.FILES)


@pytest.mark.parametrize("option", ["--fixed-mask", "--labels"])
@pytest.mark.parametrize("name", handover.FILES)
def test_what_is_handed_over_never_replaces_what_is_read(register, tmp_path, capsys, name, option):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / name).write_bytes(b"the user's own")
    assert register("--hand-over", str(tmp_path / "plain"), option, str(tmp_path / "plain" / name)) == 2
    assert "which is read; choose another place" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("there", [False, True], ids=["made", "there before"])
def test_where_images_are_bad_no_folder_is_left_for_what_would_be_handed_over(register, tmp_path, there):
    plain = tmp_path / "deep" / "plain"
    if there:
        plain.mkdir(parents=True)
    (tmp_path / "moving.mha").write_bytes(b"no image")
    assert register("--hand-over", str(plain)) == 2
    assert plain.exists() == plain.parent.exists() == there
    assert not (tmp_path / "run").exists()


def test_text_for_people_is_the_default(register, capsys):
    register()
    assert capsys.readouterr().out.startswith("read ")


def test_kinds_are_those_that_the_help_names():
    assert progress.KINDS == ("text", "json")


def test_levels_of_the_refinement_are_told(register, capsys):
    register("--progress", "json")
    levels = [event for event in events(capsys) if event["event"] == "level"]
    assert all(1 <= event["level"] <= event["levels"] for event in levels)


def test_a_keep_file_ends_the_refinement_and_keeps_the_run(register, capsys, tmp_path):
    (tmp_path / "keep").touch()
    assert register("--progress", "json", "--keep-file", str(tmp_path / "keep")) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["refinement"]["ended"] in ("asked", "unlike")
    assert record["refinement"]["levels"] == []


def test_without_refinement_nothing_is_said_of_it(register, capsys, tmp_path):
    assert register("--progress", "json", "--no-refine") == 0
    assert "refine" not in [event.get("stage") for event in events(capsys)]
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["refinement"] is None
    assert "--no-refine" in record["command"]


def test_sigterm_is_enough_once_it_refines_and_ends_the_process_before(tmp_path):
    from RobustDIRLib.cli.progress import Terminal, keeping

    before = signal.getsignal(signal.SIGTERM)
    with keeping(tmp_path / "keep", Terminal()) as enough:
        assert signal.getsignal(signal.SIGTERM) is before
        assert not enough()
        os.kill(os.getpid(), signal.SIGTERM)
        assert enough()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("stage", ["align", "write"])
def test_sigterm_before_and_after_the_refinement_leaves_nothing(register, capsys, tmp_path, monkeypatch, stage):
    """Neither an empty folder nor its lock, nor a hidden folder of half the files."""
    before = signal.getsignal(signal.SIGTERM)

    class Ending(progress.Terminal):
        def __call__(self, name, seconds=None):
            super().__call__(name, seconds)
            if name == stage:
                assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # or the tests would end here
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(register_command, "Terminal", Ending)
    assert register("--no-refine" if stage == "align" else "--refine") == 130
    assert "interrupted" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fixed.mha", "moving.mha"]
    assert signal.getsignal(signal.SIGTERM) is before
