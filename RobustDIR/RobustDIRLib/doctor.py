"""What `robustdir doctor` finds out: whether everything a registration needs is there, and what is optional.

Works where torch or another package is missing, since that is what it is for.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from RobustDIRLib import __version__

PYTHONS = ((3, 10), (3, 12))
REQUIRED = {
    "torch": "torch",
    "SimpleITK": "SimpleITK",
    "nibabel": "nibabel",
    "pydicom": "pydicom",
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-image": "skimage",
}
EXTRAS = {
    "report": ("jinja2", "markdown_it", "matplotlib"),
    "demo": ("nilearn", "matplotlib"),
    "tune": ("optuna",),
    "cluster": ("distributed", "cryptography"),
    "baselines": ("itk", "ants", "convexAdam"),
    "dev": ("pytest", "ruff", "mypy", "pre_commit"),
}
LEAST_MEMORY = 4 * 2**30


@dataclass(frozen=True)
class Health:
    """What was found.

    Attributes:
        versions: Of Python, RobustDIR and each required package; None where it is missing or does not import.
        device: Processor cores, threads torch uses, the accelerators torch sees.
        memory: Bytes `total` and `available`, None where the system does not say.
        extras: For each extra, the packages of it that are missing.
        models: For each model, `"ok"` or what is wrong with it.
        problems: What keeps a registration from running, each with what to do.
        notes: What is worth knowing but keeps nothing from running.
    """

    versions: dict[str, str | None]
    device: dict[str, Any]
    memory: dict[str, int | None]
    extras: dict[str, list[str]]
    models: dict[str, str]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether registrations can run."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"usable": self.usable, **asdict(self)}


def examine() -> Health:
    """Look at versions, device, memory, extras and models of this machine."""
    broken = {name: why for name, module in REQUIRED.items() if (why := import_problem(module))}
    versions = {"python": platform.python_version(), "robustdir": __version__}
    shipped, own = ({}, {}) if broken else _models()
    health = Health(
        versions={**versions, **{name: None if name in broken else _version(name) for name in REQUIRED}},
        device=_device("torch" not in broken),
        memory=_memory(not broken),
        extras={extra: [name for name in names if not find_spec(name)] for extra, names in EXTRAS.items()},
        models=shipped | own,
        problems=_package_problems(broken) + ([] if broken else _model_problems(shipped)),
    )
    health.notes.extend(
        _notes(health) + [f"your model {name}: {state}" for name, state in own.items() if state != "ok"]
    )
    return health


def import_problem(module: str) -> str | None:
    """Why a package does not import, in words; None if it does."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        return "is not installed" if error.name == module else f"does not import ({error})"
    except (ImportError, OSError) as error:  # OSError: a library the system cannot load
        return f"does not import ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _device(has_torch: bool) -> dict[str, Any]:
    device: dict[str, Any] = {"system": f"{platform.system()} {platform.machine()}", "cores": _cores()}
    if not has_torch:
        return device
    import torch

    device["threads"] = torch.get_num_threads()
    device["cuda"] = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    device["mps"] = torch.backends.mps.is_available()
    return device


def _cores() -> int:
    """Cores this process may use, which a container or a scheduler can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory(importable: bool) -> dict[str, int | None]:
    available = None
    if importable:
        from RobustDIRLib.registration.memory import available_memory

        available = available_memory()
    return {"total": _total_memory(), "available": available}


def _total_memory() -> int | None:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    return min(total, int(text)) if text.isdigit() else total


def _models() -> tuple[dict[str, str], dict[str, str]]:
    """The state of each shipped model and of each of the user's, against the checksum beside it."""
    from RobustDIRLib.model_file import checksum_problem
    from RobustDIRLib.model_store import list_models

    states: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for entry in list_models():
        states[0 if entry.shipped else 1][entry.name] = checksum_problem(entry.path) or "ok"
    return states


def _package_problems(broken: dict[str, str]) -> list[str]:
    problems = [f"{name} {why}; install it with: pip install {name}" for name, why in broken.items()]
    if not PYTHONS[0] <= sys.version_info[:2]:
        problems.insert(0, f"Python {platform.python_version()} is too old; install Python 3.10, 3.11 or 3.12")
    return problems


def _model_problems(shipped: dict[str, str]) -> list[str]:
    if not shipped:
        return ["no model came with this installation; install robustdir again"]
    bad = {name: state for name, state in shipped.items() if state != "ok"}
    return [
        f"the shipped model {name} cannot be trusted: {state}; install robustdir again" for name, state in bad.items()
    ]


def _notes(health: Health) -> list[str]:
    notes = []
    if sys.version_info[:2] > PYTHONS[1]:
        notes.append(f"Python {platform.python_version()} is newer than those RobustDIR is tested with (3.10 to 3.12)")
    free = health.memory["available"]
    if free is not None and free < LEAST_MEMORY:
        notes.append("less than 4 GiB of memory are free; large images will be registered on a coarser grid")
    for extra, missing in health.extras.items():
        if missing:
            notes.append(f"for [{extra}]: pip install 'robustdir[{extra}]'")
    return notes
