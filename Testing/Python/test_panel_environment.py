"""What is installed, what is missing, and who may install what."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import panel_cases as cases
from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts import environment
from RobustDIRLib.panelparts.environment import Readiness, Requirement

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


def test_the_folder_of_wheels_is_filled_with_what_can_be_used():
    """README downloads both files: together they hold all that the strip can name."""
    lines = environment.REQUIREMENTS.with_name("requirements-optional.txt").read_text(encoding="utf-8").splitlines()
    words = {each for wanted in environment.OPTIONAL.values() for each in wanted}
    assert {r.words for r in environment.requirements(lines)} == words
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "-r RobustDIR/RobustDIRLib/requirements.txt -r RobustDIR/RobustDIRLib/requirements-optional.txt" in text


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


def test_versions_are_those_of_the_packages_notes():
    names = {each.metadata["Name"] for each in importlib.metadata.distributions()}
    assert len(names) > 50
    assert {name: environment.version(name) for name in names} == {n: importlib.metadata.version(n) for n in names}
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        environment.version("no_such_thing")


def test_torch_needs_the_extension():
    state = Readiness((TORCH, NIBABEL), (), has_extension=False)
    assert state.needs_extension
    assert "Extensions Manager" in state.sentence()
    with pytest.raises(InputError, match="extension “PyTorch”"):
        environment.install(Readiness((TORCH,), (), has_extension=False))


class Extensions:
    """Stands in for Slicer's manager of extensions: takes what is asked of it, and gives the user's answer."""

    def __init__(self, *, there: bool = False, agrees: bool = True) -> None:
        self.there, self.agrees, self.asked = there, agrees, []

    def isExtensionInstalled(self, name: str) -> bool:
        return self.there and name == "PyTorch"

    def installExtensionFromServer(self, name: str, restart: bool = True) -> bool:
        self.asked.append((name, restart))
        return self.agrees


@pytest.mark.parametrize(
    ("there", "agrees", "asked", "sentence"),
    [
        (False, True, [("PyTorch", False)], environment.RESTART),
        (False, False, [("PyTorch", False)], "was not installed: try again"),
        (True, True, [], environment.RESTART),
    ],
)
def test_one_click_installs_the_extension_and_the_rest(monkeypatch, there, agrees, asked, sentence):
    """Slicer asks the user itself; the restart, which may cost a scene, is left to the user."""
    slicer, extensions = Installer(monkeypatch, packaging=False), Extensions(there=there, agrees=agrees)
    sys.modules["slicer"].app = types.SimpleNamespace(extensionsManagerModel=lambda: extensions)
    monkeypatch.setattr(environment, "_is_there", lambda module: module not in ("PyTorchUtils", "torch", "nibabel"))
    monkeypatch.setattr(environment, "_older", lambda _requirement: False)
    state = environment.examine()
    assert "which Install… installs first" in state.sentence()
    assert sentence in environment.installed(lambda: environment.install(state))
    assert extensions.asked == asked
    assert [word.partition(">")[0] for word in slicer.installed[0]] == ["nibabel"]


@pytest.mark.parametrize("app", [None, types.SimpleNamespace(), types.SimpleNamespace(extensionsManagerModel=object)])
def test_a_slicer_that_installs_no_extensions_says_where_it_is(monkeypatch, app):
    Installer(monkeypatch, packaging=False)
    sys.modules["slicer"].app = app
    monkeypatch.setattr(environment, "_is_there", lambda module: module not in ("PyTorchUtils", "torch"))
    state = environment.examine()
    assert not state.offers_extension
    assert "install it in the Extensions Manager" in state.sentence()


def test_slicer_with_packaging_installs_without_torch(monkeypatch):
    slicer = Installer(monkeypatch, packaging=True)
    environment.install(Readiness((NIBABEL, Requirement("scikit-image")), (), True))
    ((packages, named),) = slicer.ensured
    assert packages == ["nibabel>=5", "scikit-image"]
    assert named == {"requester": "RobustDIR", "skip_packages": ["torch", "SimpleITK"]}
    assert not slicer.installed


def test_older_slicer_asks_first(monkeypatch):
    slicer = Installer(monkeypatch, packaging=False)
    environment.install(Readiness((NIBABEL,), (), True))
    assert "nibabel" in slicer.asked[0]
    assert slicer.installed == [["nibabel>=5"]]


def test_nothing_is_installed_against_the_users_will(monkeypatch):
    slicer = Installer(monkeypatch, packaging=False, agrees=False)
    with pytest.raises(InputError, match="Nothing was installed"):
        environment.install(Readiness((NIBABEL,), (), True))
    assert slicer.installed == []


def test_torch_comes_through_the_extension_alone(monkeypatch):
    asked = []
    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = lambda: types.SimpleNamespace(
        installTorch=lambda **named: asked.append(named) or "torch"
    )
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    slicer = Installer(monkeypatch, packaging=False)
    environment.install(Readiness((TORCH,), (), True))
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.4"}]
    assert slicer.installed == []


def test_simpleitk_is_slicers_own():
    with pytest.raises(InputError, match="comes with 3D Slicer"):
        environment.install(Readiness((SITK,), (), True))


class TestFolderOfWheels:
    def test_is_used_alone(self, monkeypatch, tmp_path):
        slicer = Installer(monkeypatch, packaging=True)
        (tmp_path / "nibabel-5.3-py3-none-any.whl").touch()
        environment.install(Readiness((NIBABEL,), (), False), tmp_path)
        assert slicer.installed == [["--no-index", "--find-links", str(tmp_path), "nibabel>=5"]]
        assert not slicer.ensured

    def test_without_wheels_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="holds no wheel files"):
            environment.install(Readiness((NIBABEL,), (), False), tmp_path)


def test_failures_of_installers_are_one_sentence():
    def fails():
        raise RuntimeError("pip said\nno matching distribution")

    def declines():
        raise InputError("Nothing was installed.")

    assert environment.installed(fails) == "Installing failed (no matching distribution); see the log."
    assert environment.installed(declines) == "Nothing was installed."
    assert environment.installed(lambda: None) is None


def test_a_user_who_says_no_is_told_no_failure(monkeypatch):
    """Slicer's installer, our own question, a folder of wheels and the PyTorch extension alike."""
    slicer = Installer(monkeypatch, packaging=True)

    def declined(*_, **__):
        raise RuntimeError("User declined installation of nibabel")

    slicer_packaging = sys.modules["slicer.packaging"]
    monkeypatch.setattr(slicer_packaging, "pip_ensure", declined)
    assert environment.installed(lambda: environment.ensure(["nibabel"])) == environment.DECLINED
    monkeypatch.setattr(slicer_packaging, "pip_ensure", lambda *_, **__: 1 / 0)
    assert "Installing failed" in environment.installed(lambda: environment.ensure(["nibabel"]))
    assert not slicer.installed
    Installer(monkeypatch, packaging=False, agrees=False)
    assert environment.installed(lambda: environment.ensure(["nibabel"])) == environment.DECLINED
    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=lambda **_: None)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    torch = Readiness((TORCH,), (), True)
    assert environment.installed(lambda: environment.install(torch)) == environment.DECLINED


def test_what_reports_and_sample_data_need_is_told_and_comes_from_the_folder(monkeypatch, tmp_path):
    lacking = {"markdown_it", "nilearn"}
    real = environment._is_there
    monkeypatch.setattr(environment, "_is_there", lambda module: module not in lacking and real(module))
    state = environment.examine()
    assert state.ready
    assert state.sentence() == ("Ready. For HTML reports and sample data, markdown-it-py, nilearn can be added.")
    slicer = Installer(monkeypatch, packaging=False)
    (tmp_path / "nilearn-1-py3-none-any.whl").touch()
    environment.install(state, tmp_path)
    assert slicer.installed[0][-2:] == ["markdown-it-py>=3", "nilearn>=0.10.3"]


@pytest.mark.parametrize(("version", "old"), [((5, 8), True), ((4, 11), True), ((5, 10), False), ((6, 0), False)])
def test_a_slicer_that_is_too_old_is_a_sentence(version, old):
    said = environment.too_old(*version)
    assert bool(said) is old
    assert not old or said.startswith("RobustDIR needs 3D Slicer 5.10 or later, and this is")


_ONLY = """
import importlib, json, os, re, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
def canonical(name): return re.sub("[-_.]+", "-", name).lower()
def closure(names):
    found, left = set(), [canonical(name) for name in names]
    while left:
        name = left.pop()
        if name in found: continue
        found.add(name)
        try: needed = requires(name) or []
        except PackageNotFoundError: continue
        left += [canonical(re.match("[A-Za-z0-9_.-]+", each)[0]) for each in needed if "extra ==" not in each]
    return found
known = packages_distributions()
class Listed:
    # finds what the path holds, but for packages that are not listed: those are as if they were not there
    def __init__(self, finder): self._finder = finder
    def __getattr__(self, name): return getattr(self._finder, name)
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in known and top != "RobustDIRLib" and not {canonical(each) for each in known[top]} & allowed:
            return None
        return self._finder.find_spec(name, path, target)
sys.meta_path[:] = [Listed(each) if getattr(each, "__name__", "") == "PathFinder" else each for each in sys.meta_path]
allowed = of_all = closure(sys.argv[1].split(","))
for name in ("cli", "demo", "registration.register"): importlib.import_module("RobustDIRLib." + name)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(asked["errors"], os.O_WRONLY | os.O_CREAT), 2)
        os.dup2(2, 1)
        allowed = closure(asked["packages"])
        assert allowed >= of_all
        exec(asked["before"])
        from RobustDIRLib.cli import main
        sys.exit(main(asked["words"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
# The packages are the matter: of a brain of 1 mm, most of the time would go into its deformation.
_COARSELY = """
from RobustDIRLib import demo
from RobustDIRLib.io.images import resample
whole = demo.template_brain()
demo.template_brain = lambda: resample(whole, whole.grid.resized((38, 47, 39)), outside=0.0)
"""


@pytest.fixture(scope="module")
def only(tmp_path_factory):
    """Runs `robustdir` where nothing is installed but some packages and what they need themselves.

    Each time in a fork of one process, which has imported what a registration needs, under the same restriction.
    """
    if not hasattr(os, "fork"):
        pytest.skip("processes cannot be forked here")
    names = ",".join(each.name for each in environment.requirements())
    command = [sys.executable, "-c", _ONLY, names]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    errors = tmp_path_factory.mktemp("only") / "errors.txt"

    def run(packages, *words, before=""):
        """The exit code, and what was said."""
        errors.write_text("")
        asked = {"packages": [each.name for each in packages], "words": list(map(str, words)), "before": before}
        print(json.dumps({**asked, "errors": str(errors)}), file=process.stdin, flush=True)
        return int(process.stdout.readline()), errors.read_text(encoding="utf-8")

    with subprocess.Popen(command, **pipes) as process:
        yield run


@pytest.fixture(scope="module")
def a_run(only, tmp_path_factory):
    """Folder of a registration, made with what a registration needs and nothing more."""
    from registration_cases import picture
    from RobustDIRLib.io.images import write_image

    folder = tmp_path_factory.mktemp("pair")
    for side, grid in (("fixed", cases.FIXED_GRID), ("moving", cases.MOVING_GRID)):
        write_image(folder / f"{side}.nii.gz", picture(grid, lambda p: p - cases.CENTRE))
    files = [folder / f"{side}.nii.gz" for side in ("fixed", "moving")]
    code, said = only(environment.requirements(), "register", *files, "-o", folder / "run", "--alignment", "none")
    assert code == 0, said
    return folder / "run"


def test_an_html_report_needs_nothing_that_is_not_listed(only, a_run, tmp_path):
    wanted = [*environment.requirements(), *environment.requirements(environment.REPORT_REQUIREMENTS)]
    code, said = only(wanted, "report", a_run, "-o", tmp_path / "report.html")
    assert code == 0, said
    assert (tmp_path / "report.html").is_file()
    fewer = [each for each in wanted if each.name != "markdown-it-py"]
    code, said = only(fewer, "report", a_run, "-o", tmp_path / "another.html")
    assert code == 2  # the block does block
    assert "markdown-it-py" in said


def test_sample_data_need_nothing_that_is_not_listed(only, tmp_path):
    wanted = [*environment.requirements(), *environment.requirements(environment.SAMPLE_REQUIREMENTS)]
    code, said = only(wanted, "demo", "--pair-only", "--output", tmp_path / "pair", before=_COARSELY)
    assert code == 0, said
    assert (tmp_path / "pair" / "moving.nii.gz").is_file()
