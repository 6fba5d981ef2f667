"""The doctor: says what is there, and is itself well where the patient is not."""

import json
import platform

import numpy as np
import pytest
import torch

from RobustDIRLib import __version__, cli, doctor, model_file, model_store
from RobustDIRLib.networks.build import build_network


@pytest.fixture(autouse=True)
def a_shipped_model(tmp_path, monkeypatch):
    monkeypatch.setattr(model_store, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path / "own"))
    folder = tmp_path / "shipped" / "generic"
    folder.mkdir(parents=True)
    network = build_network({"kind": "pyramid", "encoder": [4], "decoder": [4], "depth": [1], "radius": [1]})
    return model_file.save_model(folder / "weights.pt", network, {})


def test_this_machine_is_usable_and_described():
    health = doctor.examine()
    assert health.usable
    assert health.problems == []
    assert health.versions["python"] == platform.python_version()
    assert health.versions["robustdir"] == __version__
    assert health.versions["torch"] == torch.__version__
    assert health.versions["numpy"] == np.__version__
    assert 1 <= health.device["cores"] <= 10_000
    assert health.device["threads"] == torch.get_num_threads()
    assert len(health.device["cuda"]) == torch.cuda.device_count()
    assert health.models == {"generic": "ok"}


def test_memory_is_in_bytes_and_less_is_free_than_there_is():
    memory = doctor.examine().memory
    assert 2**28 < memory["available"] < memory["total"] < 2**45


def test_json_says_the_same(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["usable"] is True
    assert told["versions"] == doctor.examine().versions


def test_text_names_everything(capsys):
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in (
        "python",
        "torch",
        "SimpleITK",
        "nibabel",
        "cores",
        "memory total",
        "GiB",
        "[demo]",
        "generic",
        "ready",
    ):
        assert word in text


@pytest.mark.parametrize("package", doctor.REQUIRED)
def test_a_missing_package_is_named_with_its_cure(package, monkeypatch, capsys):
    really = doctor.import_module

    def without(name):
        if name == doctor.REQUIRED[package]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return really(name)

    monkeypatch.setattr(doctor, "import_module", without)
    assert cli.main(["doctor"]) == 1
    assert f"{package} is not installed; install it with: pip install {package}" in capsys.readouterr().out


def test_a_package_that_breaks_on_import_is_no_crash(monkeypatch, capsys):
    def breaking(name):
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(doctor, "import_module", breaking)
    assert cli.main(["doctor"]) == 1
    assert "torch does not import (libgomp.so.1" in capsys.readouterr().out


def test_a_damaged_shipped_model_is_found(a_shipped_model, capsys):
    whole = a_shipped_model.read_bytes()
    a_shipped_model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert cli.main(["doctor"]) == 1
    assert "the shipped model generic cannot be trusted" in capsys.readouterr().out


def test_no_shipped_model_is_a_problem(a_shipped_model, capsys):
    a_shipped_model.unlink()
    assert cli.main(["doctor"]) == 1
    assert "no model came with this installation" in capsys.readouterr().out


def test_a_damaged_model_of_the_users_is_a_note(a_shipped_model, tmp_path):
    entry = model_store.add_model(a_shipped_model, "mine")
    entry.path.write_bytes(b"rubbish")
    health = doctor.examine()
    assert health.usable
    assert health.notes[-1] == "your model mine: it differs from the checksum beside it"


def test_missing_extras_are_listed_but_no_problem(monkeypatch):
    really = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "matplotlib" else really(name))
    health = doctor.examine()
    assert health.usable
    assert health.extras["report"][-1:] == ["matplotlib"]
    assert health.extras["demo"] == ["matplotlib"]
    assert any("pip install 'robustdir[report]'" in note for note in health.notes)


def test_an_old_python_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "PYTHONS", ((9, 0), (9, 9)))
    assert "is too old" in doctor.examine().problems[0]
