"""The tab *Runs*: the runs in the runs folder: their curves, and what can be done with them."""

from __future__ import annotations

from RobustDIRLib.panelparts.section import Section


class RunsTab(Section):
    """The runs in the runs folder: their curves, and what can be done with them."""
