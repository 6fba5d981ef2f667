"""Fine-tuning runs: they learn, resume exactly, survive what users do to them, and say what was gained and lost."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from finetuning_cases import NETWORK, a_config, decathlon, grid_of, paired
from forked_commands import ForkedCommand, started
from rank_process import environments, gradients_alone, gradients_together
from RobustDIRLib.cli import finetune as finetune_command
from RobustDIRLib.cli import main
from RobustDIRLib.configuration import to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning import pairs
from RobustDIRLib.finetuning import run as running
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.loop import finetune
from RobustDIRLib.finetuning.run import open_material, start_network
from RobustDIRLib.finetuning.scans import ScanStore
from RobustDIRLib.finetuning.summary import summarise, table
from RobustDIRLib.finetuning.tuner import Batch, Tuner
from RobustDIRLib.io.images import Image, read_image, write_image
from RobustDIRLib.model_file import save_model
from RobustDIRLib.model_store import load_model
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.registration import alignment
from RobustDIRLib.run_files import CONFIG
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.training.checkpoints import load_checkpoint
from RobustDIRLib.training.processes import Process

CPU = Process(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("organs"))


@pytest.fixture(scope="module")
def breaths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paired(tmp_path_factory.mktemp("breaths"))


def _of(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == kind]


def test_a_run_learns_and_keeps_its_best_epoch(organs: Path, tmp_path: Path) -> None:
    optimizer, loss = {"learning_rate": 3e-3, "average": 0.0}, {"dice": 1.0, "gradient": 0.05}
    config = a_config(organs, epochs=5, pairs_per_epoch=6, optimizer=optimizer, loss=loss)
    records = list(finetune(config, tmp_path / "run"))
    epochs = _of(records, "epoch")
    assert [record["epoch"] for record in epochs] == list(range(6))
    best = max(epochs, key=lambda record: record["dice"])
    assert best["dice"] > epochs[0]["dice"] + 0.01
    card = load_model(tmp_path / "run" / "weights.pt").card
    assert card["epoch"] == best["epoch"] and card["fine_tuned_on"] == organs.name


def test_a_run_of_before_there_were_grids_to_choose_is_resumed_as_it_was(organs: Path, tmp_path: Path) -> None:
    resumed = argparse.ArgumentParser()
    finetune_command.add_parser(resumed.add_subparsers())
    args = resumed.parse_args(["finetune", "-o", str(tmp_path), "--resume"])
    settings = to_dict(a_config(organs, epochs=1))
    for held, grid in (
        (settings, settings["grid"]),
        ({k: v for k, v in settings.items() if k != "grid"}, "registration"),
    ):
        (tmp_path / CONFIG).write_text(json.dumps(held), encoding="utf-8")
        assert finetune_command.settings_of(args).grid == grid != "native"


def test_the_next_pair_is_made_while_the_network_learns(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, learn, batch = [threading.Event() for _ in range(4)], Tuner.learn, Tuner.batch
    waited = []

    def making(tuner: Tuner, step: int) -> Batch:
        pairs = batch(tuner, step)
        made[step].set()
        return pairs

    def learning(tuner: Tuner, *rest: Any) -> float:
        waited.append(tuner.learner.step == 3 or made[tuner.learner.step + 1].wait(30))
        return learn(tuner, *rest)

    monkeypatch.setattr(Tuner, "batch", making)
    monkeypatch.setattr(Tuner, "learn", learning)
    list(finetune(a_config(organs, epochs=2, pairs_per_epoch=2), tmp_path / "run"))
    assert waited == [True] * 4


def test_a_resumed_run_is_an_unbroken_one(organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    augmentation = {"contrast": 0.5, "noise": 0.5, "flip": 0.5, "affine": 0.5}
    config = a_config(organs, epochs=3, checkpoint_every=2, augmentation=augmentation)
    whole = list(finetune(config, tmp_path / "whole"))
    for record in finetune(config, tmp_path / "broken"):
        if record["kind"] == "checkpoint" and record["step"] == 4:
            break  # as if killed within the second epoch
    known = {tuple(kept[:2]) for kept in load_checkpoint(tmp_path / "broken" / "checkpoint.pt")["alignments"]}
    aligned: set[tuple[str, ...]] = set()
    monkeypatch.setattr(pairs, "_ALIGNMENTS", {})  # as in another process
    monkeypatch.setattr(
        pairs, "align", lambda *of: aligned.add(tuple(map(pairs._fingerprint, of[:2]))) or alignment.align(*of)
    )
    rest = list(finetune(config, tmp_path / "broken", resume=True))
    assert known and not known & aligned
    assert _of(rest, "start")[0]["step"] == 4
    a, b = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "broken"))
    assert a["history"] == b["history"] and a["best"] == b["best"]
    for key, value in a["weights"].items():
        assert torch.equal(b["weights"][key], value)
    assert [r["loss"] for r in _of(whole, "step")][4:] == [r["loss"] for r in _of(rest, "step")]


def test_a_run_that_was_killed_before_its_first_checkpoint_is_resumed_from_its_beginning(
    organs: Path, tmp_path: Path
) -> None:
    config = a_config(organs, epochs=2, pairs_per_epoch=2)
    for record in finetune(config, tmp_path / "run"):
        if record["kind"] == "step":
            break
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    with pytest.raises(InputError, match=r"seed was 0 and is 7"):
        list(finetune(replace(config, seed=7), tmp_path / "run", resume=True))
    rest = list(finetune(config, tmp_path / "run", resume=True))
    whole = list(finetune(config, tmp_path / "whole"))
    assert _of(rest, "start")[0]["step"] == 0
    assert [r["loss"] for r in _of(whole, "step")] == [r["loss"] for r in _of(rest, "step")]
    told = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert [r["step"] for r in told if r["kind"] == "step"] == [1, 2, 3, 4]
    assert [r["epoch"] for r in told if r["kind"] == "epoch"] == [0, 1, 2]


def _stopped(organs: Path, folder: Path) -> FinetuneConfig:
    """A run of two epochs, killed after its first."""
    config = a_config(organs, epochs=2, pairs_per_epoch=2)
    for record in finetune(config, folder):
        if record["kind"] == "checkpoint":
            break
    return config


def test_a_run_whose_checkpoint_is_gone_is_not_begun_again_over_what_it_has_learnt(
    organs: Path, tmp_path: Path
) -> None:
    config = _stopped(organs, tmp_path / "run")
    (tmp_path / "run" / "checkpoint.pt").unlink()
    with pytest.raises(InputError, match="checkpoint.pt is gone"):
        next(finetune(config, tmp_path / "run", resume=True))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run, other: (run / "weights.pt").unlink(), "does not exist"),
        (lambda run, other: (run / "weights.pt").write_bytes(b"PK\3\4"), "is damaged"),
        (lambda run, other: [shutil.copy(file, run) for file in other.glob("weights.pt*")], "the model of another run"),
    ],
)
def test_a_run_does_not_go_on_without_the_model_of_its_best_epoch(
    organs: Path, tmp_path: Path, damage: Callable[[Path, Path], object], words: str
) -> None:
    """Else no later epoch may be better, and hours of learning end without a model, or with another run's."""
    config = _stopped(organs, tmp_path / "run")
    list(finetune(a_config(organs, epochs=1, pairs_per_epoch=2, seed=5), tmp_path / "other"))
    damage(tmp_path / "run", tmp_path / "other")
    with pytest.raises(InputError, match=f"{words}.*kept nowhere else.*`model` .*checkpoint.pt"):
        next(finetune(config, tmp_path / "run", resume=True))


def _list(folder: Path, names: list[str]) -> None:
    listed = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    (folder / "dataset.json").write_text(json.dumps({"name": "organs", "training": listed}))


@pytest.mark.parametrize("checkpoints_of_old", [False, True])
def test_nobody_is_tested_on_who_taught_though_others_joined_the_data_set(
    tmp_path: Path, checkpoints_of_old: bool
) -> None:
    """A split that is drawn is drawn of all subjects: of one more, everybody would be dealt anew."""
    names = [f"organ_{person:03d}" for person in range(8)]
    organs, run = decathlon(tmp_path / "organs", 8), tmp_path / "run"
    _list(organs, names[:6])
    config = _stopped(organs, run)
    split = json.loads((run / "split.json").read_text())
    if checkpoints_of_old:
        state = load_checkpoint(run / "checkpoint.pt")
        del state["data"]
        torch.save(state, run / "checkpoint.pt")
    _list(organs, names)
    list(finetune(config, run, resume=True))
    assert json.loads((run / "split.json").read_text()) == split
    material = open_material(config, load_model(run / "weights.pt").network)
    assert set(split["train"]) & set(material.parts["test"].subjects)  # as it would have been
    seen: list[str] = []
    place = ScanStore.get
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ScanStore, "get", lambda self, scan, preset: [seen.append(scan.subject), place(self, scan, preset)][1]
        )
        summarise(config, run, CPU)
    assert set(seen) == set(split["test"])
    _list(organs, [name for name in names if name != split["train"][0]])
    with pytest.raises(InputError, match=f"no subject {split['train'][0]}"):
        next(finetune(replace(config, epochs=3), run, resume=True))


def test_what_a_run_began_with_must_not_change_and_its_boxes_do_not(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that is free says how large pairs are: a resumed run keeps to what was free when it began."""
    monkeypatch.setattr(running, "_bearable_voxels", lambda _: 4000)
    config = _stopped(organs, tmp_path / "run")
    monkeypatch.setattr(running, "_bearable_voxels", lambda _: 3000)
    state = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert Tuner(config, CPU, state).material.maker.most_voxels == 4000
    for name, words in (("scans", "the scans to learn from"), ("judge", "what can choose the best epoch")):
        torch.save({**state, "data": {**state["data"], name: "x"}}, tmp_path / "run" / "checkpoint.pt")
        with pytest.raises(InputError, match=f"not what the run began with: {words} changed"):
            next(finetune(config, tmp_path / "run", resume=True))


@pytest.mark.parametrize("part", ["labelsTr", "imagesTr"])
def test_what_a_run_is_tested_on_must_not_change_before_its_end(tmp_path: Path, part: str) -> None:
    organs, run = decathlon(tmp_path / "organs"), tmp_path / "run"
    config = _stopped(organs, run)
    file = organs / part / f"{json.loads((run / 'split.json').read_text())['test'][0]}.nii.gz"
    held = read_image(file)
    write_image(file, Image(np.flip(held.array, 1).copy(), held.grid))
    for again in (lambda: next(finetune(config, run, resume=True)), lambda: summarise(config, run, CPU)):
        with pytest.raises(InputError, match=f"{part}.*{file.name} was changed after the training had read it"):
            again()


@pytest.mark.parametrize(
    ("name", "value"),
    [("step", "x"), ("history", None), ("weights", {}), ("optimizer", {}), ("average", {"a": 1}), ("alignments", 5)],
)
def test_a_checkpoint_that_holds_something_else_is_a_sentence(
    organs: Path, tmp_path: Path, name: str, value: Any
) -> None:
    config = _stopped(organs, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.pt"
    state = load_checkpoint(path)
    torch.save({**state, name: value}, path)
    with pytest.raises(InputError, match="use the one that the run wrote"):
        next(finetune(config, tmp_path / "run", resume=True))


def test_validation_pairs_that_cannot_choose_an_epoch_end_the_run_before_it_teaches(tmp_path: Path) -> None:
    organs = decathlon(tmp_path / "organs", 5)
    labels = organs / "labelsTr" / "organ_003.nii.gz"
    write_image(labels, Image(np.zeros(grid_of(3).shape, np.uint8), grid_of(3)))
    split = {"train": ["organ_000", "organ_001", "organ_002"], "validation": ["organ_003", "organ_004"]}
    for judge in ("auto", "loss"):
        run = finetune(a_config(organs, split=split, judge=judge), tmp_path / judge)
        assert next(run)["kind"] == "start"
        with pytest.raises(InputError, match="none of the 2 validation pairs has what chooses the best epoch"):
            next(run)


def test_a_data_set_moved_during_a_run_is_a_sentence_and_back_in_its_place_lets_it_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_MIB", 1)  # so that scans are read again
    organs = decathlon(tmp_path / "organs")
    config = a_config(organs, pairs_per_epoch=2, checkpoint_every=1, cache_mib=1)
    records = finetune(config, tmp_path / "run")
    assert next(record for record in records if record["kind"] == "checkpoint")["step"] == 1
    organs.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="organs.*is gone; put it back and resume"):
        list(records)
    (tmp_path / "elsewhere").rename(organs)
    rest = list(finetune(config, tmp_path / "run", resume=True))
    assert rest[0]["step"] in (1, 2) and rest[-1]["kind"] == "end"  # the second pair may have been read ahead


def _start(config: FinetuneConfig, folder: Path, **environment: str) -> ForkedCommand:
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.with_suffix(".json")
    file.write_text(json.dumps(to_dict(config)))
    words = ["finetune", "--config", str(file), "-o", str(folder), "--progress", "json"]
    return started(library_command(*words), environment)


def _next(process: ForkedCommand, kind: str) -> dict[str, Any]:
    for line in process.stdout:
        record = json.loads(line)
        if record["kind"] == kind:
            return dict(record)
    raise AssertionError(f"no {kind}: {process.stderr.read()}")


def test_kill_9_then_resume_gives_the_weights_of_an_unbroken_run(organs: Path, tmp_path: Path) -> None:
    config = a_config(organs, epochs=4, checkpoint_every=1)
    process = _start(config, tmp_path / "killed")
    for _ in range(5):
        _next(process, "step")
    process.kill()
    process.wait()
    process.communicate()
    list(finetune(config, tmp_path / "killed", resume=True))
    list(finetune(config, tmp_path / "whole"))
    a, b = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "killed"))
    for key, value in a["weights"].items():
        torch.testing.assert_close(b["weights"][key], value, rtol=1e-5, atol=1e-6)


def test_a_signal_stops_after_the_step_with_a_checkpoint_and_says_so(organs: Path, tmp_path: Path) -> None:
    process = _start(a_config(organs, epochs=10_000, convergence={"stop": False}), tmp_path / "run")
    _next(process, "step")
    process.send_signal(signal.SIGTERM)
    stopped = _next(process, "stop")
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == stopped["step"]


def test_a_stop_before_the_first_step_ends_at_once_and_leaves_a_run_to_go_on_with(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_config(organs, epochs=1, pairs_per_epoch=2)
    made: list[str] = []
    make = pairs.PairMaker.make

    def make_and_stop(maker: pairs.PairMaker, key: pairs.PairKey, *of: Any) -> pairs.TrainingPair:
        made.append(key.name)
        (tmp_path / "run" / "stop").touch()
        return make(maker, key, *of)

    with monkeypatch.context() as patched:
        patched.setattr(pairs.PairMaker, "make", make_and_stop)
        kinds = [record["kind"] for record in finetune(config, tmp_path / "run")]
    assert kinds == ["start", "stop"] and len(made) == 1 < config.validation_pairs
    rest = list(finetune(config, tmp_path / "run", resume=True))
    whole = list(finetune(config, tmp_path / "whole"))
    measures = [[{k: r[k] for k in ("epoch", "dice")} for r in _of(records, "epoch")] for records in (rest, whole)]
    assert measures[0] == measures[1] and [record["epoch"] for record in measures[0]] == [0, 1]


def test_a_pause_waits_and_a_stop_file_ends_it(organs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "pause").touch()
    run = finetune(a_config(organs), folder)
    seen = [next(run)]
    while seen[-1]["kind"] != "pause":
        seen.append(next(run))
    (folder / "stop").touch()
    rest = list(run)
    assert rest[-1]["kind"] == "stop" and rest[-1]["step"] == seen[-1]["step"] == 1


def test_changed_settings_are_refused_by_name_and_longer_runs_are_not(organs: Path, tmp_path: Path) -> None:
    list(finetune(a_config(organs, epochs=1), tmp_path / "run"))
    with pytest.raises(InputError, match=r"seed was 0 and is 7"):
        list(finetune(a_config(organs, epochs=1, seed=7), tmp_path / "run", resume=True))
    longer = list(finetune(a_config(organs, epochs=2), tmp_path / "run", resume=True))
    assert longer[-1]["kind"] == "end" and longer[-1]["epoch"] == 2
    with pytest.raises(InputError, match="already holds a run"):
        list(finetune(a_config(organs), tmp_path / "run"))


def test_a_loss_that_is_not_finite_teaches_nothing_and_names_the_pair(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import RobustDIRLib.finetuning.tuner as tuner

    real, calls = tuner.pair_loss, []

    def broken(deformation, pair, *rest):
        calls.append(pair.name)
        value = real(deformation, pair, *rest)
        return value * math.nan if len(calls) > 4 and torch.is_grad_enabled() else value

    monkeypatch.setattr(tuner, "pair_loss", broken)
    run = finetune(a_config(organs, epochs=50, checkpoint_every=1), tmp_path / "run")
    with pytest.raises(InputError, match=r"organ_00\d.nii.gz and organ_00\d.nii.gz is nan at step"):
        list(run)
    weights = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["weights"]
    assert all(torch.isfinite(value).all() for value in weights.values())
    (kept,) = torch.load(tmp_path / "run" / "failed_pair.pt", weights_only=True)
    assert kept["name"] == calls[-1] and kept["fixed"].dim() == 5


def test_frozen_parts_stay_and_the_others_learn(organs: Path, tmp_path: Path) -> None:
    config = a_config(organs, epochs=1, freeze=["encoder", "decoder.1"])
    before = {k: v.clone() for k, v in Tuner(config, CPU).network.state_dict().items()}
    list(finetune(config, tmp_path / "run"))
    after = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["weights"]
    frozen = {k for k in before if k.startswith(("encoder.", "decoder.1."))}
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    assert any(not torch.equal(before[k], after[k]) for k in set(before) - frozen)


@pytest.mark.parametrize(
    "network",
    [{"kind": "unet", "channels": 4}, {"kind": "cascade", "channels": [3, 4]}, NETWORK],
    ids=["unet", "cascade", "pyramid"],
)
def test_every_kind_of_network_learns_on_the_same_pairs(organs: Path, tmp_path: Path, network: dict[str, Any]) -> None:
    torch.manual_seed(1)
    initial = tmp_path / "start.pt"
    save_model(initial, build_network(network), {})
    config = a_config(organs, initial=str(initial), network=None, epochs=1, batch=2)
    records = list(finetune(config, tmp_path / "run"))
    assert records[-1]["kind"] == "end"
    start, end = (n.state_dict() for n in (start_network(config), load_model(tmp_path / "run" / "weights.pt").network))
    trained = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["weights"]
    assert start.keys() == end.keys() and any(not torch.equal(start[k], trained[k]) for k in start)


@pytest.mark.parametrize("loss", ["nmi", "local_ncc", "mind", "landmarks"])
def test_every_term_brings_landmarks_closer_where_it_can(breaths: Path, tmp_path: Path, loss: str) -> None:
    """Landmarks judge alone; only the last term has seen them."""
    config = a_config(
        breaths, loss={loss: 1.0, "gradient": 0.02}, judge="tre", epochs=5, optimizer={"learning_rate": 3e-3}
    )
    epochs = _of(list(finetune(config, tmp_path / "run")), "epoch")
    assert min(e["loss"] for e in epochs[1:]) < epochs[0]["loss"]
    assert min(e["training_loss"] for e in epochs[1:]) <= epochs[1]["training_loss"]


def test_unlabelled_data_are_learnt_without_supervision_and_landmarks_left_for_testing(breaths: Path) -> None:
    tuner = Tuner(a_config(breaths), CPU)
    assert tuner.judge == "loss" and tuner.material.loss.local_ncc == 1.0 and tuner.material.loss.dice == 0
    assert not tuner.material.random


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": {"landmarks": 1.0}}, "no paired landmarks"),
        ({"judge": "tre"}, "has no landmarks"),
        ({"split": {"train": ["organ_001"]}}, "one subject alone"),
        ({"freeze": ["decoder.9"]}, "no parameters called decoder.9"),
        ({"freeze": ["encoder", "decoder"]}, "nothing of the network is left"),
        ({"initial": "nobody", "network": None}, "nobody"),
    ],
)
def test_what_cannot_teach_is_refused_before_time_is_spent(
    organs: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        list(finetune(a_config(organs, **changes), tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(organs: Path, tmp_path: Path) -> None:
    first = finetune(a_config(organs, epochs=1), tmp_path)
    next(first)
    for resume in (False, True):
        with pytest.raises(InputError, match="another run is at work in this folder"):
            next(finetune(a_config(organs, epochs=1), tmp_path, resume=resume))
    assert next(first)["kind"] != "start"
    first.close()


def test_a_folder_that_holds_a_model_is_left_as_it_is(organs: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_text("mine")
    with pytest.raises(InputError, match=r"holds weights.pt, which the run would write over"):
        list(finetune(a_config(organs), tmp_path))
    assert (tmp_path / "weights.pt").read_text(encoding="utf-8") == "mine"


def test_labels_without_overlap_teach_nothing_and_are_told(tmp_path: Path) -> None:
    """Everybody has a label of their own: not even smoothness is learnt, which alone would still every motion."""
    folder = decathlon(tmp_path / "apart", people=4)
    for number, file in enumerate(sorted((folder / "labelsTr").iterdir()), 1):
        labels = read_image(file)
        write_image(file, replace(labels, array=np.where(labels.array > 0, number, 0).astype(np.uint8)))
    config = a_config(folder, split={"shares": [1, 0, 0]}, epochs=5)
    tuner = Tuner(config, CPU)
    before = {k: v.clone() for k, v in tuner.network.state_dict().items()}
    tuner.learn(tuner.batch(0), 100, tmp_path)
    change = max(float((v - before[k]).abs().max()) for k, v in tuner.network.state_dict().items())
    assert change == 0
    with pytest.raises(InputError, match=r"none of the first 4 pairs .*\(dice\).* no label is in both"):
        list(finetune(config, tmp_path / "run"))


def test_labels_for_dice_must_be_there(breaths: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no label maps for the Dice loss"):
        list(finetune(a_config(breaths, loss={"dice": 1.0}), tmp_path / "run"))


@pytest.mark.parametrize("torchrun", [False, pytest.param(True, marks=pytest.mark.long)])
def test_two_gloo_processes_have_the_gradients_of_one_with_both_samples(
    organs: Path, tmp_path: Path, torchrun: bool
) -> None:
    expected = gradients_alone(a_config(organs, batch=2, optimizer={"clip": 0.0}))
    assert any(value.abs().max() > 1e-6 for value in expected.values())
    for shared in gradients_together(
        a_config(organs, batch=1, optimizer={"clip": 0.0}), 2, tmp_path, torchrun=torchrun
    ):
        for name, value in expected.items():
            torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-7)


def test_a_killed_rank_ends_the_run_with_a_sentence_and_a_checkpoint(organs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    config = a_config(organs, epochs=500, log_every=1, checkpoint_every=0)
    leader, other = (_start(config, folder, **ranks) for ranks in environments(2))
    _next(leader, "step")
    other.kill()
    _, err = leader.communicate(timeout=240)
    other.communicate()
    assert leader.returncode == 2, err
    assert err.count("\n") == 1 and "another process of the run" in err and "resume" in err
    assert load_checkpoint(folder / "checkpoint.pt")["step"] >= 1


def test_what_a_run_learns_by_is_told_as_it_begins_and_terms_of_no_weight_are_refused(
    organs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data choose a term where none is named; where all that are named have no weight, that was not asked for."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"initial": None, "network": NETWORK, "alignment": "centre", "epochs": 1}))
    words = ["finetune", str(organs), "-o", str(tmp_path / "run"), "--config", str(settings), "--threads", "1"]
    assert main([*words, "--loss", "dice=0,gradient=1"]) == 2
    assert "gives every term that teaches no weight" in capsys.readouterr().err
    assert main([*words, "--loss", "gradient=0.5", "--pairs-per-epoch", "1"]) == 0
    assert "1 pairs an epoch, learning by dice 1, gradient 0.5" in capsys.readouterr().out


def test_steps_are_told_of_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    lines = finetune_command._Lines()
    record = {"kind": "step", "step": 40, "steps": 300, "seconds_per_step": 0.82, "loss": 0.31}
    lines(record)
    assert not capsys.readouterr().out
    monkeypatch.setattr(finetune_command, "_SILENT_SECONDS", 0.0)
    lines(record)
    assert capsys.readouterr().out == "  step 40 of 300 at most, 0.8 s each, loss 0.3100\n"


@pytest.mark.usefixtures("few_synthetic_pairs")
def test_the_command_tells_what_was_gained_and_lost(organs: Path, tmp_path: Path, capsys) -> None:
    start = tmp_path / "start.pt"
    torch.manual_seed(0)
    save_model(start, build_network(NETWORK), {})
    split = tmp_path / "split.json"
    split.write_text(
        json.dumps({"train": ["organ_000", "organ_001", "organ_002"], "validation": ["organ_003", "organ_004"],
                    "test": ["organ_005"]})
    )  # fmt: skip
    code = main(
        ["finetune", str(organs), "-o", str(tmp_path / "run"), "--model", str(start), "--split", str(split),
         "--epochs", "1", "--threads", "1", "--loss", "dice=1,gradient=0.5", "--learning-rate", "0.001"]
    )  # fmt: skip
    told = capsys.readouterr().out
    assert code == 0
    assert "3 subjects to learn from, 2 for validation, 1 for testing" in told
    assert "no pair to test on" in told  # one person makes none
    assert "validation pairs as they are" in told
    assert "| Error on synthetic pairs, voxels |" in told and "| fine-tuned |" in told
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["after"]) >= {"synthetic_error"}
    card = load_model(tmp_path / "run" / "weights.pt").card
    assert card["test"]["after"] == summary["after"]
    judged = summary["refinement"]
    assert card["refinement"] == judged and judged["pairs"] == 2 and judged["measure"] == "dice"
    assert card["refine"] is (judged["refined"] >= judged["network"])
    assert f"Dice {judged['refined']:.3f} with refinement, {judged['network']:.3f} without" in told
    written = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert written["loss"]["gradient"] == 0.5 and written["loss"]["dice"] == 1.0
    assert json.loads((tmp_path / "run" / "split.json").read_text(encoding="utf-8"))["test"] == ["organ_005"]


@pytest.mark.parametrize(("better", "helps"), [(1.0, True), (0.0, False)])
def test_refinement_is_ruled_out_where_it_brings_validation_pairs_apart(
    organs: Path, monkeypatch: pytest.MonkeyPatch, better: float, helps: bool
) -> None:
    """A stand-in for refinement that leads the wrong way, and one that leaves what an identity gave."""
    from RobustDIRLib.finetuning import refining
    from RobustDIRLib.networks.deformation import Deformation

    def led(pair: Any, found: Deformation, levels: Any) -> Any:
        assert levels and pair.fixed.shape == found.displacement.shape[:1] + (1,) + found.displacement.shape[2:]
        away = torch.full_like(found.displacement, 4.0 * (1 - better))
        return SimpleNamespace(deformation=Deformation(found.displacement + away, found.inverse - away))

    monkeypatch.setattr(refining, "refine", led)
    tuner = Tuner(a_config(organs), CPU)
    judged = refining.judge_refinement(tuner.network.eval(), tuner.material, tuner.config)
    assert judged is not None and judged["helps"] is helps
    assert (judged["refined"] < judged["network"]) is not helps


def test_without_truth_in_validation_nothing_is_decided_of_refinement(tmp_path: Path) -> None:
    from RobustDIRLib.finetuning.refining import judge_refinement

    folder = paired(tmp_path / "bare")
    for file in folder.glob("*/*_landmarks.csv"):
        file.unlink()
    tuner = Tuner(a_config(folder), CPU)
    assert judge_refinement(tuner.network.eval(), tuner.material, tuner.config) is None


@pytest.mark.usefixtures("few_synthetic_pairs")
def test_a_run_from_scratch_has_no_column_of_random_weights(organs: Path, tmp_path: Path) -> None:
    config = a_config(organs, epochs=1, test_pairs=1)
    list(finetune(config, tmp_path / "run"))
    summary = summarise(config, tmp_path / "run", CPU)
    assert set(summary) >= {"linear", "after"} and "before" not in summary
    assert table(summary).splitlines()[0] == "| | linear | fine-tuned |"


def test_opening_two_thousand_listed_pairs_reads_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the list."""
    folder = decathlon(tmp_path / "set", people=3)
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    names = []
    for number in range(300):
        for kind in ("imagesTr", "labelsTr"):
            (folder / kind / f"copy_{number:04d}.nii.gz").symlink_to(folder / kind / "organ_000.nii.gz")
        names.append({"image": f"./imagesTr/copy_{number:04d}.nii.gz", "label": f"./labelsTr/copy_{number:04d}.nii.gz"})
    (folder / "dataset.json").write_text(json.dumps({**content, "training": content["training"] + names}))
    begun = time.perf_counter()
    reads: list[Path] = []
    import RobustDIRLib.datasets.sources as sources

    monkeypatch.setattr(sources, "read_image", lambda path: reads.append(path))
    config = a_config(folder, split={"shares": [1, 0, 0]})
    tuner = Tuner(config, CPU)
    assert len(tuner.material.epoch(1)) >= 300 and not reads
    assert time.perf_counter() - begun < 60
