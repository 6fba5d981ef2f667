"""Presets: what is known beforehand of a kind of scans. Whatever depends on the kind is read from here.

It needs neither torch nor NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

from RobustDIRLib.errors import InputError

PERCENTILES = (0.5, 99.5)
DEFAULT, LUNG_CT, BRAIN_MRI = "generic", "lung-ct", "brain-mri"


@dataclass(frozen=True)
class Preset:
    """How images are brought to the network, and measured.

    Attributes:
        name: Of one of `PRESETS`.
        summary: One line for the help text.
        spacing: Side of a working voxel, mm; None chooses it from the fixed image (`preprocessing.automatic_spacing`).
        window: Intensities that become -1 and 1; None takes `PERCENTILES` of each image's voxels off the background.
        large_motion: Whether networks that can do so start at half the working resolution, as breathing moves the
            diaphragm farther than the coarsest levels reach. For images alike in contrast.
        stiffness: Weight of the smoothness of refinement's velocities against the likeness of the images. What
            others gave stands in the card of the model `generic`.
        effort: Factors on the steps of refinement, at half and at the full working resolution. Half of the latter
            bring brains, livers and mice as far, a quarter does not; lungs need more than all.
        apart: Factors on the distance between control points, likewise. Lungs come as far on fewer at the finest level.
        sharpening: How much the images are sharpened that refinement compares (`preprocessing.sharpened`); 0 leaves
            them as the network sees them. Lungs of large motion gain 5 %, brains, mice and hippocampi nothing.
        left_to_refinement: Of a network's finest levels, which cost the most: so many are left out where refinement
            follows. None unless measured: brains and lungs end where they did, livers 0.05 mm worse.
        lung_below: HU up to which a voxel is lung or air, where lungs are to slide along the chest wall in refinement
            (`registration.lungs`); None where nothing slides. It goes with a `window`.
        title: In the panel's list.
        ssim_window: Side of the SSIM's windows, voxels (section 2.4.2).
        data_sets: Parts of names of Learn2Reg's data sets that are of this kind, in small letters.
    """

    name: str
    summary: str
    spacing: float | None = None
    window: tuple[float, float] | None = None
    large_motion: bool = False
    stiffness: float = 1.0
    effort: tuple[float, float] = (1.0, 0.5)
    apart: tuple[float, float] = (1.0, 1.0)
    sharpening: float = 0.0
    left_to_refinement: int = 0
    lung_below: float | None = None
    title: str = ""
    ssim_window: int = 11
    data_sets: tuple[str, ...] = ()


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(DEFAULT, "any pair; spacing and intensities from the images", title="Generic (any body part)"),
        Preset(
            LUNG_CT, "chest CT in HU; 1.5 mm, [-1000, 200] HU (section 2.3.2)", 1.5, (-1000.0, 200.0), True,
            stiffness=0.35, effort=(1.5, 1.5), apart=(1.0, 1.2), sharpening=0.5, left_to_refinement=1,
            lung_below=-400.0, title="Lung CT (Hounsfield units)", ssim_window=21, data_sets=("nlst", "lungct"),
        ),
        Preset(
            BRAIN_MRI, "brain MRI; 1 mm, percentiles (section 2.3.3)", 1.0, stiffness=0.3,
            left_to_refinement=1, title="Brain MRI", data_sets=("oasis", "lumir"),
        ),
    )
}  # fmt: skip


def preset_of_data_set(name: str) -> str:
    """The preset that a data set's name tells of; the default's where it tells nothing."""
    like = (preset.name for preset in PRESETS.values() if any(part in name.lower() for part in preset.data_sets))
    return next(like, DEFAULT)


def find_preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in PRESETS:
        raise InputError(f"`preset` {name}: there is no such preset; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
