"""The models that are there, and what their cards say, for panels: nothing that must be installed first is needed."""

from __future__ import annotations

import re

from RobustDIRLib.panelparts.words import _


def title(name: str, shipped: bool) -> str:
    """A model's name, and whether it is one of the user's own."""
    return name if shipped else _("{name} (yours)").format(name=name)


def cards() -> dict[str, tuple[str, bool]]:
    """Card and origin of every model by name; needs nothing that must be installed first."""
    try:
        from RobustDIRLib.model_store import CARD, list_models
    except ImportError:  # SimpleITK is missing, as the strip on top says
        return {}
    found = {}
    for entry in list_models():
        card = entry.path.with_name(CARD)
        try:
            text = card.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            text = _("# {entry}\n\nThis model came without a card.").format(entry=entry.name)
        found[entry.name] = (text, entry.shipped)
    return found


def purpose(card: str) -> str:
    """The sentence of a card that says what the model was trained for: its first paragraph, without what follows it."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", card) if part.strip()]
    text = next((part for part in paragraphs if not part.startswith(("#", "-", "|"))), "")
    return text.replace("**", "").replace("`", "")
