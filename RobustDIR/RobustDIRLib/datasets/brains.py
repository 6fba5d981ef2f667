"""Brain MRI by file names: IXI (hospitals in London) and Paired3T (T1 and T2 at 3 tesla), as in section 2.3.3.

| set | image | pairs |
|---|---|---|
| IXI | `IXI002-Guys-0828-T1.nii.gz` | within each hospital, the first scan is fixed and all others move to it |
| Paired3T | `sub-01/ses-1/anat/sub-01_ses-1_T1w_defaced.nii.gz` | every two people once; session 1 is 3 tesla, 2 is 7 |

Files may lie anywhere in the folder. Images must be prepared as one wants to register them (skull-stripped, for the
brain preset): nothing is done to them here. A label map or mask has the image's name with an ending:
`IXI002-Guys-0828-T1_labels.nii.gz` (also seg, dseg, aseg, aparc+aseg), `..._mask.nii.gz` (also brainmask); FreeSurfer's
`.mgz` will do. The sets as published have neither.

The split names the contrasts of fixed and moving: `t1-t1` (default), `t1-t2`, `t2-t2`. The paper drew 26 scans of each
hospital and the fixed ones at random and does not name them; the setting `per_site` takes the first so many.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from RobustDIRLib.datasets.building import Scan, pair, pairs_of, safe_name
from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.datasets.problems import Root, is_hidden
from RobustDIRLib.datasets.settings import Settings
from RobustDIRLib.datasets.sources import ImageFile, LabelFile
from RobustDIRLib.errors import InputError
from RobustDIRLib.presets import BRAIN_MRI

_ENDING = r"(?:[-_](?:(?P<labels>labels?|d?seg|aseg|aparc\+aseg)|(?P<mask>mask|brainmask)))?\.(?:nii|nii\.gz|mgz)"
_IXI = re.compile(r"(?P<subject>IXI\d+)-(?P<site>[A-Za-z]+)-\d+-(?P<contrast>T1|T2|PD)" + _ENDING)
_PAIRED3T = re.compile(
    r"(?P<subject>sub-\w+?)_ses-(?P<site>0*1)_(?P<contrast>T1|T2)w(?:_defaced)?(?:_brain)?" + _ENDING
)


@dataclass
class _Held:
    """The files of one scan."""

    site: str
    files: dict[str, Path] = field(default_factory=dict)


Scans = dict[tuple[str, str], _Held]  # by subject and contrast


def recognises_ixi(folder: Path) -> bool:
    """Whether a file somewhere in the folder is called as those of IXI."""
    return any(_IXI.fullmatch(path.name) for path in folder.rglob("IXI*"))


def recognises_paired3t(folder: Path) -> bool:
    """Whether the folder has people with T1 and T2 in a session 1, as in Paired3T."""
    names = [match for path in folder.rglob("sub-*_ses-*") if (match := _PAIRED3T.fullmatch(path.name))]
    return {match["contrast"] for match in names} == {"T1", "T2"}


def cases_ixi(root: Root, settings: Settings) -> list[Case]:
    """Pairs within each hospital, the first scan fixed."""
    scans = _scans(root, _IXI)
    fixed_contrast, moving_contrast = _contrasts(settings)
    made = []
    for site in sorted({held.site for held in scans.values()}):
        people = _people(scans, site, {fixed_contrast, moving_contrast})[: settings.per_site]
        for first, other in pairs_of(people, settings.pairing or "first") if people else []:
            fixed, moving = (first, fixed_contrast), (other, moving_contrast)
            made.append(_pair(scans, fixed, moving, settings))
    return made


def cases_paired3t(root: Root, settings: Settings) -> list[Case]:
    """Every two people once."""
    scans = _scans(root, _PAIRED3T)
    contrasts = _contrasts(settings)
    people = [p for site in sorted({h.site for h in scans.values()}) for p in _people(scans, site, set(contrasts))]
    pairs = pairs_of(people, settings.pairing or "all")
    return [_pair(scans, (a, contrasts[0]), (b, contrasts[1]), settings) for a, b in pairs]


def _contrasts(settings: Settings) -> tuple[str, str]:
    """Contrasts of fixed and moving, by the split."""
    split = settings.split or "t1-t1"
    fixed, _, moving = split.upper().partition("-")
    if not {fixed, moving} <= {"T1", "T2", "PD"}:
        raise InputError(f"`split` {split}: give the contrasts of fixed and moving, such as t1-t1 or t1-t2.")
    return fixed, moving


def _scans(root: Root, names: re.Pattern[str]) -> Scans:
    """Files called by a pattern, by subject and contrast; two images of one scan are a problem."""
    scans: Scans = {}
    for path in sorted(root.folder.rglob("*")):
        match = names.fullmatch(path.name)
        if (
            not match
            or is_hidden(path.relative_to(root.folder))
            or not root.path(path.relative_to(root.folder).as_posix(), needed_by="scan")
        ):
            continue
        what = "labels" if match["labels"] else "mask" if match["mask"] else "image"
        held = scans.setdefault((match["subject"], match["contrast"]), _Held(match["site"]))
        if what in held.files:
            root.problems.add(f"{held.files[what]} and {path} are the same {what} of one scan; keep one of them.")
        held.files.setdefault(what, path)
    for (subject, contrast), held in scans.items():
        if "image" not in held.files:
            root.problems.add(f"{subject} has {', '.join(held.files)} but no image of contrast {contrast}; add it.")
    return scans


def _people(scans: Scans, site: str, contrasts: set[str]) -> list[str]:
    """People of a site of whom every contrast is there."""
    here = {subject for (subject, _), held in scans.items() if held.site == site}
    return sorted(p for p in here if all("image" in scans.get((p, c), _Held(site)).files for c in contrasts))


def _pair(scans: Scans, fixed: tuple[str, str], moving: tuple[str, str], settings: Settings) -> Case:
    return pair(_scan(scans, fixed), _scan(scans, moving), settings.preset or BRAIN_MRI)


def _scan(scans: Scans, key: tuple[str, str]) -> Scan:
    files = scans[key].files
    labels, mask = ((LabelFile(files[what]) if what in files else None) for what in ("labels", "mask"))
    return Scan(safe_name(*key), key[0], ImageFile(files["image"]), mask=mask, labels=labels)
