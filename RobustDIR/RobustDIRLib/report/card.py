"""The card of the model that a run was made with, if that model is still here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.model_store import CARD, WEIGHTS, card_text, list_models, load_model


def model_card(model: Mapping[str, Any] | None) -> tuple[str | None, tuple[str, ...]]:
    """The card of a recorded model, Markdown.

    Args:
        model: `model` of `run.json`: its name, path and checksum.
    Returns:
        The card, or None and a warning that says why there is none.
    """
    if not model or not model.get("sha256"):
        return None, ("The run did not record a model file; there is no model card.",)
    for path in _candidates(model):
        if path.is_file() and sha256(path) == model["sha256"]:
            try:
                return _text(path), ()
            except (InputError, OSError) as error:
                return None, (f"The model card cannot be read: {error}",)
    return None, (f"The model {model.get('name')} of this run is not installed here any more; its card is left out.",)


def _candidates(model: Mapping[str, Any]) -> Iterator[Path]:
    """Where the model lay, then wherever one of its name lies now."""
    if model.get("path"):
        yield Path(model["path"])
    yield from (entry.path for entry in list_models() if entry.name == model.get("name"))


def _text(path: Path) -> str:
    beside = path.parent / CARD
    if path.name == WEIGHTS and beside.is_file():  # without loading the network
        return beside.read_text(encoding="utf-8")
    return card_text(load_model(path))
