"""The tab *Evaluate*: models and rivals compared on a data set."""

from __future__ import annotations

from RobustDIRLib.panelparts.section import Section


class EvaluateTab(Section):
    """Models and rivals compared on a data set."""
