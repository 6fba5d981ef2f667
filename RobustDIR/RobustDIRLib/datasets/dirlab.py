"""DIR-Lab: 4DCT (ten people, breathing) and COPDgene (ten people, breath hold), raw volumes and 300 landmarks each.

Files are told by their names wherever they lie in the folder, since archives unpack differently:

| set | images | landmarks |
|---|---|---|
| 4DCT | `case1_T00_s.img`, `case2_T00-ssm.img` | `Case1_300_T00_xyz.txt`, `case8_dirLab300_T00_xyz.txt` |
| COPDgene | `copd1_iBHCT.img`, `copd1_eBHCT.img` | `copd1_300_iBH_xyz_r1.txt`, `copd1_300_eBH_xyz_r1.txt` |

Fixed is the end of expiration (T50, eBH), moving the end of inspiration (T00, iBH), as in section 2.3.2.

The files have no header. Sizes and spacings are those of the sets' web pages. These say nothing of direction; as those
agree who converted the sets, x runs to the patient's left and y to the back, as in any axial CT, and slices run from
head to feet, so that the third axis of the direction is (0, 0, -1) in LPS. Voxels are HU + 1024; padding outside the
field of view (-2000) becomes -1024 HU, and single broken voxels far above bone are clipped to 3071 HU, the top of 12
bits. Landmarks count voxels x, y, z from 1 in the order of the file, first slice first, and so need no turning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.datasets.problems import Root, is_hidden
from RobustDIRLib.datasets.settings import Settings
from RobustDIRLib.datasets.sources import LandmarkFile, RawVolume
from RobustDIRLib.geometry import Grid
from RobustDIRLib.presets import LUNG_CT

HU_OFFSET = -1024.0
HU_WINDOW = (-1024.0, 3071.0)
HEAD_TO_FEET = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))

Size = tuple[tuple[int, int, int], tuple[float, float, float]]  # voxels and mm, both along x, y, z

_4DCT: dict[int, Size] = {
    1: ((256, 256, 94), (0.97, 0.97, 2.5)),
    2: ((256, 256, 112), (1.16, 1.16, 2.5)),
    3: ((256, 256, 104), (1.15, 1.15, 2.5)),
    4: ((256, 256, 99), (1.13, 1.13, 2.5)),
    5: ((256, 256, 106), (1.10, 1.10, 2.5)),
    6: ((512, 512, 128), (0.97, 0.97, 2.5)),
    7: ((512, 512, 136), (0.97, 0.97, 2.5)),
    8: ((512, 512, 128), (0.97, 0.97, 2.5)),
    9: ((512, 512, 128), (0.97, 0.97, 2.5)),
    10: ((512, 512, 120), (0.97, 0.97, 2.5)),
}
_COPDGENE: dict[int, Size] = {
    1: ((512, 512, 121), (0.625, 0.625, 2.5)),
    2: ((512, 512, 102), (0.645, 0.645, 2.5)),
    3: ((512, 512, 126), (0.652, 0.652, 2.5)),
    4: ((512, 512, 126), (0.590, 0.590, 2.5)),
    5: ((512, 512, 131), (0.647, 0.647, 2.5)),
    6: ((512, 512, 119), (0.633, 0.633, 2.5)),
    7: ((512, 512, 112), (0.625, 0.625, 2.5)),
    8: ((512, 512, 115), (0.586, 0.586, 2.5)),
    9: ((512, 512, 116), (0.664, 0.664, 2.5)),
    10: ((512, 512, 135), (0.742, 0.742, 2.5)),
}


@dataclass(frozen=True)
class RawSet:
    """One of the two sets.

    Attributes:
        case_name: With the case's number in it.
        fixed: Phase of the fixed image, as file names have it.
        moving: Phase of the moving image.
        image: Names of images; groups case and phase.
        landmarks: Names of landmark files; groups case and phase.
        sizes: Size and spacing by case.
    """

    case_name: str
    fixed: str
    moving: str
    image: re.Pattern[str]
    landmarks: re.Pattern[str]
    sizes: dict[int, Size]


BREATHING = RawSet(
    "case{}",
    "t50",
    "t00",
    re.compile(r"case(\d+)_(t\d0)(?:[-_]s\w*)?\.img", re.IGNORECASE),
    re.compile(r"case(\d+)_(?:dirlab)?300_(t\d0)_xyz\.txt", re.IGNORECASE),
    _4DCT,
)
BREATH_HOLD = RawSet(
    "copd{}",
    "ebh",
    "ibh",
    re.compile(r"copd(\d+)_([ie]bh)ct\.img", re.IGNORECASE),
    re.compile(r"copd(\d+)_300_([ie]bh)_xyz(?:_r\d+)?\.txt", re.IGNORECASE),
    _COPDGENE,
)


def recognises_4dct(folder: Path) -> bool:
    """Whether a file somewhere in the folder is called as those of the 4DCT set."""
    return _any_called(folder, BREATHING.image)


def recognises_copdgene(folder: Path) -> bool:
    """Whether a file somewhere in the folder is called as those of the COPDgene set."""
    return _any_called(folder, BREATH_HOLD.image)


def cases_4dct(root: Root, settings: Settings) -> list[Case]:
    """The cases of the 4DCT set that the folder holds."""
    return _cases(root, settings, BREATHING)


def cases_copdgene(root: Root, settings: Settings) -> list[Case]:
    """The cases of the COPDgene set that the folder holds."""
    return _cases(root, settings, BREATH_HOLD)


def _any_called(folder: Path, names: re.Pattern[str]) -> bool:
    return any(names.fullmatch(path.name) for path in folder.rglob("*.[iI][mM][gG]"))


Found = dict[tuple[int, str], Path]


def _cases(root: Root, settings: Settings, raw_set: RawSet) -> list[Case]:
    images, landmarks = _found(root, raw_set.image), _found(root, raw_set.landmarks)
    numbers = sorted({number for number, _ in images})
    absent = [raw_set.case_name.format(n) for n in raw_set.sizes if n not in numbers]
    if absent:
        root.notes.append(f"without {', '.join(absent)}, of which there is no image.")
    made = [_case(root, settings, raw_set, number, images, landmarks) for number in numbers]
    return [case for case in made if case]


def _found(root: Root, names: re.Pattern[str]) -> Found:
    """Files called by a pattern, by case and phase; the same case and phase twice is a problem."""
    found: Found = {}
    for path in sorted(root.folder.rglob("*")):
        match = names.fullmatch(path.name)
        place = path.relative_to(root.folder)
        if not match or is_hidden(place) or not path.is_file() or not root.path(place.as_posix(), needed_by="scan"):
            continue
        key = int(match[1]), match[2].lower()
        if key in found:
            root.problems.add(f"{found[key]} and {path} are the same scan of one case; keep one of them.")
        found.setdefault(key, path)
    return found


def _case(root: Root, settings: Settings, raw_set: RawSet, number: int, images: Found, landmarks: Found) -> Case | None:
    name = raw_set.case_name.format(number)
    if number not in raw_set.sizes:
        root.problems.add(f"{name}: the set has no such case; take its files out of {root.folder}.")
        return None
    phases = (raw_set.fixed, raw_set.moving)
    missing = [f"{what} {phase.upper()}" for phase in phases for what, found in
               (("the image", images), ("the landmarks", landmarks)) if (number, phase) not in found]  # fmt: skip
    if missing:
        root.problems.add(f"{name}: {' and '.join(missing)} are not in {root.folder}; unpack the whole archive.")
        return None
    grid = _grid(raw_set.sizes[number])
    fixed, moving = (RawVolume(images[number, phase], grid, HU_OFFSET, HU_WINDOW) for phase in phases)
    fixed_points, moving_points = (LandmarkFile(landmarks[number, phase]) for phase in phases)
    return Case(
        name,
        name,
        settings.preset or LUNG_CT,
        fixed,
        moving,
        fixed_landmarks=fixed_points,
        moving_landmarks=moving_points,
    )


def _grid(size: Size) -> Grid:
    (x, y, z), spacing = size
    return Grid((z, y, x), spacing, (0.0, 0.0, 0.0), HEAD_TO_FEET)
