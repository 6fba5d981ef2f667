"""The panels' words in the language of the application: `_("text")`.

Slicer finds the translation of a text by the file that calls `_`; a text with values is one text with their names in
braces, `_("Made “{name}”.").format(name=name)`, so that translators can put them elsewhere. Processes that run a part
of a panel without the application speak English.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def _translator() -> Callable[[str], str]:
    if "slicer" not in sys.modules:
        return str
    try:
        from slicer.i18n import tr
    except ImportError:  # a Slicer that is too old, as the panel says
        return str
    translate: Callable[[str], str] = tr
    return translate


_ = _translator()

# Linear alignments that come before a network, by the names that `robustdir` takes.
ALIGNMENTS = {
    "automatic": _("Automatic (recommended)"),
    "none": _("None: already aligned"),
    "rigid": _("Rigid"),
    "affine": _("Affine"),
}
