"""Files of named arrays: damaged and hostile ones end in a sentence, wherever such a file is read."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from finetuning_cases import a_config, decathlon
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.deformation_model import (
    FORMAT,
    build_model,
    load_deformation_model,
    save_deformation_model,
)
from RobustDIRLib.finetuning.tuner import Tuner
from RobustDIRLib.io import arrays
from RobustDIRLib.io.arrays import read_arrays
from RobustDIRLib.synthesis.bank import LabelBank
from RobustDIRLib.synthesis.sliding import load_motions
from RobustDIRLib.training.processes import Process


def _bank(path: Path) -> Any:
    path.rename(path.with_name("labels_0000.npz"))
    return LabelBank(path.parent)


READERS: dict[str, Callable[[Path], Any]] = {
    "any": lambda path: read_arrays(path, "file of ours", "make one"),
    "deformation model": load_deformation_model,
    "motions": lambda path: load_motions(str(path)),
    "bank": _bank,
}


def packed(**named: Any) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, **named)
    return held.getvalue()


def alone() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    return held.getvalue()


WHOLE = packed(a=np.random.default_rng(0).normal(size=(2, 9, 9)), labels=np.zeros(3))
MIDDLE = len(WHOLE) // 2
BAD = {
    "empty": b"",
    "text": b"no arrays",
    "cut": WHOLE[:MIDDLE],
    "one bit off": WHOLE[:MIDDLE] + bytes([WHOLE[MIDDLE] ^ 16]) + WHOLE[MIDDLE + 1 :],
    "stream broken": WHOLE[:60] + bytes(20) + WHOLE[80:],
    "one array, no archive": alone(),
    "objects": packed(motions=np.array([{}], object), labels=np.array([{}], object), format=np.array([{}], object)),
    "pickle": pickle.dumps({"motions": 1}),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_what_is_no_such_file_is_said_in_one_sentence(reader: Callable, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no |is empty") as told:
        reader(path)
    assert "\n" not in str(told.value)


def test_a_file_that_would_fill_the_memory_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_LARGEST", 1 << 16)
    path = tmp_path / "bomb.npz"
    path.write_bytes(packed(labels=np.zeros((64, 64, 64), np.uint8)))
    assert path.stat().st_size < 2000
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(InputError, match="is no file of ours"):
        read_arrays(path, "file of ours", "make one")


def test_whole_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "whole.npz").write_bytes(WHOLE)
    held = read_arrays(tmp_path / "whole.npz", "file of ours", "make one")
    np.testing.assert_array_equal(held["a"], np.random.default_rng(0).normal(size=(2, 9, 9)))
    with pytest.raises(InputError, match=r"gone\.npz"):
        read_arrays(tmp_path / "gone.npz", "file of ours", "make one")


NODES = 5**3
UNFIT = {
    "no card": {"card": np.array("{")},
    "a card that is a list": {"card": np.array("[]")},
    "another form": {"format": np.array("other")},
    "mean of one direction": {"mean": np.zeros(NODES)},
    "mean of two directions": {"mean": np.zeros((2, NODES))},
    "no cube of nodes": {"mean": np.zeros((3, NODES + 1))},
    "too few nodes": {"mean": np.zeros((3, 27)), **{f"components_{a}": np.zeros((27, 2)) for a in "zyx"}},
    "components of fewer nodes": {"components_z": np.zeros((NODES - 1, 2))},
    "one component alone": {"components_x": np.zeros(NODES)},
    "not a number": {"components_y": np.full((NODES, 2), np.nan)},
    "text": {"mean": np.full((3, NODES), "a")},
    "no shares": {"explained": np.array(0.5)},
}


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_a_deformation_model_whose_arrays_do_not_fit_is_refused(change: dict, tmp_path: Path) -> None:
    whole = {"format": np.array(FORMAT), "card": np.array("{}"), "mean": np.zeros((3, NODES)), "explained": np.ones(3)}
    whole |= {f"components_{axis}": np.ones((NODES, 2)) for axis in "zyx"}
    path = tmp_path / "model.npz"
    np.savez(path, **whole)
    assert load_deformation_model(path).sample(torch.Generator()).shape == (1, 3, 5, 5, 5)
    np.savez(path, **{**whole, **change})
    with pytest.raises(InputError, match="is no deformation model"):
        load_deformation_model(path)


@pytest.mark.parametrize(
    "motions", [np.zeros((3, 4, 4, 4)), np.full((1, 3, 4, 4, 4), np.nan), np.zeros((0, 3, 4, 4, 4))]
)
def test_motions_of_another_form_are_refused(motions: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", motions=motions)
    with pytest.raises(InputError, match="holds no breathing motions"):
        load_motions(str(tmp_path / "m.npz"))


@pytest.mark.parametrize("source", ["model", "motions"])
def test_a_run_that_cannot_draw_virtual_subjects_does_not_begin(source: str, tmp_path: Path) -> None:
    """However seldom they are to be drawn: not hours later, at the first of them."""
    organs = decathlon(tmp_path / "organs", 5)
    deformations = [torch.randn(1, 3, 5, 5, 5, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    save_deformation_model(tmp_path / "m.npz", build_model(deformations))
    (tmp_path / "m.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:-9])
    virtual = {"probability": 1e-6, source: str(tmp_path / "m.npz")}
    with pytest.raises(InputError, match=r"m\.npz is no"):
        Tuner(a_config(organs, virtual=virtual), Process(0, 1, torch.device("cpu")))
