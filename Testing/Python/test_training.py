"""The pretraining loop: it learns, resumes exactly, stops when asked, and survives what users do to it."""

from __future__ import annotations

import errno
import json
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forked_commands import ForkedCommand, started
from rank_process import gradients_alone, gradients_together
from RobustDIRLib.cli import main
from RobustDIRLib.configuration import from_dict, read_json, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.model_store import load_model
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.synthesis.bank import make_bank
from RobustDIRLib.synthesis.files import SynthesisSettings
from RobustDIRLib.synthesis.kinds import LabelMapConfig
from RobustDIRLib.training.checkpoints import load_checkpoint
from RobustDIRLib.training.config import LossConfig, OptimizerConfig, TrainingConfig, WideConfig
from RobustDIRLib.training.data import SyntheticPairs, open_banks, training_batches
from RobustDIRLib.training.diary import Diary
from RobustDIRLib.training.learner import learning_rate
from RobustDIRLib.training.loop import Record, Trainer, train
from RobustDIRLib.training.losses import pretraining_loss
from RobustDIRLib.training.processes import Process

RECIPES = Path(__file__).parents[2] / "Recipes"
NETWORK = {"kind": "pyramid", "encoder": [4, 4], "decoder": [4, 4], "depth": [1, 1], "radius": [1, 1], "squarings": 2}


@pytest.fixture(scope="module")
def a_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    make_bank(folder, LabelMapConfig(("large",), side=24, labels=6), 3, 0)
    return folder


@pytest.fixture
def a_run(a_bank: Path) -> TrainingConfig:
    return from_dict(
        TrainingConfig,
        {
            "network": NETWORK,
            "banks": [str(a_bank)],
            "pairs": {"side": 16, "reduction": 2, "deformation": {"node_spacing": [8], "sigma_max": 2.0}},
            "optimizer": {"learning_rate": 1e-3, "warmup": 2, "decay_steps": 2, "clip": 1.0, "average": 0.9},
            "steps": 6,
            "workers": 0,
            "threads": 1,
            "log_every": 1,
            "validate_every": 3,
            "checkpoint_every": 2,
            "validation_pairs": 2,
        },
    )


def _curve(records: list[Record]) -> list[float]:
    return [record["loss"] for record in records if record["kind"] == "step"]


def test_a_resumed_run_has_the_curve_of_an_unbroken_one(a_run: TrainingConfig, tmp_path: Path) -> None:
    whole = list(train(a_run, tmp_path / "whole"))
    broken = []
    for record in train(a_run, tmp_path / "broken"):
        broken.append(record)
        if record["kind"] == "checkpoint" and record["step"] == 4:
            break  # as if killed here
    rest = list(train(a_run, tmp_path / "broken", resume=True))
    assert len(_curve(whole)) == 6 and len(_curve(rest)) == 2
    assert _curve(broken)[:4] + _curve(rest) == pytest.approx(_curve(whole), rel=1e-5)
    a, b = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "broken"))
    for key, value in a["average"].items():
        torch.testing.assert_close(b["average"][key], value)


def test_a_run_that_was_killed_before_its_first_checkpoint_is_resumed_from_its_beginning(a_run, tmp_path: Path) -> None:
    for record in train(a_run, tmp_path / "run"):
        if record["kind"] == "step":
            break
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    with pytest.raises(InputError, match="another seed"):
        next(train(replace(a_run, seed=7), tmp_path / "run", resume=True))
    rest = list(train(a_run, tmp_path / "run", resume=True))
    assert _curve(rest) == _curve(list(train(a_run, tmp_path / "whole")))
    told = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert [record["step"] for record in told if record["kind"] == "step"] == [1, 2, 3, 4, 5, 6]


def test_a_run_whose_checkpoint_is_gone_is_not_begun_again_over_what_it_has_learnt(a_run, tmp_path: Path) -> None:
    list(train(replace(a_run, steps=2), tmp_path))
    (tmp_path / "checkpoint.pt").unlink()
    model = (tmp_path / "weights.pt").read_bytes()
    with pytest.raises(InputError, match="checkpoint.pt is gone"):
        next(train(replace(a_run, steps=2), tmp_path, resume=True))
    assert (tmp_path / "weights.pt").read_bytes() == model


def test_training_on_one_pair_learns_it(a_run: TrainingConfig) -> None:
    swift = replace(a_run, steps=10_000, optimizer=replace(a_run.optimizer, learning_rate=0.003))
    trainer = Trainer(swift, Process(0, 1, torch.device("cpu")))
    pair = SyntheticPairs(open_banks(a_run), a_run.pairs, 5)[0, a_run.pairs.side]
    errors = [trainer.learn(pair)[1] for _ in range(30)]
    assert sum(errors[-10:]) < 0.8 * sum(errors[:10])


def test_every_step_goes_into_the_average(a_run: TrainingConfig) -> None:
    """Reckoned anew from the weights after each step: `w <- d w + (1 - d) weights`, d from 1/11 up to `average`."""
    trainer = Trainer(replace(a_run, steps=10_000), Process(0, 1, torch.device("cpu")))
    pair = SyntheticPairs(open_banks(a_run), a_run.pairs, 5)[0, a_run.pairs.side]
    expected = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    start = {name: value.clone() for name, value in expected.items()}
    for step in range(1, 5):
        trainer.learn(pair)
        decay = min(0.9, step / (step + 10))
        for name, value in trainer.network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    for name, value in trainer.average.weights.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-7)
    weights = trainer.network.state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in trainer.average.weights.items())
    assert any(not torch.equal(value, weights[name]) for name, value in trainer.average.weights.items())


def test_the_model_file_is_the_average_and_registers(a_run: TrainingConfig, tmp_path: Path) -> None:
    list(train(a_run, tmp_path / "run"))
    model = load_model(tmp_path / "run" / "weights.pt")
    average = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["average"]
    for key, value in model.network.state_dict().items():
        torch.testing.assert_close(value, average[key])
    assert model.card["step"] == 6


def test_a_stop_file_ends_the_run_with_a_checkpoint(a_run: TrainingConfig, tmp_path: Path) -> None:
    seen = []
    for record in train(replace(a_run, steps=1000, checkpoint_every=999), tmp_path):
        seen.append(record)
        if record["kind"] == "step" and record["step"] == 3:
            (tmp_path / "stop").touch()
    assert seen[-1] == {"kind": "stop", "step": 4}
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 4
    assert not (tmp_path / "stop").exists()


@pytest.mark.parametrize("name", ["stop", "pause"])
def test_a_folder_where_a_file_would_ask_is_refused(a_run: TrainingConfig, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name} is a folder"):
        next(train(a_run, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / name).rmdir()
    kinds = []
    for record in train(a_run, tmp_path):
        (tmp_path / name).mkdir(exist_ok=True)  # while it is at work, it asks for nothing
        kinds.append(record["kind"])
    assert kinds[-1] == "end"


def test_a_pause_waits_and_changes_nothing(a_run: TrainingConfig, tmp_path: Path) -> None:
    unbroken = [r["loss"] for r in train(a_run, tmp_path / "unbroken") if r["kind"] == "step"]
    folder = tmp_path / "paused"
    folder.mkdir()
    (folder / "pause").touch()
    seen: list[Record] = []
    for record in train(a_run, folder):
        seen.append(record)
        if record["kind"] == "pause":
            assert record["step"] == 1
            (folder / "pause").unlink()
    assert [r["kind"] for r in seen].count("pause") == 1
    assert [r["loss"] for r in seen if r["kind"] == "step"] == unbroken
    (folder / "pause").touch()
    longer = replace(a_run, steps=a_run.steps + 4)
    seen = []
    for record in train(longer, folder, resume=True):
        seen.append(record)
        if record["kind"] == "pause":
            (folder / "stop").touch()  # a run that waits can be stopped
    assert seen[-1] == {"kind": "stop", "step": a_run.steps + 1}
    assert (folder / "pause").exists()  # whoever made it takes it away


def _start_pretraining(config: TrainingConfig, folder: Path) -> ForkedCommand:
    run = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    run.write_text(json.dumps(to_dict(config)))
    return started(library_command("pretrain", str(run), "-o", str(folder / "run")))


def test_a_signal_ends_the_run_with_a_checkpoint(a_run: TrainingConfig, tmp_path: Path) -> None:
    process = _start_pretraining(replace(a_run, steps=100_000, checkpoint_every=99_999), tmp_path)
    for line in process.stdout:
        if json.loads(line)["kind"] == "step":
            break
    process.send_signal(signal.SIGTERM)
    records = [json.loads(line) for line in process.stdout]
    assert process.wait(60) == 128 + signal.SIGTERM  # whoever waits for it must not take it for done
    assert records[-1]["signal"] == signal.SIGTERM
    assert records[-1]["kind"] == "stop" and records[-2]["kind"] == "checkpoint"
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == records[-1]["step"]


def test_a_kill_at_any_moment_leaves_a_loadable_checkpoint(a_run: TrainingConfig, tmp_path: Path) -> None:
    process = _start_pretraining(replace(a_run, steps=100_000, checkpoint_every=1, validate_every=99_999), tmp_path)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    assert load_checkpoint(checkpoint)["step"] >= 1


def test_a_folder_with_a_run_is_refused_and_another_network_too(a_run: TrainingConfig, tmp_path: Path) -> None:
    short = replace(a_run, steps=1)
    list(train(short, tmp_path))
    with pytest.raises(InputError, match="already holds a run"):
        next(train(short, tmp_path))
    other = replace(short, network={**NETWORK, "encoder": [4, 8]})
    with pytest.raises(InputError, match="another network"):
        next(train(other, tmp_path, resume=True))


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(a_run: TrainingConfig, tmp_path: Path) -> None:
    first = train(a_run, tmp_path)
    next(first)
    for resume in (False, True):
        with pytest.raises(InputError, match="another run is at work in this folder"):
            next(train(replace(a_run, steps=1), tmp_path, resume=resume))
    assert list(first)[-1] == {"kind": "end", "step": a_run.steps}
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["steps"] == a_run.steps
    assert list(train(replace(a_run, steps=a_run.steps + 1), tmp_path, resume=True))[-1]["step"] == a_run.steps + 1


def test_a_truncated_or_foreign_checkpoint_is_refused_by_name(a_run: TrainingConfig, tmp_path: Path) -> None:
    list(train(replace(a_run, steps=1), tmp_path))
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint at all"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"checkpoint\.pt"):
            next(train(a_run, tmp_path, resume=True))


def test_a_pair_that_breaks_the_gradient_is_skipped(a_run: TrainingConfig) -> None:
    trainer = Trainer(a_run, Process(0, 1, torch.device("cpu")))
    pair = next(training_batches(a_run, open_banks(a_run), 0, Process.alone("cpu")))
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    trainer.learn(pair._replace(fixed=pair.fixed * float("nan")))
    assert trainer.skipped == 1
    for key, value in trainer.network.state_dict().items():
        assert torch.equal(value, before[key])


def test_learning_rate_rises_stays_and_falls() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup=4, decay_steps=10, final_share=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0] and set(rates[4:90]) == {1.0}
    assert all(a > b for a, b in zip(rates[90:], rates[91:], strict=False)) and rates[-1] == pytest.approx(0.19)


def test_defaults_are_the_papers_adam_1e_4_batch_1() -> None:
    """Section 2.2.3."""
    config = TrainingConfig(network=NETWORK, banks=("x",))
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay, config.batch) == (1e-4, 0.0, 1)


def test_eq_1_is_dice_plus_three_quarters_of_the_gradient(a_run: TrainingConfig) -> None:
    paper = from_dict(TrainingConfig, read_json(RECIPES / "paper" / "cascade.json"))
    assert (paper.loss.end_point, paper.loss.dice, paper.loss.gradient) == (0.0, 1.0, 0.75)
    pair = SyntheticPairs(open_banks(a_run), a_run.pairs, 5)[0, a_run.pairs.side]
    half_way = pair.truth._replace(displacement=pair.truth.displacement / 2)
    whole, dice, gradient = (
        float(pretraining_loss([half_way], pair, loss)[0])
        for loss in (paper.loss, LossConfig(0.0, dice=1.0), LossConfig(0.0, gradient=1.0))
    )
    assert whole == pytest.approx(dice + 0.75 * gradient, rel=1e-5)
    assert min(dice, gradient) > 0.01


def test_the_papers_cascade_learns_from_dice_alone(a_run: TrainingConfig) -> None:
    swift = replace(a_run.optimizer, learning_rate=0.01)
    network = {"kind": "cascade", "channels": [8, 8]}
    config = replace(a_run, network=network, loss=LossConfig(0.0, dice=1.0), optimizer=swift, steps=10_000)
    trainer = Trainer(config, Process(0, 1, torch.device("cpu")))
    pair = SyntheticPairs(open_banks(config), config.pairs, 5)[1, config.pairs.side]
    losses = [trainer.learn(pair)[0] for _ in range(12)]
    assert min(losses[-5:]) < 0.98 * losses[0]


# Of banks and pretraining; those of studies have tests of their own.
TAUGHT = [file for file in sorted(RECIPES.rglob("*.json")) if file.parent.name != "studies"]


@pytest.mark.parametrize("file", TAUGHT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recipes_are_valid(file: Path) -> None:
    content = read_json(file)
    kind = FinetuneConfig if "dataset" in content else TrainingConfig if "network" in content else SynthesisSettings
    from_dict(kind, content)
    if "network" in content:
        build_network(content["network"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"speed": 1}, "no setting speed"),
        ({"steps": 0}, "at least 1"),
        ({"steps": "many"}, "type int"),
        ({"precision": "half"}, "precision must be one of"),
        ({"network": {"kind": "pyramid", "width": 3}}, "width"),
        ({"banks": ["/nonexistent"]}, "no label maps"),
    ],
)
def test_a_bad_run_file_is_refused_by_the_setting(
    a_run: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], says: str
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**to_dict(a_run), **change}))
    assert main(["pretrain", str(tmp_path / "run.json"), "-o", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert says in message and "Traceback" not in message


def test_two_gloo_processes_have_the_gradients_of_one_with_both_samples(a_run: TrainingConfig, tmp_path: Path) -> None:
    unclipped = replace(a_run, precision="fp32", optimizer=replace(a_run.optimizer, clip=0.0))
    expected = gradients_alone(replace(unclipped, batch=2))
    for shared in gradients_together(unclipped, 2, tmp_path):
        for name, gradient in expected.items():
            torch.testing.assert_close(shared[name], gradient, rtol=1e-3, atol=1e-6)
    assert max(float(g.abs().max()) for g in expected.values()) > 1e-3


def test_wide_steps_teach_the_coarsest_levels_alone(a_run: TrainingConfig) -> None:
    config = replace(a_run, wide=WideConfig(every=2, side=24, levels=1))
    sides = [pair.fixed.shape[2] for pair in training_batches(config, open_banks(config), 0, Process.alone("cpu"))]
    assert sides == [16, 24, 16, 24, 16, 24]
    trainer = Trainer(config, Process(0, 1, torch.device("cpu")))
    data = SyntheticPairs(open_banks(config), config.pairs, 5)
    trainer.learn(data[0, 16])
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.learn(data[1, 24])
    changed = {name for name, value in trainer.network.state_dict().items() if not torch.equal(value, before[name])}
    for part in ("decoder", "encoder"):
        assert any(name.startswith(f"{part}.1.") for name in changed)
        assert not any(name.startswith(f"{part}.0.") for name in changed)


def test_errors_of_wide_steps_are_told_apart(a_run: TrainingConfig, tmp_path: Path) -> None:
    config = replace(a_run, wide=WideConfig(every=3, side=24, levels=1), validation_side=24, log_every=3)
    records = [record for record in train(config, tmp_path) if record["kind"] == "step"]
    alone = [r for r in train(replace(config, log_every=1), tmp_path / "alone") if r["kind"] == "step"]
    for record, steps in zip(records, (alone[:3], alone[3:]), strict=True):
        assert record["wide_end_point_error"] == pytest.approx(steps[2]["wide_end_point_error"], rel=1e-5)
        usual = [step["end_point_error"] for step in steps[:2]]
        assert record["end_point_error"] == pytest.approx(sum(usual) / 2, rel=1e-5)


def test_wide_steps_are_refused_where_there_are_no_levels(a_run: TrainingConfig) -> None:
    config = replace(a_run, network={"kind": "unet", "channels": 4}, wide=WideConfig(every=2))
    with pytest.raises(InputError, match="only a pyramid"):
        Trainer(config, Process(0, 1, torch.device("cpu")))


# What users get wrong: one sentence before any time is spent, and nothing left behind


def test_the_curve_is_kept_once_however_often_the_run_is_broken(a_run: TrainingConfig, tmp_path: Path) -> None:
    """Lines of steps after the last checkpoint, and one cut short, go when the run is resumed."""
    run = tmp_path / "run"
    for record in train(a_run, run):
        if record["kind"] == "step" and record["step"] == 5:
            break  # as if killed here: the last checkpoint is of step 4
    with (run / "records.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    list(train(a_run, run, resume=True))
    kept = [json.loads(line) for line in (run / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in kept if record["kind"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert [record["kind"] for record in kept if record["kind"] in ("start", "end")] == ["start", "start", "end"]


def test_a_full_disk_costs_a_resumed_run_nothing_of_its_curve(tmp_path: Path, monkeypatch) -> None:
    """Lines are taken away by writing the rest anew, which may not be possible."""
    curve = tmp_path / "records.jsonl"
    curve.write_text('{"kind": "step", "step": 1}\n{"kind": "step", "step": 2}\n{"kind": "st')
    before = curve.read_text()

    def full(path, *_args, **_options):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match="No space left"):
            Diary(curve, 1)
    assert curve.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["records.jsonl"]
    Diary(curve, 1)
    assert curve.read_text() == '{"kind": "step", "step": 1}\n'


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 7}, "seed"),
        ({"batch": 2}, "batch"),
        ({"loss": LossConfig(dice=1.0)}, "loss.dice"),
        ({"optimizer": OptimizerConfig(learning_rate=0.5)}, "optimizer.learning_rate"),
        ({"wide": WideConfig(every=2, side=24)}, "wide.every"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(
    a_run: TrainingConfig, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    list(train(replace(a_run, steps=1), tmp_path))
    before = (tmp_path / "run.json").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=f"another .*{says}"):
        next(train(replace(a_run, **change), tmp_path, resume=True))
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == before


def test_length_watching_and_start_may_change_on_resume(a_run: TrainingConfig, tmp_path: Path) -> None:
    """Also when the file that the run began from is gone."""
    list(train(replace(a_run, steps=1), tmp_path / "first"))
    start = tmp_path / "first" / "weights.pt"
    list(train(replace(a_run, steps=1, initial=str(start)), tmp_path / "run"))
    start.unlink()
    ended = replace(a_run.optimizer, decay_steps=1)
    longer = replace(a_run, steps=2, initial=str(start), log_every=2, validation_pairs=0, optimizer=ended)
    assert list(train(longer, tmp_path / "run", resume=True))[-1] == {"kind": "end", "step": 2}


def test_initial_weights_of_another_network_are_refused(a_run: TrainingConfig, tmp_path: Path) -> None:
    other = replace(a_run, steps=1, network={**NETWORK, "encoder": [4, 8]})
    list(train(other, tmp_path / "other"))
    for name in ("weights.pt", "checkpoint.pt"):
        with pytest.raises(InputError, match="weights of another network"):
            next(train(replace(a_run, initial=str(tmp_path / "other" / name)), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"optimizer": {"learning_rate": float("nan")}}, "finite"),
        ({"optimizer": {"learning_rate": float("inf")}}, "finite"),
        ({"optimizer": {"learning_rate": 0}}, "above 0"),
        ({"optimizer": {"average": 1.0}}, "average"),
        ({"optimizer": {"clip": -1}}, "negative"),
        ({"loss": {"end_point": float("nan")}}, "finite"),
        ({"loss": {"end_point": 0.0}}, "nothing is learnt"),
        ({"pairs": {"side": 64}}, "too few for pairs of 64"),
        ({"pairs": {"side": 16, "reduction": 3}}, "1/3"),
        ({"validation_side": 64}, "too few for pairs of 64"),
        ({"wide": {"every": 2, "side": 128}}, "too few for pairs of 128"),
        ({"threads": 10**9}, "at most"),
        ({"network": {**NETWORK, "radius": [10**6, 1]}}, "at most"),
    ],
)
def test_settings_that_no_good_can_come_of(
    a_run: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], says: str
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**to_dict(a_run), **change}))
    assert main(["pretrain", str(tmp_path / "run.json"), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert says in told.err and told.err.count("\n") == 1 and told.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["cut", "text", "flat", "wide"])
def test_a_damaged_map_is_refused_by_name(a_run: TrainingConfig, a_bank: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bank" / "labels_0000.npz"
    path.parent.mkdir()
    whole = sorted(a_bank.glob("*.npz"))[0].read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"no map"}.get(damage, whole))
    if damage in ("flat", "wide"):
        shape, kind = ((24, 24), np.uint8) if damage == "flat" else ((24, 24, 24), np.float32)
        np.savez_compressed(path, labels=np.zeros(shape, kind))
    with pytest.raises(InputError, match=r"labels_0000\.npz"):
        next(train(replace(a_run, banks=(str(path.parent),)), tmp_path / "run"))


@pytest.mark.parametrize("name", ["run.json", "weights.pt", "records.jsonl"])
def test_a_run_writes_over_nothing_of_others(a_run: TrainingConfig, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds {name}"):
        next(train(a_run, tmp_path))
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_settings_of_a_run_are_not_written_over(
    a_run: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps(to_dict(a_run))
    (tmp_path / "run.json").write_text(text)
    assert main(["pretrain", str(tmp_path / "run.json"), "-o", str(tmp_path)]) == 2
    assert "which is read" in capsys.readouterr().err
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == text


def test_a_run_of_more_steps_than_a_list_can_hold_begins(a_run: TrainingConfig) -> None:
    batches = training_batches(replace(a_run, steps=10**15), open_banks(a_run), 10**15 - 2, Process.alone("cpu"))
    assert len(list(batches)) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "pyramid"}, "network must be an object"),
        ({"pairs": {"side": 18}}, "18 voxels are no multiple of 4"),
        ({"wide": {"every": 2, "side": 22, "levels": 1}}, "22 voxels are no multiple of 4"),
    ],
)
def test_runs_that_cannot_learn_are_refused_before_anything_is_written(a_run, tmp_path, changes, words):
    values = to_dict(a_run) | changes
    with pytest.raises(InputError, match=words):
        list(train(from_dict(TrainingConfig, values), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": {"kinds": ["cubes"]}},
        {"labels": {"kinds": []}},
        {"labels": {"side": 100_000}},
        {"labels": {"side": -5}},
        {"labels": {"labels": 0}},
        {"labels": {"labels": 5000}},
        {"labels": {"thin_probability": 1.5}},
        {"pairs": {"deformation": {"sigma_max": -1}}},
        {"pairs": {"deformation": {"node_spacing": [0]}}},
        {"pairs": {"deformation": {"squarings": 10_000}}},
        {"pairs": {"intensity": {"mean": [1, 0]}}},
        {"pairs": {"intensity": {"blend_probability": -0.1}}},
        {"pairs": {"corruption": {"noise": 2}}},
        {"pairs": {"sliding": {"amplitude": 7}}},
    ],
)
def test_settings_of_synthesis_that_make_nothing_are_refused(settings):
    with pytest.raises(InputError):
        from_dict(SynthesisSettings, settings)
