"""Accuracy on real scans that are not part of the project: one Markdown row a pair or set of pairs.

    python Testing/Benchmarks/accuracy.py DATA --model generic --sets liver,mouse --threads 2 --quality balanced

DATA holds any of the folders liver_4dmri, hippocampus, mouse_brain, brain_label_maps, thorax_ct, lung_4dct,
brain_t1_labels and ct_mr. Everything runs through `register` with its defaults, as a user would run it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "RobustDIR"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import known_truth as known  # noqa: E402

from RobustDIRLib import warping  # noqa: E402
from RobustDIRLib.geometry import Grid  # noqa: E402
from RobustDIRLib.io.images import Image, from_sitk, read_image  # noqa: E402
from RobustDIRLib.io.labels import read_labels  # noqa: E402
from RobustDIRLib.io.landmarks import read_landmarks  # noqa: E402
from RobustDIRLib.model_file import LoadedModel  # noqa: E402
from RobustDIRLib.model_store import load_model  # noqa: E402
from RobustDIRLib.registration.register import register  # noqa: E402
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions, RegistrationResult  # noqa: E402

HEADER = """\
| set | pairs | measure | start | linear | after: mean | after: median | folding, % | SDlogJ | s a pair |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Row:
    """One line of the table: values over landmarks (mm) or over pairs (Dice)."""

    name: str
    measure: str
    start: list[float]
    linear: list[float]
    after: list[float]
    results: list[RegistrationResult]
    seconds: float

    def __str__(self) -> str:
        folding = max(r.measures.folding_percent for r in self.results)
        sdlogj = np.mean([r.measures.sdlogj for r in self.results])
        linear = f"{np.mean(self.linear):.3f}" if self.linear else ""
        return (
            f"| {self.name} | {len(self.results)} | {self.measure} | {np.mean(self.start):.3f} | {linear} "
            f"| {np.mean(self.after):.3f} | {np.median(self.after):.3f} | {folding:.4f} | {sdlogj:.2f} "
            f"| {self.seconds / len(self.results):.1f} |"
        )


class Bench:
    """A model, the options to run it with, and where the data lie."""

    def __init__(self, data: Path, model: LoadedModel, threads: int, quality: str = "balanced") -> None:
        self.data, self.model, self.threads, self.quality = data, model, threads, quality

    def run(self, fixed: Image, moving: Image, preset: str = "generic", **extras: object) -> RegistrationResult:
        """Register one pair."""
        options = RegistrationOptions(preset=preset, threads=self.threads, quality=self.quality)
        return register(fixed, moving, self.model, options=options, extras=PairExtras(**extras))  # type: ignore[arg-type]

    def landmarks(self, name: str, fixed: Image, moving: Image, preset: str = "generic", **extras: object) -> Row:
        """A pair with landmarks."""
        begun = time.perf_counter()
        result = self.run(fixed, moving, preset, **extras)
        errors = result.measures.landmarks
        assert errors is not None
        lists = [list(map(float, values)) for values in (errors.before, errors.linear, errors.after)]
        return Row(name, "TRE, mm", *lists, [result], time.perf_counter() - begun)

    def overlaps(self, name: str, pairs: list[tuple[Image, Image, Image, Image]], preset: str = "generic") -> Row:
        """Pairs of (fixed, moving, fixed labels, moving labels): mean Dice of each."""
        begun, start, after, results = time.perf_counter(), [], [], []
        for fixed, moving, fixed_labels, moving_labels in pairs:
            result = self.run(fixed, moving, preset, fixed_labels=(fixed_labels,), moving_labels=(moving_labels,))
            dice = result.measures.labels[0]
            start.append(float(np.mean([v for v in dice.before.values() if v is not None])))
            after.append(float(np.mean([v for v in dice.after.values() if v is not None])))
            results.append(result)
        return Row(name, "Dice", start, [], after, results, time.perf_counter() - begun)


def liver(bench: Bench) -> Iterator[Row]:
    """Breathing liver: exhale is fixed, another phase is moving; expert landmarks."""
    for subject, phase in (("subject18", "cyc_3_10"), ("subject19", "cyc_1_6"), ("subject19", "cyc_1_9")):
        folder = bench.data / "liver_4dmri" / subject
        yield bench.landmarks(
            f"liver {subject} {phase}",
            read_image(folder / "exhale.nii.gz"),
            read_image(folder / f"{phase}.nii.gz"),
            fixed_landmarks=read_landmarks(folder / "exhale_liver_landmarks.csv"),
            moving_landmarks=read_landmarks(folder / f"{phase}_liver_landmarks.csv"),
        )


def _labelled(folder: Path, pairs: int) -> list[tuple[Image, Image, Image, Image]]:
    files = sorted((folder / "imagesTr").glob("*.nii.gz"))[: 2 * pairs]
    images, labels = [read_image(f) for f in files], [read_labels(folder / "labelsTr" / f.name) for f in files]
    return [(images[i], images[i + 1], labels[i], labels[i + 1]) for i in range(0, len(files) - 1, 2)]


def hippocampus(bench: Bench) -> Iterator[Row]:
    """Neighbours by name, 20 pairs, two labels."""
    yield bench.overlaps("hippocampus", _labelled(bench.data / "hippocampus", 20))


def mouse(bench: Bench) -> Iterator[Row]:
    """Neighbours by name, 8 pairs, 37 labels."""
    yield bench.overlaps("mouse brain", _labelled(bench.data / "mouse_brain", 8))


def _brains(folder: Path, first: int) -> list[np.ndarray]:
    """The label maps from number `first` on, brain labels alone, cut to one size around their middle."""
    size, brains = np.array((160, 192, 160)), []
    for file in sorted(folder.glob("*.nii.gz"))[first:]:
        array = from_sitk(sitk.DICOMOrient(sitk.ReadImage(str(file), sitk.sitkInt32), "LPS")).array
        array = np.where(np.isin(array, list(known.T1)), array, 0)
        where = np.argwhere(array)
        start = (where.min(0) + where.max(0)) // 2 + size - size // 2
        box = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
        brains.append(np.pad(array, [(n, n) for n in size])[box])
    return brains


def brain_subjects(bench: Bench) -> Iterator[Row]:
    """Two people's label maps painted as T1; the last four maps, which no weights were taught on."""
    maps = _brains(bench.data / "brain_label_maps", 16)
    painted = [(known.paint(a, known.T1, seed), Image(a, Grid(a.shape))) for seed, a in enumerate(maps)]
    pairs = [(painted[i][0], painted[j][0], painted[i][1], painted[j][1]) for i, j in ((0, 1), (1, 2), (2, 3))]
    yield bench.overlaps("brain, other person, painted T1", pairs, "brain-mri")


def brain_contrasts(bench: Bench) -> Iterator[Row]:
    """One person's label map painted in two unrelated contrasts, under a known deformation."""
    for number, labels in enumerate(_brains(bench.data / "brain_label_maps", 16)):
        u = known.smooth_displacement(labels.shape, number + 5, 2.0)
        deformed = known.warp_labels(labels, u)
        fixed, moving = (
            known.paint(a, known.random_brightness(list(known.T1), 10 * number + k), 100 + k)
            for k, a in enumerate((deformed, labels))
        )
        landmarks = known.true_landmarks(fixed.grid, deformed > 0, u, number)
        name = f"brain {number + 17}, unrelated contrasts"
        extras = dict(zip(("fixed_landmarks", "moving_landmarks"), landmarks, strict=True))
        yield bench.landmarks(name, fixed, moving, "brain-mri", **extras)


def _lungs(array: np.ndarray) -> np.ndarray:
    """Air that does not reach the sides of the image: lungs, not the room; half a voxel off their border."""
    parts, _ = ndimage.label(ndimage.binary_erosion(array < -500, border_value=1))
    room = np.unique(np.concatenate([parts[:, edge].ravel() for edge in (0, -1)]))
    room = np.union1d(room, np.concatenate([parts[:, :, edge].ravel() for edge in (0, -1)]))
    return (parts > 0) & ~np.isin(parts, room)


def thorax(bench: Bench) -> Iterator[Row]:
    """A CT under known deformations, with noise and, as in breathing, another density of the lung."""
    image = read_image(bench.data / "thorax_ct" / "ct_phase00_2mm.nii.gz")
    for seed, strength in ((3, 2.0), (4, 4.0)):
        u = known.smooth_displacement(image.array.shape, seed, strength)
        array = warping.warp(torch.from_numpy(image.array)[None, None], u)[0, 0].numpy()
        noise = np.random.default_rng(seed).normal(0, 20, (2, *array.shape)).astype(np.float32)
        denser = np.where(array < -500, array + 0.12 * (array + 1000), array)
        fixed, moving = Image(denser + noise[0], image.grid), Image(image.array + noise[1], image.grid)
        landmarks = known.true_landmarks(image.grid, _lungs(array), u, seed)
        extras = dict(zip(("fixed_landmarks", "moving_landmarks"), landmarks, strict=True))
        yield bench.landmarks(f"thorax CT, known deformation {strength:g}", fixed, moving, "lung-ct", **extras)


def breathing_lungs(bench: Bench) -> Iterator[Row]:
    """Inhale is fixed, exhale moving; expert landmarks."""
    phases = (("case01", "T00", "T50"), ("case09", "T00", "T50"), ("popi", "phase00", "phase50"))
    for case, inhale, exhale in phases:
        folder = bench.data / "lung_4dct" / case
        yield bench.landmarks(
            f"4DCT {case}",
            read_image(folder / f"{inhale}.nii.gz"),
            read_image(folder / f"{exhale}.nii.gz"),
            "lung-ct",
            fixed_landmarks=read_landmarks(folder / f"{inhale}_landmarks.csv"),
            moving_landmarks=read_landmarks(folder / f"{exhale}_landmarks.csv"),
        )


def brain_t1(bench: Bench) -> Iterator[Row]:
    """Two people's T1, about 140 labels; the later pairs are of older people."""
    folder = bench.data / "brain_t1_labels"
    for one, other in (("1000", "1001"), ("1005", "1107"), ("1110", "1113")):
        images = [read_image(folder / f"{name}_t1.nii.gz") for name in (one, other)]
        labels = [read_labels(folder / f"{name}_seg.nii.gz") for name in (one, other)]
        yield bench.overlaps(f"brain T1 {one}, {other}", [(*images, *labels)], "brain-mri")


def ct_and_mr(bench: Bench) -> Iterator[Row]:
    """CT and T1 of one person in one frame, the CT under a known deformation: contrasts that nothing maps."""
    for number, name in enumerate(("sts_002", "sts_022")):
        ct, mr = (read_image(bench.data / "ct_mr" / f"{name}_{kind}.nii.gz") for kind in ("ct", "t1"))
        u = known.smooth_displacement(ct.array.shape, number + 3, 2.0)
        array = warping.warp(torch.from_numpy(ct.array.astype(np.float32))[None, None], u)[0, 0].numpy()
        fixed = Image(array, ct.grid)
        landmarks = known.true_landmarks(ct.grid, array > -300, u, number)
        kept = mr.grid.contains(landmarks[1].points)
        both = (one.where(kept) for one in landmarks)
        extras = dict(zip(("fixed_landmarks", "moving_landmarks"), both, strict=True))
        yield bench.landmarks(f"CT and T1, {name}, known deformation", fixed, mr, **extras)


SETS: dict[str, tuple[str, Callable[[Bench], Iterator[Row]]]] = {
    "liver": ("liver_4dmri", liver),
    "hippocampus": ("hippocampus", hippocampus),
    "mouse": ("mouse_brain", mouse),
    "subjects": ("brain_label_maps", brain_subjects),
    "contrasts": ("brain_label_maps", brain_contrasts),
    "thorax": ("thorax_ct", thorax),
    "lungs": ("lung_4dct", breathing_lungs),
    "t1": ("brain_t1_labels", brain_t1),
    "ctmr": ("ct_mr", ct_and_mr),
}


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="generic")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quality", default="balanced", choices=("fast", "balanced", "best"))
    options = parser.parse_args()
    bench = Bench(options.data, load_model(options.model), options.threads, options.quality)
    print(HEADER, flush=True)
    for name in options.sets.split(","):
        folder, rows = SETS[name]
        if (options.data / folder).is_dir():
            for row in rows(bench):
                print(row, flush=True)


if __name__ == "__main__":
    main()
