"""What a registration needs of the application's Python: what is there, what is missing, how that is installed.

Nothing is imported to find out, so that the panel opens at once and with nothing installed. torch comes through the
PyTorch extension, which knows the graphics card; all else through Slicer's own installer. A folder of wheels serves
machines without internet.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts.words import _

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
SAMPLE_REQUIREMENTS = ("nilearn>=0.10.3",)
REPORT_REQUIREMENTS = ("jinja2>=3.1", "markdown-it-py>=3", "matplotlib>=3.10")
# What a registration can do without, by what it is for; a folder of wheels brings it, too.
OPTIONAL = {_("HTML reports"): REPORT_REQUIREMENTS, _("sample data"): SAMPLE_REQUIREMENTS}
DECLINED = _("Nothing was installed.")
RESTART = _("The extension “PyTorch” is there: restart 3D Slicer, then click Install… again for PyTorch itself.")
EXTENSION = "PyTorch"
OLDEST_SLICER = (5, 10)
_MODULES = {"scikit-image": "skimage", "markdown-it-py": "markdown_it"}
# Not to be installed by pip: the extension brings the one, the application the other.
_SKIPPED = ("torch", "SimpleITK")
_VERSION = re.compile(r"^Version: *(\S+)", re.MULTILINE)
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
class Readiness:
    """What was found.

    Attributes:
        missing: Requirements that are absent.
        old: Requirements that are there in too old a version.
        has_extension: Whether the PyTorch extension is there.
        optional: Requirements of `OPTIONAL` that are absent or too old.
        offers_extension: Whether the application can install that extension itself.
    """

    missing: tuple[Requirement, ...]
    old: tuple[Requirement, ...]
    has_extension: bool
    optional: tuple[Requirement, ...] = ()
    offers_extension: bool = False

    @property
    def ready(self) -> bool:
        """Whether registrations can run."""
        return not self.missing and not self.old

    @property
    def wanted(self) -> tuple[Requirement, ...]:
        """What is to be installed."""
        return tuple(dict.fromkeys(self.missing + self.old + self.optional))

    @property
    def needs_extension(self) -> bool:
        """Whether torch is to come and the extension that brings it is not there."""
        return any(r.name == "torch" for r in self.wanted) and not self.has_extension

    def sentence(self) -> str:
        """For the panel."""
        if self.ready:
            uses = [use for use, words in OPTIONAL.items() if set(requirements(words)) & set(self.optional)]
            names = ", ".join(r.name for r in self.optional)
            return (
                _("Ready. For {uses}, {names} can be added.").format(uses=" and ".join(uses), names=names)
                if uses
                else _("Ready.")
            )
        parts = []
        if self.missing:
            parts.append(_("Missing: {names}.").format(names=", ".join(r.name for r in self.missing)))
        if self.old:
            parts.append(_("Too old: {names}.").format(names=", ".join(r.name for r in self.old)))
        if self.needs_extension and self.offers_extension:
            parts.append(_("PyTorch comes with the extension “PyTorch”, which Install… installs first."))
        elif self.needs_extension:
            parts.append(_("PyTorch comes with the extension “PyTorch”: install it in the Extensions Manager."))
        return " ".join(parts)


def requirements(lines: Sequence[str] | None = None) -> tuple[Requirement, ...]:
    """The packages a registration needs, of `requirements.txt` if no lines are given."""
    if lines is None:
        lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    matches = [_NAME.match(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(Requirement(match.group(1), match.group(2) or "") for match in matches if match)


def examine(wanted: Sequence[Requirement] | None = None) -> Readiness:
    """Look for packages without importing any.

    Args:
        wanted: What is needed; if not given, what a registration needs, and what else of `OPTIONAL` could be used.
    """
    missing, old = _lacking(requirements() if wanted is None else wanted)
    others = () if wanted is not None else requirements([words for each in OPTIONAL.values() for words in each])
    absent, outdated = _lacking(others)
    has_extension = _is_there("PyTorchUtils")
    return Readiness(tuple(missing), tuple(old), has_extension, tuple(absent + outdated), _extensions() is not None)


def _lacking(wanted: Sequence[Requirement]) -> tuple[list[Requirement], list[Requirement]]:
    """What is absent, and what is too old."""
    missing = [each for each in wanted if not _is_there(each.module)]
    return missing, [each for each in wanted if each not in missing and each.least and _older(each)]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a broken package, or one whose spec was taken away
        return False


def version(name: str) -> str:
    """Of an installed package, by the head of its notes: parsing all of them would be felt when a panel opens.

    Raises:
        PackageNotFoundError: If there is none of that name.
    """
    found = distribution(name)
    head = _VERSION.search(found.read_text("METADATA") or "")
    return head.group(1) if head else found.version


def _older(requirement: Requirement) -> bool:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:  # put there by the application without the registry's notes
        return False
    return _numbers(found) < _numbers(requirement.least)


def _numbers(text: str) -> tuple[int, ...]:
    parts = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(int(part) for part in parts.group().split(".")) if parts else ()


def install(state: Readiness, wheels: Path | None = None) -> None:
    """Install what is missing, each after asking; in the application only.

    Args:
        state: What `examine` found.
        wheels: Folder of wheel files to install from, without internet; the registry if not given.
    Raises:
        InputError: If the extension is missing or was only now installed (`RESTART`), the folder holds no wheels, or
            the user declines.
        RuntimeError: If the installer fails; its message is the installer's own.
    """
    if wheels is not None:
        _install_from_folder(state.wanted, wheels)
        return
    others = [r for r in state.wanted if r.name not in _SKIPPED]
    simpleitk = [r for r in state.wanted if r.name == "SimpleITK"]
    if simpleitk:
        raise InputError(_("SimpleITK is missing or too old: it comes with 3D Slicer; install version 5.10 or later."))
    if others:
        ensure([r.words for r in others])
    if state.needs_extension:
        _install_extension()
    elif any(r.name == "torch" for r in state.wanted):
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
        try:
            packaging.pip_ensure(list(packages), requester="RobustDIR", skip_packages=list(_SKIPPED))
        except RuntimeError as error:  # it has no other way to say that the user said no
            if "declined" in str(error).lower():
                raise InputError(DECLINED) from error
            raise
        return
    question = _("RobustDIR needs these Python packages:\n\n{names}\n\nInstall them now?").format(
        names=", ".join(packages)
    )
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="RobustDIR"):
        raise InputError(DECLINED)
    slicer.util.pip_install(list(packages))


def _packaging() -> Any:
    """Slicer's own installer, which it has from 5.12 on and calls `pydeps` later on; else None."""
    for name in ("slicer.packaging", "slicer.pydeps"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        if hasattr(module, "pip_ensure"):
            return module
    return None


def _extensions() -> Any:
    """What installs extensions in this application; None where it cannot, or is not built to."""
    find = getattr(getattr(sys.modules.get("slicer"), "app", None), "extensionsManagerModel", None)
    manager = find() if find is not None else None
    return manager if hasattr(manager, "installExtensionFromServer") else None


def _install_extension() -> None:
    """Have the application install the extension that brings torch; it asks the user itself.

    Raises:
        InputError: In any case: the extension is of use after a restart, which is the user's to choose.
    """
    manager = _extensions()
    if manager is None:
        raise InputError(
            _(
                "PyTorch is missing: install the extension “PyTorch” in the Extensions Manager, restart "
                "3D Slicer and try again."
            )
        )
    if not manager.isExtensionInstalled(EXTENSION) and not manager.installExtensionFromServer(EXTENSION, False):
        raise InputError(
            _(
                "The extension “PyTorch” was not installed: try again, or install it in the Extensions "
                "Manager, restart 3D Slicer and come back."
            )
        )
    raise InputError(RESTART)


def _install_torch(least: str) -> None:
    from PyTorchUtils import PyTorchUtilsLogic  # type: ignore[import-not-found]

    logic = PyTorchUtilsLogic()
    if logic.installTorch(askConfirmation=True, torchVersionRequirement=f">={least}" if least else "") is None:
        raise InputError(DECLINED)


def _install_from_folder(wanted: Sequence[Requirement], folder: Path) -> None:
    import slicer

    if not folder.is_dir() or not any(folder.glob("*.whl")):
        raise InputError(
            _("{folder} holds no wheel files (.whl); choose the folder they were downloaded to.").format(folder=folder)
        )
    names = [r.words for r in wanted if r.name != "SimpleITK"]
    question = _("Install {names} from\n{folder}?").format(names=", ".join(names), folder=folder)
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="RobustDIR"):
        raise InputError(DECLINED)
    slicer.util.pip_install(["--no-index", "--find-links", str(folder), *names])


def too_old(major: int, minor: int) -> str:
    """Why a version of 3D Slicer cannot be used, in one sentence; empty if it can."""
    if (major, minor) >= OLDEST_SLICER:
        return ""
    oldest = ".".join(map(str, OLDEST_SLICER))
    return _(
        "RobustDIR needs 3D Slicer {oldest} or later, and this is {major}.{minor}: please install a newer 3D Slicer."
    ).format(oldest=oldest, major=major, minor=minor)


def installed(installer: Callable[[], None]) -> str | None:
    """Run an installer; why it failed in one sentence (`DECLINED` if the user said no), or None."""
    try:
        installer()
    except InputError as error:
        return str(error)
    except Exception as error:  # whatever pip, the network or the extension raises is the user's to read, not ours
        said = str(error).strip().splitlines() or [type(error).__name__]
        return _("Installing failed ({said}); see the log.").format(said=said[-1])
    return None
