"""The models that are there, and what their cards say, for panels: nothing that must be installed first is needed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from RobustDIRLib.panelparts.words import _

if TYPE_CHECKING:
    from RobustDIRLib.model_store import ModelEntry


def title(name: str, shipped: bool) -> str:
    """A model's name, and whether it is one of the user's own."""
    return name if shipped else _("{name} (yours)").format(name=name)


def listed() -> list[ModelEntry]:
    """All models; none where what listing them takes is not installed, as the strip on top says."""
    try:
        from RobustDIRLib.model_store import list_models
    except ImportError:
        return []
    return list_models()


def cards() -> dict[str, tuple[str, bool]]:
    """Card and origin of every model by name; needs nothing that must be installed first."""
    found = {}
    for entry in listed():
        try:
            text = entry.card.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            text = _("# {entry}\n\nThis model came without a card.").format(entry=entry.name)
        found[entry.name] = (text, entry.shipped)
    return found


def purpose(card: str) -> str:
    """The sentence of a card that says what the model was trained for: its first paragraph, without what follows it."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", card) if part.strip()]
    text = next((part for part in paragraphs if not part.startswith(("#", "-", "|"))), "")
    return text.replace("**", "").replace("`", "")
