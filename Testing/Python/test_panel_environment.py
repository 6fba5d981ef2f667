"""What is installed, what is missing, and who may install what."""

import re
import sys
import types
from pathlib import Path

import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.panel import environment
from RobustDIRLib.panel.environment import Requirement, State

ROOT = Path(__file__).parents[2]
TORCH, NIBABEL, SITK = Requirement("torch", "2.4"), Requirement("nibabel", "5"), Requirement("SimpleITK", "2.3")


class Installer:
    """Stands in for `slicer`: remembers what it was asked, and installs nothing."""

    def __init__(self, monkeypatch, *, packaging: bool, agrees: bool = True) -> None:
        self.asked, self.installed, self.ensured = [], [], []
        slicer = types.ModuleType("slicer")
        slicer.util = types.SimpleNamespace(
            confirmOkCancelDisplay=lambda text, **_: self.asked.append(text) or agrees,
            pip_install=self.installed.append,
        )
        monkeypatch.setitem(sys.modules, "slicer", slicer)
        if packaging:
            slicer.packaging = types.ModuleType("slicer.packaging")
            slicer.packaging.pip_ensure = lambda packages, **named: self.ensured.append((packages, named))
            monkeypatch.setitem(sys.modules, "slicer.packaging", slicer.packaging)
        else:
            monkeypatch.setitem(sys.modules, "slicer.packaging", None)


def test_requirements_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.search(r"^dependencies = \[(.+)\]$", text, re.MULTILINE).group(1)
    assert {r.words for r in environment.requirements()} == set(re.findall(r'"([^"]+)"', declared))


@pytest.mark.parametrize("words", [environment.SAMPLE_REQUIREMENTS, environment.REPORT_REQUIREMENTS])
def test_optional_requirements_stand_in_the_package_too(words):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{word}"' in text for word in words)


def test_no_requirement_is_pinned():
    assert "==" not in environment.REQUIREMENTS.read_text(encoding="utf-8")


def test_looking_imports_nothing(tmp_path, monkeypatch):
    (tmp_path / "heavy_package.py").write_text("raise AssertionError('was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert environment.examine([Requirement("heavy_package")]).ready


def test_what_is_missing_or_old_is_named(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda name: {"numpy": "1.9", "scipy": "2.0"}[name])
    state = environment.examine(
        [Requirement("no_such_thing"), Requirement("numpy", "1.10"), Requirement("scipy", "1.9")]
    )
    assert [r.name for r in state.missing] == ["no_such_thing"]
    assert [r.name for r in state.old] == ["numpy"]
    assert not state.ready
    assert "Missing: no_such_thing." in state.sentence()
    assert "Too old: numpy." in state.sentence()


def test_torch_needs_the_extension():
    state = State((TORCH, NIBABEL), (), has_extension=False)
    assert state.needs_extension
    assert "Extensions Manager" in state.sentence()
    with pytest.raises(InputError, match="extension “PyTorch”"):
        environment.install(state)


def test_slicer_with_packaging_installs_without_torch(monkeypatch):
    slicer = Installer(monkeypatch, packaging=True)
    environment.install(State((NIBABEL, Requirement("scikit-image")), (), True))
    ((packages, named),) = slicer.ensured
    assert packages == ["nibabel>=5", "scikit-image"]
    assert named == {"requester": "RobustDIR", "skip_packages": ["torch", "SimpleITK"]}
    assert not slicer.installed


def test_older_slicer_asks_first(monkeypatch):
    slicer = Installer(monkeypatch, packaging=False)
    environment.install(State((NIBABEL,), (), True))
    assert "nibabel" in slicer.asked[0]
    assert slicer.installed == [["nibabel>=5"]]


def test_nothing_is_installed_against_the_users_will(monkeypatch):
    slicer = Installer(monkeypatch, packaging=False, agrees=False)
    with pytest.raises(InputError, match="Nothing was installed"):
        environment.install(State((NIBABEL,), (), True))
    assert slicer.installed == []


def test_torch_comes_through_the_extension_alone(monkeypatch):
    asked = []
    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = lambda: types.SimpleNamespace(
        installTorch=lambda **named: asked.append(named) or "torch"
    )
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    slicer = Installer(monkeypatch, packaging=False)
    environment.install(State((TORCH,), (), True))
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.4"}]
    assert slicer.installed == []


def test_simpleitk_is_slicers_own():
    with pytest.raises(InputError, match="comes with 3D Slicer"):
        environment.install(State((SITK,), (), True))


class TestFolderOfWheels:
    def test_is_used_alone(self, monkeypatch, tmp_path):
        slicer = Installer(monkeypatch, packaging=True)
        (tmp_path / "nibabel-5.3-py3-none-any.whl").touch()
        environment.install(State((NIBABEL,), (), False), tmp_path)
        assert slicer.installed == [["--no-index", "--find-links", str(tmp_path), "nibabel>=5"]]
        assert not slicer.ensured

    def test_without_wheels_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="holds no wheel files"):
            environment.install(State((NIBABEL,), (), False), tmp_path)


def test_failures_of_installers_are_one_sentence():
    def fails():
        raise RuntimeError("pip said\nno matching distribution")

    def declines():
        raise InputError("Nothing was installed.")

    assert environment.installed(fails) == "Installing failed (no matching distribution); see the log."
    assert environment.installed(declines) == "Nothing was installed."
    assert environment.installed(lambda: None) is None
