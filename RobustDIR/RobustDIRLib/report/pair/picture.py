"""A picture of a pair's report: PNG in memory, on white, legible in grey.

What is to be told apart differs in the kind of line or mark, or in brightness, never in colour alone. matplotlib is
imported inside functions: JSON and CSV are made without it.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.report.html import inlined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_INCH, TALLEST_INCH, DPI = 7.1, 8.6, 160  # what an A4 page has room for between its margins


@dataclass(frozen=True)
class Picture:
    """A picture and its words.

    Attributes:
        png: The file's bytes.
        title: Heading.
        alt: What it shows, for those who do not see it.
        caption: What to look for.
    """

    png: bytes
    title: str
    alt: str
    caption: str

    @property
    def src(self) -> str:
        """The picture as the address of itself."""
        return inlined(self.png)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as drawn, in CSS pixels of 1/96 inch."""
        width, height = struct.unpack(">II", self.png[16:24])
        return round(width * 96 / DPI), round(height * 96 / DPI)


def new_figure(height: float, width: float = WIDTH_INCH) -> Figure:
    """An empty figure, as wide as the page if not said otherwise, inches.

    Raises:
        InputError: If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("the report needs matplotlib; install it with: pip install 'robustdir[report]'") from error
    return Figure(figsize=(width, float(np.clip(height, 2, TALLEST_INCH))), dpi=DPI, layout="constrained")


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG file that says nothing of when and by what it was made."""
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white", metadata={"Software": None})
    return file.getvalue()
