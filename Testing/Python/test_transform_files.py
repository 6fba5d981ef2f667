"""Transform files of other programs: what ITK takes of them, and what it would drop without a word."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import SimpleITK as sitk

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import (
    apply_to_points,
    inside_fields,
    read_displacement,
    read_transform,
    to_sitk_transform,
    write_transform,
)

HEAD = "#Insight Transform File V1.0\n#Transform 0\n"
TURN = (0.0, -1.1, 0.0, 0.9, 0.0, 0.1, 0.0, 0.2, 1.0)
SHIFT, CENTRE = (4.0, 5.0, 6.0), (1.0, -2.0, 3.0)
POINTS = np.array([[0.0, 0.0, 0.0], [10.0, -20.0, 31.0], [-7.0, 1.5, 0.25]])
WHERE = (POINTS - CENTRE) @ np.reshape(TURN, (3, 3)).T + CENTRE + SHIFT


def text(kind="AffineTransform_double_3_3", numbers=(*TURN, *SHIFT), fixed=CENTRE):
    """One transform as ITK writes it."""
    said = "" if fixed is None else f"FixedParameters: {' '.join(map(str, fixed))}\n"
    return f"{HEAD}Transform: {kind}\nParameters: {' '.join(map(str, numbers))}\n{said}"


def with_kind(data, kind):
    """A file of MATLAB 4 whose first variable, the transform, has another name."""
    (length,) = struct.unpack_from("<i", data, 16)
    return data[:16] + struct.pack("<i", len(kind) + 1) + kind.encode() + b"\0" + data[20 + length :]


def refused(path, words):
    with pytest.raises(InputError, match=words):
        read_transform(path)


@pytest.mark.parametrize("kind", ["AffineTransform", "MatrixOffsetTransformBase"])
@pytest.mark.parametrize("name", ["a.tfm", "a.txt", "a.mat"])
def test_affine_transforms_of_ants_and_c3d_are_read(tmp_path, kind, name):
    """SimpleITK has no class for the second kind, and gives it as a composite within a composite, without end."""
    if name == "a.mat":
        sitk.WriteTransform(sitk.AffineTransform(TURN, SHIFT, CENTRE), str(tmp_path / name))
        data = with_kind((tmp_path / name).read_bytes(), f"{kind}_double_3_3")
        (tmp_path / name).write_bytes(data)
    else:
        (tmp_path / name).write_text(text(f"{kind}_double_3_3"))
    transform = read_transform(tmp_path / name)
    np.testing.assert_allclose(apply_to_points(transform, POINTS), WHERE, atol=1e-12)
    assert inside_fields(transform, POINTS).all()
    write_transform(tmp_path / "again.h5", transform)
    np.testing.assert_allclose(apply_to_points(read_transform(tmp_path / "again.h5"), POINTS), WHERE, atol=1e-12)


def test_an_unknown_kind_after_a_field_keeps_its_place(tmp_path, a_field):
    (tmp_path / "a.txt").write_text(text("MatrixOffsetTransformBase_double_3_3"))
    linear, field = sitk.ReadTransform(str(tmp_path / "a.txt")), to_sitk_transform(a_field)
    points = a_field.grid.points_from_voxels([[3, 4, 5], [2, 6, 3]])
    both = sitk.CompositeTransform([linear, field])
    write_transform(tmp_path / "both.h5", both)
    read = read_transform(tmp_path / "both.h5")
    expected = apply_to_points(sitk.AffineTransform(TURN, SHIFT, CENTRE), apply_to_points(field, points))
    np.testing.assert_allclose(apply_to_points(read, points), expected, atol=1e-9)
    assert inside_fields(read, points).all()
    assert not inside_fields(read, points + 1e4).any()


def test_parameters_that_itk_would_pass_over_are_refused(tmp_path):
    """Without FixedParameters ITK gives the identity."""
    (tmp_path / "a.tfm").write_text(text(fixed=None))
    refused(tmp_path / "a.tfm", "without FixedParameters")
    (tmp_path / "sound.tfm").write_text(text())
    np.testing.assert_allclose(apply_to_points(read_transform(tmp_path / "sound.tfm"), POINTS), WHERE, atol=1e-12)


def test_damaged_bytes_are_no_traceback(tmp_path):
    """ITK's message repeats bytes that are no UTF-8; of a file of MATLAB it reads what it can."""
    (tmp_path / "a.tfm").write_bytes(text(numbers=(*TURN, "\xff", 1, 2)).encode("latin-1"))
    refused(tmp_path / "a.tfm", "damaged")
    sitk.WriteTransform(sitk.AffineTransform(TURN, SHIFT), str(tmp_path / "a.mat"))
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes() + b"\0\0\0\0\3")
    refused(tmp_path / "a.mat", "damaged")


@pytest.mark.parametrize(("kind", "count"), [("AffineTransform", 13), ("Euler3DTransform", 12), ("ScaleTransform", 4)])
def test_more_parameters_than_a_kind_has_are_refused(tmp_path, kind, count):
    """ITK takes the first ones, of an affine under the name of a rotation for instance."""
    (tmp_path / "a.tfm").write_text(text(f"{kind}_double_3_3", numbers=[*TURN, *SHIFT, 7][:count]))
    refused(tmp_path / "a.tfm", f"{count} Parameters for a kind of")


@pytest.mark.parametrize("joined", [False, True])
def test_kinds_that_simpleitk_does_not_know_are_refused(tmp_path, joined):
    one = text("ComposeScaleSkewVersor3DTransform_double_3_3", numbers=[0, 0, 0, 1, 2, 3, 1, 1, 1, 0, 0, 0])
    both = one.replace(HEAD, f"{HEAD}Transform: CompositeTransform_double_3_3\n#Transform 1\n")
    (tmp_path / "a.tfm").write_text(both if joined else one)
    refused(tmp_path / "a.tfm", "unknown kind")


def test_mni_transforms_are_refused_as_itk_takes_their_ras_for_lps(tmp_path):
    matrix = "1 0 0 10\n0 1 0 20\n0 0 1 30;\n"
    (tmp_path / "a.xfm").write_text(f"MNI Transform File\n\nTransform_Type = Linear;\nLinear_Transform =\n{matrix}")
    assert sitk.ReadTransform(str(tmp_path / "a.xfm")).TransformPoint((0.0, 0.0, 0.0)) == (10, 20, 30)
    refused(tmp_path / "a.xfm", "MNI transform")


def test_several_transforms_in_a_file_of_matlab_are_refused(tmp_path):
    for name, transform in (("a", sitk.AffineTransform(TURN, SHIFT)), ("b", sitk.TranslationTransform(3, SHIFT))):
        sitk.WriteTransform(transform, str(tmp_path / f"{name}.mat"))
    both = b"".join((tmp_path / name).read_bytes() for name in ("a.mat", "b.mat"))
    (tmp_path / "both.mat").write_bytes(both)
    refused(tmp_path / "both.mat", "holds 2 transforms")


@pytest.mark.parametrize("name", ["field.tfm", "field.mat", "field.hdf5"])
def test_a_field_in_any_transform_file_is_a_displacement(tmp_path, a_field, name):
    sitk.WriteTransform(to_sitk_transform(a_field), str(tmp_path / name))
    read = read_displacement(tmp_path / name)
    assert read.grid.close_to(a_field.grid)
    np.testing.assert_allclose(read.array, a_field.array, atol=1e-9)
