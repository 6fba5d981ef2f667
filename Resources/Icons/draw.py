"""Draws the icons of the extension and of its modules: a grid that a smooth deformation bends round an organ.

`python Resources/Icons/draw.py` writes them where they belong; Pillow and NumPy are all it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parents[2]
SIDE = 128
FINE = 8  # drawn so many times larger, then reduced, which smooths the lines
_LINES = 6  # of the grid, each way
_ORGAN = (0.57, 0.47)  # its centre, in parts of the side


@dataclass(frozen=True)
class Icon:
    """One icon.

    Attributes:
        path: Where it lies in the repository.
        top, bottom: Colours of the background, which shades from one to the other.
        organ: Colour of what the grid bends round.
    """

    path: str
    top: tuple[int, int, int]
    bottom: tuple[int, int, int]
    organ: tuple[int, int, int]


ICONS = (
    Icon("Resources/Icons/RobustDIRExtension.png", (24, 58, 110), (12, 136, 150), (255, 138, 92)),
    Icon("RobustDIR/Resources/Icons/RobustDIR.png", (24, 58, 110), (12, 136, 150), (255, 176, 59)),
    Icon("RobustDIRTrain/Resources/Icons/RobustDIRTrain.png", (74, 38, 104), (178, 60, 108), (255, 214, 102)),
)


def bent(points: np.ndarray) -> np.ndarray:
    """Points of the unit square, `(N, 2)`, pushed away from the organ's centre and turned round it a little."""
    away = points - np.array(_ORGAN)
    distance = np.linalg.norm(away, axis=1, keepdims=True)
    fall = np.exp(-((distance / 0.28) ** 2))
    cos, sin = np.cos(0.55 * fall), np.sin(0.55 * fall)
    x, y = away[:, :1], away[:, 1:]
    turned = np.hstack([cos * x - sin * y, sin * x + cos * y])
    return np.array(_ORGAN) + turned * (1 + 0.42 * fall)


def drawn(icon: Icon) -> Image.Image:
    """The icon, RGBA, 128 x 128."""
    side = SIDE * FINE
    tile = _background(icon, side)
    tile.alpha_composite(_organ(icon, side))
    tile.alpha_composite(_grid(side))
    tile.putalpha(_rounded_square(side))
    return tile.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _background(icon: Icon, side: int) -> Image.Image:
    share = np.add.outer(np.linspace(0, 0.75, side), np.linspace(0, 0.25, side))[..., None]
    colours = (1 - share) * np.array(icon.top) + share * np.array(icon.bottom)
    return Image.fromarray(np.dstack([colours, np.full((side, side), 255)]).astype(np.uint8), "RGBA")


def _organ(icon: Icon, side: int) -> Image.Image:
    """What the deformation makes of an ellipse, with a soft light on it."""
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    outline = np.column_stack([0.23 * np.cos(angle), 0.15 * np.sin(angle)]) @ np.array([[0.86, 0.5], [-0.5, 0.86]])
    layer = Image.new("RGBA", (side, side))
    ImageDraw.Draw(layer).polygon([tuple(p) for p in bent(outline + np.array(_ORGAN)) * side], fill=(*icon.organ, 240))
    light = Image.new("L", (side, side))
    centre, reach = (np.array(_ORGAN) - 0.07) * side, 0.13 * side
    ImageDraw.Draw(light).ellipse([*(centre - reach), *(centre + reach)], fill=120)
    return _lit(layer, light.filter(ImageFilter.GaussianBlur(0.07 * side)))


def _lit(layer: Image.Image, light: Image.Image) -> Image.Image:
    colours = np.asarray(layer).astype(float)
    share = np.asarray(light).astype(float)[..., None] / 255
    colours[..., :3] += (255 - colours[..., :3]) * share
    return Image.fromarray(colours.astype(np.uint8), "RGBA")


def _grid(side: int) -> Image.Image:
    layer = Image.new("RGBA", (side, side))
    pen = ImageDraw.Draw(layer)
    along = np.linspace(-0.1, 1.1, 160)
    for place in np.linspace(0, 1, _LINES + 2)[1:-1]:
        across = np.full(160, place)
        for line in (np.column_stack([along, across]), np.column_stack([across, along])):
            points = [tuple(p) for p in bent(line) * side]
            pen.line(points, fill=(255, 255, 255, 225), width=round(0.017 * side), joint="curve")
    return layer


def _rounded_square(side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    edge = round(0.02 * side)
    ImageDraw.Draw(mask).rounded_rectangle([edge, edge, side - edge, side - edge], radius=0.2 * side, fill=255)
    return mask


def main() -> None:
    """Writes every icon."""
    for icon in ICONS:
        path = ROOT / icon.path
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn(icon).save(path, optimize=True)


if __name__ == "__main__":
    main()
