"""What a registration needs of the application's Python: what is there, what is missing, how that is installed.

Nothing is imported to find out, so that the panel opens at once and with nothing installed. torch comes through the
PyTorch extension, which knows the graphics card; all else through Slicer's own installer. A folder of wheels serves
machines without internet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
SAMPLE_REQUIREMENTS = ("nilearn>=0.10.3",)
REPORT_REQUIREMENTS = ("jinja2>=3.1", "matplotlib>=3.8")
_MODULES = {"scikit-image": "skimage"}
# Not to be installed by pip: the extension brings the one, the application the other.
_SKIPPED = ("torch", "SimpleITK")
_NAME = re.compile(r"^\s*([A-Za-z0-9_.-]+)\s*(?:>=\s*([0-9.]+))?")


@dataclass(frozen=True)
class Requirement:
    """A package by its name at the registry, and the oldest version that serves, if any."""

    name: str
    least: str = ""

    @property
    def words(self) -> str:
        """As pip takes it."""
        return f"{self.name}>={self.least}" if self.least else self.name

    @property
    def module(self) -> str:
        """What it is imported as."""
        return _MODULES.get(self.name, self.name)


@dataclass(frozen=True)
class State:
    """What was found.

    Attributes:
        missing: Requirements that are absent.
        old: Requirements that are there in too old a version.
        has_extension: Whether the PyTorch extension is there.
    """

    missing: tuple[Requirement, ...]
    old: tuple[Requirement, ...]
    has_extension: bool

    @property
    def ready(self) -> bool:
        """Whether registrations can run."""
        return not self.missing and not self.old

    @property
    def wanted(self) -> tuple[Requirement, ...]:
        """What is to be installed."""
        return self.missing + self.old

    @property
    def needs_extension(self) -> bool:
        """Whether torch is to come and the extension that brings it is not there."""
        return any(r.name == "torch" for r in self.wanted) and not self.has_extension

    def sentence(self) -> str:
        """For the panel."""
        if self.ready:
            return "Ready to register."
        parts = []
        if self.missing:
            parts.append(f"Missing: {', '.join(r.name for r in self.missing)}.")
        if self.old:
            parts.append(f"Too old: {', '.join(r.name for r in self.old)}.")
        if self.needs_extension:
            parts.append("PyTorch comes with the extension “PyTorch”: install it in the Extensions Manager.")
        return " ".join(parts)


def requirements(lines: Sequence[str] | None = None) -> tuple[Requirement, ...]:
    """The packages a registration needs, of `requirements.txt` if no lines are given."""
    if lines is None:
        lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    matches = [_NAME.match(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(Requirement(match.group(1), match.group(2) or "") for match in matches if match)


def examine(wanted: Sequence[Requirement] | None = None) -> State:
    """Look for packages without importing any."""
    missing, old = [], []
    for requirement in requirements() if wanted is None else wanted:
        if not _is_there(requirement.module):
            missing.append(requirement)
        elif requirement.least and _older(requirement):
            old.append(requirement)
    return State(tuple(missing), tuple(old), _is_there("PyTorchUtils"))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a broken package, or one whose spec was taken away
        return False


def _older(requirement: Requirement) -> bool:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:  # put there by the application without the registry's notes
        return False
    return _numbers(found) < _numbers(requirement.least)


def _numbers(text: str) -> tuple[int, ...]:
    parts = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(int(part) for part in parts.group().split(".")) if parts else ()


def install(state: State, wheels: Path | None = None) -> None:
    """Install what is missing, each after asking; in the application only.

    Args:
        state: What `examine` found.
        wheels: Folder of wheel files to install from, without internet; the registry if not given.
    Raises:
        InputError: If the extension is missing, the folder holds no wheels, or the user declines.
        RuntimeError: If the installer fails; its message is the installer's own.
    """
    if wheels is not None:
        _install_from_folder(state.wanted, wheels)
        return
    if state.needs_extension:
        raise InputError(
            "PyTorch is missing: install the extension “PyTorch” in the Extensions Manager, restart 3D Slicer and "
            "try again."
        )
    others = [r for r in state.wanted if r.name not in _SKIPPED]
    simpleitk = [r for r in state.wanted if r.name == "SimpleITK"]
    if simpleitk:
        raise InputError("SimpleITK is missing or too old: it comes with 3D Slicer; install version 5.10 or later.")
    if others:
        ensure([r.words for r in others])
    if any(r.name == "torch" for r in state.wanted):
        _install_torch(next(r.least for r in state.wanted if r.name == "torch"))


def ensure(packages: Sequence[str]) -> None:
    """Install packages from the registry after asking: by `slicer.packaging`, or as Slicer 5.10 can.

    Raises:
        InputError: If the user declines.
        RuntimeError: If the installer fails.
    """
    import slicer

    packaging = _packaging()
    if packaging is not None:
        packaging.pip_ensure(list(packages), requester="RobustDIR", skip_packages=list(_SKIPPED))
        return
    question = f"RobustDIR needs these Python packages:\n\n{', '.join(packages)}\n\nInstall them now?"
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="RobustDIR"):
        raise InputError("Nothing was installed; RobustDIR cannot register until the packages are there.")
    slicer.util.pip_install(list(packages))


def _packaging() -> Any:
    """`slicer.packaging`, which Slicer has from 5.12 on; else None."""
    try:
        import slicer.packaging
    except ImportError:
        return None
    return slicer.packaging if hasattr(slicer.packaging, "pip_ensure") else None


def _install_torch(least: str) -> None:
    from PyTorchUtils import PyTorchUtilsLogic  # type: ignore[import-not-found]

    logic = PyTorchUtilsLogic()
    if logic.installTorch(askConfirmation=True, torchVersionRequirement=f">={least}" if least else "") is None:
        raise InputError("PyTorch was not installed; RobustDIR cannot register until it is there.")


def _install_from_folder(wanted: Sequence[Requirement], folder: Path) -> None:
    import slicer

    if not folder.is_dir() or not any(folder.glob("*.whl")):
        raise InputError(f"{folder} holds no wheel files (.whl); choose the folder they were downloaded to.")
    names = [r.words for r in wanted if r.name != "SimpleITK"]
    question = f"Install {', '.join(names)} from\n{folder}?"
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="RobustDIR"):
        raise InputError("Nothing was installed; RobustDIR cannot register until the packages are there.")
    slicer.util.pip_install(["--no-index", "--find-links", str(folder), *names])


def installed(installer: Callable[[], None]) -> str | None:
    """Run an installer; why it failed in one sentence, or None."""
    try:
        installer()
    except InputError as error:
        return str(error)
    except Exception as error:  # whatever pip, the network or the extension raises is the user's to read, not ours
        said = str(error).strip().splitlines() or [type(error).__name__]
        return f"Installing failed ({said[-1]}); see the log."
    return None
