"""The tab *Data*: the data set: its cases, its split by patient, and what is wrong with it."""

from __future__ import annotations

from RobustDIRLib.panelparts.section import Section


class DataTab(Section):
    """The data set: its cases, its split by patient, and what is wrong with it."""
