"""Tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.collecting import Collection
from RobustDIRLib.cohort.plan import Evaluation


def write_tables(folder: Path, plan: Evaluation, collection: Collection) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Tables."""
    return [], {"tests": None, "tests_reason": "none"}
