"""Pictures of an evaluation's folder on the page of its report, each within the page itself."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from RobustDIRLib.report.cohort.folder import Cohort
from RobustDIRLib.report.html import inlined

_PICTURE_WIDTH, _JPEG_QUALITY = 1100, 82
# CSS pixels, so that three figures or two pictures share an A4 page.
_FIGURE_WIDTH, _PICTURE_LARGEST = 465, (682, 420)


@dataclass(frozen=True)
class Inlined:
    """A picture of the folder, ready to be shown.

    Attributes:
        src: The picture as the address of itself.
        size: Width and height, CSS pixels.
        title: Heading.
        alt: What it shows.
        caption: What to look for.
    """

    src: str
    size: tuple[int, int]
    title: str
    alt: str
    caption: str


def inlined_figures(cohort: Cohort) -> tuple[list[Inlined], list[str]]:
    """The folder's figures, and a warning for each that is lost."""
    shown, lost = [], []
    for one in cohort.summary["figures"]:
        png = cohort.picture(one["file"])
        if png is None:
            lost.append(f"The figure {one['file']} is not there any more, or damaged; sum up again with `aggregate`.")
            continue
        width, height = struct.unpack(">II", png[16:24])
        size = (_FIGURE_WIDTH, round(height * _FIGURE_WIDTH / width))
        shown.append(Inlined(inlined(png), size, one["title"], f"{one['title']}. {one['caption']}", one["caption"]))
    return shown, lost


def lost_pictures(cohort: Cohort) -> list[str]:
    """A warning for each picture of a worst case that is lost."""
    named = [one["picture"] for one in cohort.summary["worst"] if one["picture"]]
    gone = [name for name in named if cohort.picture(name) is None]
    return [f"The picture {name} is not there any more, or damaged; sum up again with `aggregate`." for name in gone]


def as_jpeg(png: bytes) -> tuple[str, tuple[int, int]]:
    """A large picture made small, as the address of itself, and its size on the page."""
    from PIL import Image as Picture

    with Picture.open(io.BytesIO(png)) as opened:
        scale = min(1.0, _PICTURE_WIDTH / opened.width)
        picture = opened.convert("RGB").resize((round(opened.width * scale), round(opened.height * scale)))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    shrink = min(most / side for most, side in zip(_PICTURE_LARGEST, picture.size, strict=True))
    width, height = (round(side * shrink) for side in picture.size)
    return inlined(file.getvalue(), "jpeg"), (width, height)
