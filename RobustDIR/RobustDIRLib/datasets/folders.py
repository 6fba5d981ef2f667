"""Plain folders: pairs by convention, or by the patterns, scans or cases of a `robustdir-dataset.json`.

By convention, either every case has a folder, or every role has one:

    case1/fixed.nii.gz  case1/moving.nii.gz  case1/fixed_landmarks.csv  case1/moving_landmarks.csv  case2/...
    fixed/case1.nii.gz  moving/case1.nii.gz  fixed_labels/case1.nii.gz  moving_labels/case1.nii.gz  ...

Roles are fixed, moving, fixed_mask, moving_mask, fixed_landmarks, moving_landmarks, fixed_labels, moving_labels. The
extension is any that the library reads; a fixed or moving image may be a folder with a DICOM series.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from RobustDIRLib.datasets.building import Scan, pair, pairs_of, safe_name
from RobustDIRLib.datasets.cases import ROLES, Case
from RobustDIRLib.datasets.problems import Root, is_hidden
from RobustDIRLib.datasets.settings import CaseSettings, PairPattern, ScanPattern, Settings
from RobustDIRLib.datasets.sources import ImageFile, LabelFile, LandmarkFile
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import packed_extension
from RobustDIRLib.presets import DEFAULT

_PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
# Ends of files that may hold the voxels of a header of the same name, and the ends of such headers.
_HEADERS_OF = {
    **dict.fromkeys((".raw", ".zraw", ".raw.gz"), (".mhd", ".nhdr")),
    ".img": (".hdr",),
    ".img.gz": (".hdr.gz", ".hdr"),
}
Names = dict[str, str]  # what each placeholder stands for
Entries = dict[str, list[Path]]  # what was found for each role


def recognises(folder: Path) -> bool:
    """Whether the folder has role folders, or case folders with a moving image."""
    return bool(_role_folders(folder) or _case_folders(folder))


def cases(root: Root, settings: Settings) -> list[Case]:
    """The cases that the settings describe, or that lie as the convention has it."""
    preset = settings.preset or DEFAULT
    if settings.cases is not None:
        return [case for entry in settings.cases if (case := _listed(root, entry, preset))]
    if settings.pattern:
        return _matched(root, settings.pattern, preset)
    if settings.scans:
        scans = _scans(root, settings.scans)
        return [pair(a, b, preset) for a, b in pairs_of(scans, settings.pairing or "all")]
    entries = _by_role(root) or _by_case(root)
    return [case for entry in entries if (case := _listed(root, entry, preset))]


# By the paths of each case


def _listed(root: Root, entry: CaseSettings, preset: str) -> Case | None:
    """The case, or None, noted, where a file is missing."""
    names = {role: name for role, name in asdict(entry).items() if role in ROLES and name is not None}
    paths = {role: root.path(name, needed_by=f"case {entry.name}, {_words(role)}") for role, name in names.items()}
    if None in paths.values():
        return None
    sources: dict[str, Any] = {role: _source(role, path) for role, path in paths.items() if path}
    return Case(safe_name(entry.name), entry.subject or entry.name, entry.preset or preset, **sources)


def _words(role: str) -> str:
    return role.replace("_", " ") if "_" in role else f"{role} image"


def _source(role: str, path: Path) -> ImageFile | LandmarkFile | LabelFile:
    if role in ("fixed", "moving", "image"):
        return ImageFile(path)
    return LandmarkFile(path) if role.endswith("landmarks") else LabelFile(path)


# By patterns


def _matched(root: Root, pattern: PairPattern, preset: str) -> list[Case]:
    """A case for every file that the pattern of the moving image fits."""
    patterns = {role: text for role, text in asdict(pattern).items() if text is not None}
    _check_placeholders(patterns, "moving")
    found = []
    for moving, names in _fitting(root, pattern.moving):
        entry = {role: _filled(root, text, names) for role, text in patterns.items()} | {"moving": moving}
        if entry["fixed"] == moving:
            continue
        name = safe_name(*names.values()) if names else safe_name(_stem(moving))
        found.append(_listed(root, CaseSettings(name, subject=names.get("subject"), **entry), preset))
    if not found and not root.problems.found:
        root.problems.add(f'no file in {root.folder} fits the pattern "{pattern.moving}" of moving; correct it.')
    return [case for case in found if case]


def _scans(root: Root, pattern: ScanPattern) -> list[Scan]:
    patterns = {role: text for role, text in asdict(pattern).items() if text is not None}
    _check_placeholders(patterns, "image")
    scans = []
    for image, names in _fitting(root, pattern.image):
        named = {role: _filled(root, text, names) for role, text in patterns.items()} | {"image": image}
        name = safe_name(*names.values()) if names else safe_name(_stem(image))
        paths = {role: root.path(n, needed_by=f"scan {name}, {role}") for role, n in named.items()}
        sources: dict[str, Any] = {role: _source(role, path) for role, path in paths.items() if path}
        if "image" in sources:
            scans.append(Scan(name, names.get("subject", name), **sources))
    for name, times in Counter(scan.name.lower() for scan in scans).items():
        if times > 1:
            root.problems.add(f'{times} scans of "{pattern.image}" are called {name}; make their names differ.')
    if len(scans) < 2 and not root.problems.found:
        root.problems.add(f'fewer than two files in {root.folder} fit "{pattern.image}"; correct the pattern of scans.')
    return scans


def _check_placeholders(patterns: dict[str, str], leading: str) -> None:
    known = set(_PLACEHOLDER.findall(patterns[leading]))
    for role, text in patterns.items():
        unknown = sorted(set(_PLACEHOLDER.findall(text)) - known)
        if unknown:
            raise InputError(
                f'the pattern "{text}" of {role} has {{{unknown[0]}}}, which that of {leading} lacks; use the same.'
            )


def _fitting(root: Root, pattern: str) -> list[tuple[str, Names]]:
    """Files and folders that a pattern fits, by name, each with what its placeholders stand for.

    Raises:
        InputError: If a star leaves open what a placeholder stands for.
    """
    shortest, longest = (_expression(pattern, *ways) for ways in (("+?", "*"), ("+", "*?")))
    candidates = (path.relative_to(root.folder).as_posix() for path in _globbed(root, _PLACEHOLDER.sub("*", pattern)))
    found = []
    for name in sorted(candidates):
        match, other = shortest.fullmatch(name), longest.fullmatch(name)
        if match is None or other is None:
            continue
        if "*" in pattern and match.groupdict() != other.groupdict():
            key = next(key for key, text in match.groupdict().items() if text != other[key])
            raise InputError(
                f'the pattern "{pattern}" leaves open whether {{{key}}} in {name} is "{match[key]}" or "{other[key]}"; '
                f"write what stands between it and the *, or leave the * out."
            )
        found.append((name, match.groupdict()))
    return found


def _expression(pattern: str, placeholder: str, star: str) -> re.Pattern[str]:
    """A pattern as an expression; how placeholders and stars repeat says which of them takes as much as it can."""
    seen: set[str] = set()
    wanted = ""
    for part in re.split(r"(\{\w+\}|\*)", pattern.removeprefix("./")):
        if name := _PLACEHOLDER.fullmatch(part):
            wanted += f"(?P={name[1]})" if name[1] in seen else f"(?P<{name[1]}>[^/]{placeholder})"
            seen.add(name[1])
        else:
            wanted += f"[^/]{star}" if part == "*" else re.escape(part)
    return re.compile(wanted)


def _globbed(root: Root, pattern: str) -> list[Path]:
    """What fits; hidden files, as the `._NAME` that macOS leaves beside NAME, only if the pattern asks for them."""
    if not Path(pattern).parts:
        raise InputError(f'the pattern "{pattern}" names no file; write where the files lie in {root.folder}.')
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise InputError(f'the pattern "{pattern}" leads out of {root.folder}; name files of that folder alone.')
    one_star = re.sub(r"\*+", "*", pattern)  # two would be folders of any depth
    found = sorted(root.folder.glob(one_star.removeprefix("./").replace("[", "[[]")))
    wants_hidden = any(part.startswith(".") for part in Path(pattern).parts)
    return [path for path in found if wants_hidden or not is_hidden(path.relative_to(root.folder))]


def _filled(root: Root, pattern: str, names: Names) -> str:
    """The pattern's path for one case; a `*` left in it is replaced by the one file that fits."""
    filled = _PLACEHOLDER.sub(lambda match: names[match[1]], pattern)
    if "*" not in filled:
        return Path(filled).as_posix()
    fitting = _globbed(root, filled)
    if len(fitting) > 1:
        root.problems.add(f'{len(fitting)} files in {root.folder} fit "{filled}"; make the pattern fit one alone.')
    return fitting[0].relative_to(root.folder).as_posix() if fitting else filled


# By convention


def _case_folders(folder: Path) -> list[Path]:
    """Folders that hold an image called fixed or moving."""
    folders = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not is_hidden(Path(entry.name))]
    return [entry for entry in folders if {"fixed", "moving"} & set(_role_entries(entry))]


def _role_folders(folder: Path) -> dict[str, Path]:
    """Folders called by roles, if there are those of both images."""
    found = {role: folder / role for role in ROLES if (folder / role).is_dir()}
    return found if {"fixed", "moving"} <= set(found) else {}


def _role_entries(folder: Path) -> Entries:
    """What is called by a role in a folder, hidden files passed over."""
    entries: Entries = {}
    for entry in _headed(folder):
        if _stem(entry.name) in ROLES:
            entries.setdefault(_stem(entry.name), []).append(entry)
    return entries


def _headed(folder: Path) -> list[Path]:
    """What a folder holds, by name, but for files that are only the voxels of a header beside them."""
    held = sorted(folder.iterdir())
    names = {entry.name.lower() for entry in held}

    def is_voxels(entry: Path) -> bool:
        end = packed_extension(entry)
        stem = entry.name.lower().removesuffix(end)
        return any(stem + header in names for header in _HEADERS_OF.get(end, ()))

    return [entry for entry in held if not is_voxels(entry)]


def _by_case(root: Root) -> list[CaseSettings]:
    folders = _case_folders(root.folder)
    return [_convention(root, place.name, _role_entries(place), f"{place.name}/ROLE") for place in folders]


def _by_role(root: Root) -> list[CaseSettings]:
    held: dict[str, Entries] = {}
    for role, place in _role_folders(root.folder).items():
        for entry in _headed(place):
            if not is_hidden(Path(entry.name)):
                held.setdefault(_stem(entry.name), {}).setdefault(role, []).append(entry)
    return [_convention(root, name, entries, f"ROLE/{name}") for name, entries in sorted(held.items())]


def _convention(root: Root, name: str, entries: Entries, expected: str) -> CaseSettings:
    """The entry of one case; files that are there twice are noted.

    Args:
        root: Of the data set.
        name: Of the case.
        entries: What was found for it.
        expected: Where an image of ROLE would be, for the message where it is missing.
    """
    for found in entries.values():
        if len(found) > 1:
            listed = ", ".join(path.name for path in found)
            root.problems.add(f"case {name}: {found[0].parent} holds {listed}; keep one of them.")
    named: dict[str, Any] = {role: paths[0].relative_to(root.folder).as_posix() for role, paths in entries.items()}
    images = {role: expected.replace("ROLE", role) for role in ("fixed", "moving")}
    return CaseSettings(name, **(images | named))


def _stem(name: str) -> str:
    name = Path(name).name
    stem = name[: len(name) - len(packed_extension(name))]
    return stem.removesuffix(".seg")  # of a segmentation of 3D Slicer
