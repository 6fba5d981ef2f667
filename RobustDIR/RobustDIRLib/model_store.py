"""Models by name, the shipped ones and the user's own: listed, found, loaded, added, exported, removed.

Each has a folder: its file (`model_file`), the checksum and, as `card.md`, its card for people. torch is imported
inside functions: listing and checking must work where torch does not.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import PathLike, check_extension, existing_file, refuse_inputs, written_atomically
from RobustDIRLib.model_file import LoadedModel, checksum_file, checksum_problem, read_model, save_model, write_checksum
from RobustDIRLib.run_files import MODEL

DEFAULT_MODEL = "generic"
CARD = "card.md"  # beside the file of a model, which is called as a run calls it: `run_files.MODEL`
SHIPPED = Path(__file__).parent / "models"
TAKEN = "is there already"  # in the sentence that refuses a name
# Of a folder, on every system: Windows drops a dot at the end, and tables are to hold it.
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9_-])?", re.IGNORECASE)


@dataclass(frozen=True)
class ModelEntry:
    """A model in one of the two folders, not loaded.

    Attributes:
        name: What it is asked for by.
        path: Its model file.
        shipped: Whether it came with the package.
    """

    name: str
    path: Path
    shipped: bool

    @property
    def card(self) -> Path:
        """Its card for people, which may be missing."""
        return self.path.with_name(CARD)


def user_folder() -> Path:
    """Where added models live: `ROBUSTDIR_MODELS` if set, else the system's place for a user's application data."""
    if chosen := os.environ.get("ROBUSTDIR_MODELS"):
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "robustdir" / "models"


def list_models() -> list[ModelEntry]:
    """All models by name: the default, others shipped, a user's own, which cannot stand in for a shipped one."""
    shipped = sorted(_entries(SHIPPED, True), key=lambda entry: entry.name != DEFAULT_MODEL)
    names = {entry.name for entry in shipped}
    return shipped + [entry for entry in _entries(user_folder(), False) if entry.name not in names]


def _entries(folder: Path, shipped: bool) -> list[ModelEntry]:
    files = sorted(folder.glob(f"*/{MODEL}")) if folder.is_dir() else []
    return [ModelEntry(path.parent.name, path, shipped) for path in files]


def find_model(name_or_path: PathLike) -> Path:
    """The file of a model asked for by name or by path; a name wins over a file that is called the same.

    Raises:
        InputError: If it is neither; names the known models.
    """
    known = {entry.name: entry.path for entry in list_models()}
    if (name := str(name_or_path)) in known:
        return known[name]
    path = Path(name_or_path)
    if os.path.isdir(path) and (path / MODEL).is_file():
        return path / MODEL
    if os.path.exists(path) or path.suffix in (".pt", ".pth") or path.name != name:  # meant as a path: what is wrong?
        return existing_file(path)
    raise InputError(f"no model is named {name!r}; known: {', '.join(known) or 'none'}; or give the path of a file.")


def load_model(name_or_path: PathLike = DEFAULT_MODEL, device: str = "cpu") -> LoadedModel:
    """A model, ready to run.

    Args:
        name_or_path: One of `list_models`, or a model file.
        device: Where the network shall be.
    Raises:
        InputError: If there is no such model or device, or its file is not sound (`model_file.read_model`).
    """
    return read_model(find_model(name_or_path), device)


def add_model(path: PathLike, name: str | None = None, notes: Mapping[str, Any] | None = None) -> ModelEntry:
    """Copy a model file among the user's own, once it has been loaded and has registered a small pair.

    Args:
        path: Model file.
        name: What to call it; by default what its card says, else the file's or, for `weights.pt`, its folder's name.
        notes: To be put into its card, plain values: anatomy, modality, licence and the like.
    Raises:
        InputError: If the file is no sound model, its network gives no finite displacement, or the name is taken or
            cannot be a folder's.
    """
    model = load_model(existing_file(path))
    _check_forward(model)
    name = free_name(name or _own_name(model))
    target = user_folder() / name / MODEL
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target.parent} cannot be made ({error.strerror}); set ROBUSTDIR_MODELS.") from error
    with _taken_back(target.parent):
        if notes or name != _own_name(model):
            _add_renamed(target, model, name, notes or {})
            return ModelEntry(name, target, shipped=False)
        with written_atomically(target.parent / CARD) as temporary:
            temporary.write_text(card_text(model), encoding="utf-8")
        write_checksum(target, model.checksum)
        with written_atomically(target) as temporary:  # last: a model is listed once all of it is there
            temporary.write_bytes(model.path.read_bytes())
    return ModelEntry(name, target, shipped=False)


def _add_renamed(target: Path, model: LoadedModel, name: str, notes: Mapping[str, Any]) -> None:
    """Write a model whose file itself holds its name and notes, so that it keeps them wherever it is copied."""
    card = {**model.card, "name": name, **notes}
    text = card_text(LoadedModel(model.network, card, target if notes else model.path, ""))  # a card beside it stays
    with written_atomically(target.parent / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    save_model(target, model.network, card)


@contextmanager
def _taken_back(folder: Path) -> Iterator[None]:
    """Leaves no half of a model behind."""
    try:
        yield
    except BaseException:
        _remove_files(folder)
        raise


def export_model(name: str, path: PathLike, overwrite: bool = False) -> Path:
    """Copy a model to one file that `add_model` takes on another computer; its card goes within it.

    Args:
        name: Of a model that is there.
        path: The file, `.pt`.
        overwrite: Whether another file of that name is replaced; one of the models themselves never is.
    Raises:
        InputError: If there is no such model, it is damaged, or the file cannot be written.
    """
    entry = _entry(name)
    if problem := checksum_problem(entry.path):
        raise InputError(f"{entry.path} is damaged: {problem}; install or copy it again.")
    path = Path(path)
    check_extension(path, (".pt",), "a model")
    if path.exists() and not overwrite:
        raise InputError(f"{path} {TAKEN}; give another name.")
    refuse_inputs([path], [each.path for each in list_models()])
    with written_atomically(path) as temporary:
        shutil.copyfile(entry.path, temporary)
    return path


def remove_model(name: str) -> None:
    """Delete one of the user's own models.

    Raises:
        InputError: If there is none of that name, it is a shipped one, or it cannot be deleted.
    """
    entry = _entry(name)
    if entry.shipped:
        raise InputError(f"the model {name!r} is shipped with RobustDIR and stays; only your own can be removed.")
    try:
        _remove_files(entry.path.parent)
    except OSError as error:
        raise InputError(f"{entry.path} cannot be deleted ({error.strerror}); close what has it open.") from error


def _remove_files(folder: Path) -> None:
    """Delete what a model's folder holds of the model, the weights first, and the folder if nothing else is in it."""
    for path in (folder / MODEL, checksum_file(folder / MODEL), folder / CARD):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _entry(name: str) -> ModelEntry:
    known = {entry.name: entry for entry in list_models()}
    if name not in known:
        raise InputError(f"no model is named {name!r}; known: {', '.join(known) or 'none'}.")
    return known[name]


def card_text(model: LoadedModel) -> str:
    """A model's card for people, Markdown: the `card.md` beside it, else what its file says of itself."""
    beside = model.path.parent / CARD
    if model.path.name == MODEL and beside.is_file():
        return beside.read_text(encoding="utf-8")
    lines = [f"# {_own_name(model)}", ""]
    lines += [f"- {key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in model.card.items()]
    return "\n".join(lines) + "\n"


def _check_forward(model: LoadedModel) -> None:
    """Register a small random pair: the network must run and answer with finite displacements of its input's shape."""
    import torch

    generator = torch.Generator().manual_seed(0)
    fixed, moving = torch.rand(2, 1, 1, 32, 32, 32, generator=generator) * 2 - 1
    try:
        with torch.inference_mode():
            fields = tuple(model.network(fixed, moving))
    except RuntimeError as error:
        raise InputError(f"{model.path} holds a network that fails on a small pair; train it again.") from error
    if not all(f.shape == (1, 3, 32, 32, 32) and torch.isfinite(f).all() for f in fields):
        raise InputError(f"{model.path} holds a network that gives no finite displacement; train it again.")


def _own_name(model: LoadedModel) -> str:
    by_file = model.path.parent.name if model.path.name == MODEL else model.path.stem
    return str(model.card.get("name") or by_file)


def free_name(name: str) -> str:
    """The name, if it can be a new model's.

    Raises:
        InputError: If it is taken, or no folder can be called so.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a model; use up to 64 letters, digits, '.', '_' and '-', no dot last.")
    taken = {entry.name.lower(): entry for entry in list_models()}.get(name.lower())
    if taken:
        advice = "choose another `name`" if taken.shipped else f"choose another `name` or delete {taken.path}"
        raise InputError(f"a model named {taken.name!r} {TAKEN}; {advice}.")
    return name
