"""The tab *Train*: a run's settings, their forecast, and its start."""

from __future__ import annotations

from RobustDIRLib.panelparts.section import Section


class TrainTab(Section):
    """A run's settings, their forecast, and its start."""
