"""The picture of a registration: what is drawn, and to scale."""

import sys

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation import pictures
from RobustDIRLib.evaluation.pictures import draw_registration
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image, from_sitk, to_sitk


def an_image(orientation: str, tilt: float = 0.0) -> Image:
    """Odd sides, three spacings, blobs without symmetry, its axes to the given sides of the body."""
    array = gaussian_filter(np.random.default_rng(5).random((23, 31, 27)), 2).astype(np.float32)
    itk = sitk.DICOMOrient(to_sitk(Image(array, Grid(array.shape, (1.5, 0.8, 2.5), (-20.0, 13.0, 7.0)))), orientation)
    turn = sitk.VersorTransform((0.3, 0.5, 0.8), tilt)
    itk.SetDirection((np.array(turn.GetMatrix()).reshape(3, 3) @ np.array(itk.GetDirection()).reshape(3, 3)).ravel())
    return from_sitk(itk)


@pytest.fixture
def a_registration():
    fixed = an_image("RAS", 0.1)
    field = DisplacementField(np.full((*fixed.grid.shape, 3), 1.5, dtype=np.float32), fixed.grid)
    return fixed, an_image("PIR"), Image(fixed.array * 2, fixed.grid), field


def test_picture_is_written_with_title_and_labels(a_registration, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    really = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), really(self, *a, **k)))
    draw_registration(tmp_path / "p.png", *a_registration, title="mean TRE 1.25 mm")
    assert np.asarray(Picture.open(tmp_path / "p.png").convert("L")).std() > 10
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]
    figure = drawn[0]
    assert [ax.get_title() for ax in figure.axes[:4]] == ["fixed", "moving", "warped", "deformation grid"]
    assert [ax.get_ylabel() for ax in figure.axes[::4]] == ["axial", "coronal", "sagittal"]
    assert [text.get_text() for text in figure.axes[8].texts] == ["A", "P", "S", "I"]


def test_millimetres_are_as_long_across_as_down(a_registration, tmp_path, monkeypatch):
    """A voxel's picture has the sides of the voxel, and superior and anterior are up."""
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **k: (drawn.append(self), path.write_bytes(b"x")))
    draw_registration(tmp_path / "p.png", *a_registration)
    sides = {"axial": (27 * 1.5, 31 * 0.8), "coronal": (27 * 1.5, 23 * 2.5), "sagittal": (31 * 0.8, 23 * 2.5)}
    for ax, (width, height) in zip(drawn[0].axes[::4], sides.values(), strict=True):
        assert ax.get_aspect() == 1.0
        assert ax.get_xlim() == pytest.approx((0, width))
        assert sorted(ax.get_ylim()) == pytest.approx([0, height])
    assert drawn[0].axes[0].get_ylim()[0] > 0  # rows to posterior run down
    assert drawn[0].axes[4].get_ylim()[0] == 0  # rows to superior run up


def test_other_grids_are_refused(a_registration, tmp_path):
    fixed, moving, warped, field = a_registration
    with pytest.raises(InputError, match="warped image lies on another grid"):
        draw_registration(tmp_path / "p.png", fixed, moving, moving, field)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_cure_is_named(a_registration, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    pictures._figure_class.cache_clear()  # as in a process that has drawn nothing yet
    with pytest.raises(InputError, match="pip install"):
        draw_registration(tmp_path / "p.png", *a_registration)
