"""What a graphics card computes, against the CPU; left out where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from RobustDIRLib import warping
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.model_store import load_model
from RobustDIRLib.networks.correlation import local_correlation
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.pyramid import CorrelationPyramid, PyramidConfig
from RobustDIRLib.synthesis.bank import make_bank
from RobustDIRLib.synthesis.kinds import LabelMapConfig
from RobustDIRLib.training.config import TrainingConfig
from RobustDIRLib.training.data import open_banks, training_batches
from RobustDIRLib.training.loop import train
from RobustDIRLib.training.processes import Process
from RobustDIRLib.training.validation import validate

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
CARD, MAIN = torch.device("cuda"), torch.device("cpu")
NETWORK = {"kind": "pyramid", "encoder": [4, 4], "decoder": [4, 4], "depth": [1, 1], "radius": [1, 2], "squarings": 2}


@pytest.fixture(autouse=True)
def _single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize(("shape", "radius"), [((5, 4, 6), 2), ((21, 18, 26), 1), ((21, 18, 26), 2)])
def test_correlation_and_its_gradients_are_the_same(shape: tuple[int, ...], radius: int) -> None:
    torch.manual_seed(3)
    values = [torch.randn(2, 5, *shape) for _ in range(2)]
    found = {}
    for device in (MAIN, CARD):
        a, b = (value.detach().clone().to(device).requires_grad_() for value in values)
        ab, ba = local_correlation(a, b, radius)
        (ab.square().sum() + ba.pow(3).sum()).backward()
        assert a.grad is not None and b.grad is not None
        with torch.no_grad():
            plain = local_correlation(a, b, radius)
        found[device.type] = [t.detach().cpu() for t in (ab, ba, *plain, a.grad, b.grad)]
    for mine, its in zip(found["cuda"], found["cpu"], strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("large", [False, True])
def test_the_network_finds_the_same_displacement(large: bool) -> None:
    torch.manual_seed(5)
    network = CorrelationPyramid(PyramidConfig(iterations=(1, 2, 2, 2), mirrors=(1, 2, 4, 4))).eval()
    for decoder in network.decoder:
        torch.nn.init.normal_(decoder.out.weight, 0.0, 0.02)  # type: ignore[union-attr, arg-type]
    pair = [torch.rand(1, 1, 41, 52, 37) * 2 - 1 for _ in range(2)]
    with torch.inference_mode():
        mine = network(*pair, large_motion=large)
        its = network.to(CARD)(*(image.to(CARD) for image in pair), large_motion=large)
    assert mine.displacement.norm(dim=1).mean() > 0.1
    for there, here in zip(its, mine, strict=True):
        torch.testing.assert_close(there.cpu(), here, rtol=1e-2, atol=1e-2)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("banks")
    make_bank(folder / "shapes", LabelMapConfig(("large",), side=40, labels=6), 2, 0)
    make_bank(folder / "chests", LabelMapConfig(("thorax",), side=64), 2, 0)
    intensity = {"contrast": "mixed", "texture_probability": 0.5, "palette_probability": 0.5}
    corruption = dict.fromkeys(("partial_volume", "bias_field", "noise", "strong_noise", "missing", "clip"), 0.5)
    corruption |= {"contrast": 0.5, "low_resolution": 0.5, "field_of_view": 0.5}
    return from_dict(
        TrainingConfig,
        {
            "network": NETWORK,
            "banks": [str(folder / "shapes"), str(folder / "chests")],
            "pairs": {
                "side": 32, "mirror": True, "reduction": 2, "intensity": intensity, "corruption": corruption,
                "deformation": {"node_spacing": [8, 16], "sigma_max": 2.0, "affine_probability": 0.5},
            },
            "wide": {"every": 3, "side": 40, "levels": 1},
            "optimizer": {"learning_rate": 1e-3, "average": 0.9},
            "steps": 6, "batch": 2, "workers": 0, "log_every": 1, "validate_every": 3, "checkpoint_every": 2,
            "validation_pairs": 2, "device": "cuda",
        },
    )  # fmt: skip


class _Known(torch.nn.Module):
    """A network that knows the answer."""

    def __init__(self, answer: Deformation) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: torch.Tensor) -> Deformation:
        return self.answer


def test_pairs_made_there_are_right_and_repeatable(settings: TrainingConfig) -> None:
    process, bank = Process(0, 1, CARD), open_banks(settings)
    first, again = (list(training_batches(settings, bank, 0, process)) for _ in range(2))
    for pair, same in zip(first, again, strict=True):
        assert pair.fixed.device.type == "cuda" and torch.equal(pair.fixed, same.fixed)

    # The labels themselves tell whether the truth leads from the one image to the other.
    narrow = [pair for pair in first if pair.fixed.shape[2] == settings.pairs.side]
    measures = []
    for pair in narrow:
        full = Deformation(*(warping.resize_displacement(u, pair.fixed.shape[2:]) for u in pair.truth))
        measures.append(validate(_Known(full), [pair]))
    assert np.mean([m["dice"] - m["dice_before"] for m in measures]) > 0.1
    assert np.mean([m["dice"] for m in measures]) > 0.75


def test_a_run_begun_there_goes_on_here(settings: TrainingConfig, tmp_path: Path) -> None:
    records = list(train(settings, tmp_path / "run"))
    assert records[0]["device"] == "cuda" and records[-1] == {"kind": "end", "step": 6}
    assert np.isfinite([r["loss"] for r in records if r["kind"] == "step"]).all()
    settings_of_run = json.loads((tmp_path / "run" / "run.json").read_text())
    longer = from_dict(TrainingConfig, settings_of_run | {"steps": 8, "device": "cpu"})
    assert list(train(longer, tmp_path / "run", resume=True))[-1]["step"] == 8
    load_model(tmp_path / "run" / "weights.pt")
