"""What the form of RobustDIRTrain asks for: settings that the library takes, and refusals in one sentence."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from RobustDIRLib.configuration import from_dict, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.runner.outlook import Paces, foresee
from RobustDIRLib.synthesis.bank import BankSettings
from RobustDIRLib.synthesis.files import SynthesisSettings
from RobustDIRLib.synthesis.kinds import KINDS
from RobustDIRLib.training.config import TrainingConfig
from RobustDIRLib.trainpanel import plan as plans
from RobustDIRLib.trainpanel import plan_refusals, plan_settings
from RobustDIRLib.trainpanel.opened import Opened, OpenedCase, Shared
from RobustDIRLib.trainpanel.plan import Plan

LABELS = {"fixed_labels": "a.nii", "moving_labels": "b.nii"}


@pytest.fixture
def opened(tmp_path):
    people = "abcdefg"
    cases = [
        OpenedCase(f"{who}-pair", (who, who), "generic", LABELS, 5, ("labels",), (20, 22, 24), 12_000.0 + 500 * k)
        for k, who in enumerate(people)
    ]
    return Opened(str(tmp_path), "folders", "", "seven", (), tuple(cases))


@pytest.fixture
def shared():
    parts = {"train": ("a", "b", "c", "d"), "validation": ("e",), "test": ("f", "g")}
    return Shared(parts, {n: len(s) for n, s in parts.items()}, {n: 2 * len(s) for n, s in parts.items()})


PLANS = [
    Plan(),
    Plan(purpose="scratch", network="cascade", loss="nmi", loss_weight=0.7, learning_rate=3e-3, seed=5, threads=2),
    Plan(loss="dice", gradient_weight=0.75, epochs=4, pairs_per_epoch=3, stop_when_converged=False, augment_flip=True),
    Plan(virtual_percent=25, deformation_model="deformation_model.npz", augment_intensity=True),
]


@pytest.fixture
def virtual_files(tmp_path, monkeypatch):
    """A deformation model, motions of breathing, and an archive that is neither, by their names alone."""
    monkeypatch.chdir(tmp_path)
    np.savez("deformation_model.npz", mean=np.zeros(2))
    np.savez("motions.npz", motions=np.zeros(2))
    np.savez("other.npz", other=np.zeros(2))


@pytest.mark.parametrize("plan", PLANS)
def test_settings_are_those_of_a_fine_tuning(plan, opened, shared, virtual_files):
    settings = plan_settings.finetune_settings(plan, opened, shared)
    config = from_dict(FinetuneConfig, settings)
    assert (config.initial is None) == (plan.purpose == "scratch")
    assert config.split.train == shared.subjects["train"] and config.split.test == ("f", "g")
    assert config.optimizer.learning_rate == plan.learning_rate and config.loss.gradient == plan.gradient_weight
    assert config.loss.automatic == (plan.loss == "auto")
    assert config.virtual.probability == plan.virtual_percent / 100
    assert (config.epochs, config.seed, config.threads) == (plan.epochs, plan.seed, plan.threads)
    assert config.convergence.stop == plan.stop_when_converged and to_dict(config)["kind"] == "folders"


def test_more_settings_reach_the_run(opened, shared, virtual_files):
    """Each option that may well stay as it is, changed."""
    plan = Plan(
        loss="nmi", loss_weight=0.5, extra_dice=0.25, extra_nmi=9.0, freeze=" encoder, decoder.3 ,", warmup=7,
        weight_decay=0.01, clip=0.0, batch=3, both_directions=False, judge="loss", draw_pairs="listed",
        alignment="rigid", run_preset="brain-mri", most_subjects=2, virtual_percent=50,
        deformation_model="motions.npz", virtual_low=0.5, virtual_high=0.75, precision="fp32",
    )  # fmt: skip
    plan_refusals.refuse(plan, opened, shared)
    config = from_dict(FinetuneConfig, plan_settings.finetune_settings(plan, opened, shared))
    assert (config.loss.nmi, config.loss.dice, config.loss.mind) == (0.5, 0.25, 0.0)
    assert config.freeze == ("encoder", "decoder.3") and config.split.limit == 2
    assert (config.optimizer.warmup, config.optimizer.weight_decay, config.optimizer.clip) == (7, 0.01, 0.0)
    assert (config.batch, config.both_directions, config.judge) == (3, False, "loss")
    assert (config.pairing, config.alignment, config.preset, config.precision) == (
        *("listed", "rigid", "brain-mri", "fp32"),
    )
    assert (config.virtual.motions, config.virtual.model) == ("motions.npz", None)
    assert config.virtual.strength == (0.5, 0.75)


def test_terms_are_added_to_what_the_run_would_choose(opened, shared):
    assert Plan().terms(opened, shared) == {}
    assert Plan(extra_mind=0.5).terms(opened, shared) == {"mind": 0.5, "dice": 1.0}
    bare = replace(opened, cases=tuple(replace(case, files={}) for case in opened.cases[:1]) + opened.cases[1:])
    assert Plan(extra_mind=0.5).terms(bare, shared) == {"mind": 0.5, "local_ncc": 1.0}
    others = replace(shared, subjects={**shared.subjects, "train": ("b", "c")})  # whose label maps are all there
    assert Plan(extra_mind=0.5).terms(bare, others) == {"mind": 0.5, "dice": 1.0}


@pytest.mark.parametrize("batch", [1, 2])
def test_a_pretraining_takes_what_of_it_there_is(batch):
    plan = Plan(purpose="pretrain", start_model="", extra_dice=0.25, warmup=3, clip=2.0, weight_decay=0.5, batch=batch)
    config = from_dict(TrainingConfig, plan_settings.pretrain_settings(plan, None))
    assert (config.loss.end_point, config.loss.dice, config.batch) == (1.0, 0.25, batch)
    assert (config.optimizer.warmup, config.optimizer.clip, config.optimizer.weight_decay) == (3, 2.0, 0.5)
    usual = from_dict(TrainingConfig, plan_settings.pretrain_settings(replace(plan, warmup=-1), None))
    assert usual.optimizer.warmup == 100
    work = plans.work_of(plan, None, None)
    assert work.pairs == batch * plan.steps and work.bytes_per_voxel == batch * 450


@pytest.mark.parametrize("shapes", list(KINDS))
def test_settings_are_those_of_a_pretraining(shapes, tmp_path):
    plan = Plan(purpose="pretrain", start_model="", shapes=shapes, side=48, maps=3, steps=9, contrast="static")
    config = from_dict(TrainingConfig, plan_settings.pretrain_settings(plan, None))
    bank = from_dict(BankSettings, plan_settings.bank_settings(plan))
    assert config.pairs.side == 48 and config.pairs.intensity.contrast == "static" and config.steps == 9
    assert (bank.labels.kinds, bank.count) == ((shapes,), 3) and bank.labels.side >= config.largest_side
    shown = from_dict(SynthesisSettings, plan_settings.synthesis_settings(plan))
    assert shown.pairs == config.pairs and shown.labels == bank.labels
    assert plan_settings.pretrain_settings(plan, tmp_path / "weights.pt")["initial"] == str(tmp_path / "weights.pt")


def test_the_paper_is_as_its_recipe():
    import json
    from pathlib import Path

    recipes = Path(__file__).parents[2] / "Recipes" / "paper"
    plan = plans.paper(Plan(purpose="pretrain"))
    ours = from_dict(TrainingConfig, plan_settings.pretrain_settings(plan, None))
    theirs = from_dict(TrainingConfig, json.loads((recipes / "cascade.json").read_text(encoding="utf-8")))
    assert (ours.network, ours.loss, ours.steps) == (theirs.network, theirs.loss, theirs.steps)
    assert ours.pairs.deformation == theirs.pairs.deformation and ours.pairs.intensity == theirs.pairs.intensity
    assert ours.optimizer.learning_rate == theirs.optimizer.learning_rate and ours.pairs.side == theirs.pairs.side
    bank = json.loads((recipes / "bank.json").read_text(encoding="utf-8"))["labels"]
    assert plan_settings.bank_settings(plan)["labels"]["kinds"] == bank["kinds"]


def test_ten_minutes_are_ten_minutes(opened, shared):
    for purpose in ("finetune", "pretrain"):
        plan = plans.ten_minutes(Plan(purpose=purpose), opened, shared, Paces())
        seconds = foresee(plans.work_of(plan, opened, shared), Paces()).seconds
        assert seconds <= 600, purpose
    assert seconds > 400  # of a pretraining, which can be as long as one likes


@pytest.mark.parametrize(
    ("changes", "data", "said"),
    [
        ({}, "", ""),
        ({}, "none", "No data set is open"),
        ({}, "moved", "is no longer there"),
        ({}, "unshared", "not shared out"),
        ({}, "alone", "make no pair"),
        ({"loss": "dice"}, "bare", "needs label maps"),
        ({"loss": "landmarks"}, "bare", "needs landmarks"),
        ({"extra_dice": 1.0}, "bare", "needs label maps"),
        ({"extra_landmarks": 1.0}, "bare", "needs landmarks"),
        ({"extra_landmarks": 1.0, "draw_pairs": "random"}, "", "own pairs"),
        ({"judge": "dice"}, "bare", "Dice cannot choose"),
        ({"judge": "tre"}, "bare", "Landmarks cannot choose"),
        ({"virtual_percent": 10, "deformation_model": "other.npz"}, "", "is no deformation model"),
        ({"virtual_percent": 10, "deformation_model": "motions.npz", "virtual_low": 2.0}, "", "swap the two"),
        ({"virtual_percent": 10}, "", "need a deformation model"),
        ({"virtual_percent": 10, "deformation_model": "/gone.npz"}, "", "/gone.npz is gone"),
        ({"start_model": ""}, "", "Choose the model"),
        ({"purpose": "pretrain", "start_model": "", "side": 50}, "none", "multiple of 16"),
        ({"purpose": "pretrain", "start_model": ""}, "none", ""),
    ],
)
def test_what_cannot_run_is_refused_in_one_sentence(opened, shared, virtual_files, changes, data, said):
    plan = replace(Plan(), **changes)
    if data == "bare":
        cases = tuple(replace(case, files={}, landmarks=0) for case in opened.cases)
        opened = replace(opened, cases=cases)
    if data == "moved":
        opened = replace(opened, path=opened.path + "-elsewhere")
    if data == "alone":
        shared = replace(shared, cases={**shared.cases, "train": 0})
    given = (None if data == "none" else opened, None if data in ("none", "unshared") else shared)
    if not said:
        plan_refusals.refuse(plan, *given)
        return
    with pytest.raises(InputError, match=said) as caught:
        plan_refusals.refuse(plan, *given)
    assert "\n" not in str(caught.value)


def test_a_plan_survives_a_parameter_node_and_a_preset():
    plan = Plan(purpose="scratch", epochs=7, learning_rate=2e-5, augment_affine=True, deformation_model="x.npz")
    node = SimpleNamespace(**{plans.camel(name): None for name in plans.NAMES})
    plan.put(node)
    assert node.augmentAffine is True and Plan.of(node) == plan
    assert plans.plan_from({**vars(plan), "unknown": 1}) == plan
    assert plans.plan_from({"epochs": "many", "augment_flip": 1, "threads": True, "gradient_weight": 2}) == replace(
        Plan(), gradient_weight=2.0
    )
    assert plans.plan_from([1]) == Plan()
