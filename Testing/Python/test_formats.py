"""Formats are known by what stands in a file; those that are not read are refused by name, without others' words."""

from __future__ import annotations

import gzip
import os
import re
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from file_cases import VOXELS, assert_read, expected_grid, meta_bytes, nifti_bytes, nrrd_bytes, put, refusal, told
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.displacements import read_displacement, read_transform
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.io.images import header_grid, read_image
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.io.landmarks import read_landmarks

pytestmark = pytest.mark.filterwarnings("error")  # NumPy's own words are noise to a user


@pytest.mark.parametrize(
    "end", ["tif", "png", "jpg", "bmp", "vtk", "gipl", "mrc", "hdf5", "mnc", "pic", "spr", "lsm", "nia"]
)
def test_formats_of_itk_that_lack_what_a_volume_needs_are_refused(tmp_path, end, capfd):
    image = sitk.GetImageFromArray((VOXELS - VOXELS.min()).astype(np.uint8))
    image.SetSpacing((1.5, 2.5, 3.5))
    path = tmp_path / f"scan.{end}"
    sitk.WriteImage(image[:, :, 3] if end in ("png", "jpg", "bmp") else image, str(path))
    capfd.readouterr()
    assert re.search("NIfTI|h5py", refusal(path))
    assert re.search("NIfTI|h5py", refusal(path, read_labels))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"<!DOCTYPE html><html>" + bytes(400), "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"PK\x03\x04" + bytes(400), "ZIP"),
        (b"%PDF-1.4", "PDF"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (b"hello\n", "no NIfTI file"),
        (b"\0", "no NIfTI file"),
        (b"\x1f\x8b" + bytes(100), "damaged"),
    ],
)
def test_files_that_are_something_else_are_refused_by_what_they_are(tmp_path, data, word):
    assert word in refusal(put(tmp_path / "scan.nii.gz", data))


@pytest.mark.parametrize(
    ("name", "data", "right"),
    [
        ("scan.nrrd", nifti_bytes(), ".nii"),
        ("scan.nii", nrrd_bytes(), ".nrrd"),
        ("scan.nii.gz", meta_bytes(), ".mha"),
        ("scan.mha", nrrd_bytes(), ".nrrd"),
    ],
)
def test_a_file_with_the_name_of_another_format_is_refused_with_the_right_one(tmp_path, name, data, right):
    for reader in (read_image, header_grid, read_displacement):
        assert f"rename it to {right}" in refusal(put(tmp_path / name, data), reader)


@pytest.mark.parametrize("data", [nifti_bytes(), nrrd_bytes(), meta_bytes()])
def test_a_file_without_an_extension_is_read_by_what_it_holds(tmp_path, data):
    assert_read(read_image(put(tmp_path / "scan", data)))
    assert_read(read_image(put(tmp_path / "scan.image", data)))


@pytest.mark.parametrize("data", [nrrd_bytes(), meta_bytes()])
def test_a_file_packed_as_a_whole_is_refused_with_the_cure(tmp_path, data):
    assert "unpack it first" in refusal(put(tmp_path / "scan.gz", gzip.compress(data)))


@pytest.mark.parametrize("reader", [read_image, read_labels, header_grid, read_displacement, read_transform])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe.nii")
    os.symlink(tmp_path / "nowhere", tmp_path / "link.nii")
    os.symlink(tmp_path / "loop.nii", tmp_path / "loop.nii")
    put(tmp_path / "empty.nii", b"")
    assert "pipe" in refusal(tmp_path / "pipe.nii", reader)
    assert "does not exist" in refusal(tmp_path / "link.nii", reader)
    assert "does not exist" in refusal(tmp_path / "loop.nii", reader)
    assert "0 bytes" in refusal(tmp_path / "empty.nii", reader)


@pytest.mark.parametrize("reader", [read_image, read_labels, read_displacement, read_transform, read_landmarks])
@pytest.mark.parametrize("name", ["l" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_one_that_is_not_there(tmp_path, reader, name):
    assert "does not exist" in refusal(tmp_path / f"{name}.nii", reader)
    path = put(tmp_path / "scan.nhdr", nrrd_bytes({"data file": name}, b""))
    assert "does not exist" in refusal(path)
    with pytest.raises(InputError, match="too long"), written_atomically(tmp_path / ("l" * 300)) as temporary:
        temporary.write_text("all of it")
    assert not any(file.name.startswith((".", "l")) for file in tmp_path.iterdir())


def test_the_other_file_of_a_pair_is_looked_for_by_no_longer_name_than_there_can_be(tmp_path):
    path = put(tmp_path / ("l" * 250 + ".hdr"), nifti_bytes((344, "3s", b"ni1")))
    assert "needs" in refusal(path)


def test_landmarks_behind_a_pipe_are_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "points.csv")
    assert "pipe" in refusal(tmp_path / "points.csv", read_landmarks)


def test_voxels_behind_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "voxels.raw")
    path = put(tmp_path / "scan.nhdr", nrrd_bytes({"data file": "voxels.raw"}, b""))
    assert "pipe" in refusal(path, names=tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be read by this user")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = put(tmp_path / "scan.nii", nifti_bytes())
    path.chmod(0)
    assert "may not be read" in refusal(path)


def write_minc(path, *, step=(2.0, -3.0, 4.0), length=1.0, lacks=(), said=None, units=b"mm"):
    """MINC 1 as its library writes it: axes zspace, yspace, xspace, turned about z, voxels scaled plane by plane."""
    from scipy.io import netcdf_file

    turned = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    with netcdf_file(path, "w") as file:
        for name, side in zip(("zspace", "yspace", "xspace"), VOXELS.shape, strict=True):
            file.createDimension(name, side)
        for k, name in enumerate(("xspace", "yspace", "zspace")):
            axis = file.createVariable(name, "i", ())
            axis.step, axis.start, axis.direction_cosines = step[k], 5.0 + k, length * turned[:, k].astype(">f8")
            axis.spacing = b"regular__"
            for key in lacks:
                delattr(axis, key)
                del axis._attributes[key]
            for key, value in {"units": units, **(said or {})}.items():
                setattr(axis, key, value)
        image = file.createVariable("image", "h", ("zspace", "yspace", "xspace"))
        image.signtype, image.valid_range = b"signed__", np.array([-1000.0, 2000.0])
        for name, edge in (("image-min", -1000.0), ("image-max", 2000.0)):
            file.createVariable(name, "d", ("zspace",))[:] = edge * np.arange(1, VOXELS.shape[0] + 1)
        image[:] = VOXELS
    start = turned @ [5.0, 6.0, 7.0]
    return np.column_stack([turned * step, start]) * np.array([-1, -1, 1])[:, None]


def test_minc_lies_where_its_header_says_with_each_plane_scaled(tmp_path, monkeypatch):
    """The place by MINC's own formula: start and step along the cosines, in RAS."""
    matrix = write_minc(tmp_path / "scan.mnc")
    image = read_image(tmp_path / "scan.mnc")
    planes = np.arange(1, VOXELS.shape[0] + 1)[:, None, None]
    np.testing.assert_allclose(image.array, VOXELS * planes, atol=1e-2)
    assert image.grid.close_to(expected_grid(matrix), tolerance=1e-4)
    data = (tmp_path / "scan.mnc").read_bytes()
    refusal(put(tmp_path / "cut.mnc", data[: len(data) // 2]))
    refusal(put(tmp_path / "head.mnc", data[:40]))
    monkeypatch.setattr(nib.Minc1Image, "from_filename", lambda path: bytes(1 << 62))  # as of a damaged count
    assert "memory" in refusal(put(tmp_path / "count.mnc", data))


def test_minc_in_other_units_or_lengths_is_refused_and_axes_without_a_place_are_told(tmp_path, caplog):
    write_minc(tmp_path / "cm.mnc", units=b"cm")
    assert "'cm'; convert it to mm" in refusal(tmp_path / "cm.mnc")
    write_minc(tmp_path / "long.mnc", said={"length": 11})
    assert "9 voxels along its zspace and says 11" in refusal(tmp_path / "long.mnc")
    write_minc(tmp_path / "edges.mnc", said={"alignment": b"start_"})
    assert "the start of its voxels along its zspace" in refusal(tmp_path / "edges.mnc")
    write_minc(tmp_path / "centres.mnc", said={"alignment": b"centre"})
    assert read_image(tmp_path / "centres.mnc").grid.spacing == pytest.approx((2.0, 3.0, 4.0))
    write_minc(tmp_path / "unsaid.mnc", lacks=("step", "start"))
    image, words = told(tmp_path / "unsaid.mnc", caplog)
    assert image.grid.spacing == (1.0, 1.0, 1.0)
    assert "zspace no step, zspace no start" in words[0]


def test_mgh_lies_where_nibabel_says_and_damaged_ones_are_refused(tmp_path):
    affine = np.array([[0, 2.0, 0, 5], [0, 0, -3, 7], [1.5, 0, 0, -9], [0, 0, 0, 1]])
    nib.save(nib.MGHImage(VOXELS.T.astype(np.int32), affine), tmp_path / "scan.mgh")
    image = read_image(tmp_path / "scan.mgh")
    np.testing.assert_array_equal(image.array, VOXELS)
    ras = affine @ [7, 5, 3, 1]
    np.testing.assert_allclose(image.grid.points_from_voxels([3, 5, 7]), ras[:3] * [-1, -1, 1], atol=1e-4)
    assert header_grid(tmp_path / "scan.mgh") == image.grid
    data = bytearray((tmp_path / "scan.mgh").read_bytes())
    for offset, form, value in (
        (4, ">i", -5),
        (4, ">i", 2**30),
        (20, ">i", 99),
        (30, ">f", 0.0),
        (30, ">f", float("nan")),
    ):
        damaged = bytearray(data)
        struct.pack_into(form, damaged, offset, value)
        refusal(put(tmp_path / "damaged.mgh", bytes(damaged)))


@pytest.mark.parametrize("length", [0.5, 2.0, float("nan")])
def test_cosines_that_are_not_of_length_1_are_refused_as_in_other_formats(tmp_path, length):
    nib.save(nib.MGHImage(VOXELS.T.astype(np.int32), np.diag([1.5, 2, 3, 1])), tmp_path / "scan.mgh")
    data = bytearray((tmp_path / "scan.mgh").read_bytes())
    struct.pack_into(">f", data, 42, length)
    refusal(put(tmp_path / "long.mgh", bytes(data)))
    write_minc(tmp_path / "long.mnc", length=length)
    refusal(tmp_path / "long.mnc")


def test_mgh_without_a_place_says_so(tmp_path, caplog):
    """FreeSurfer then passes over spacing and axes that the header may hold."""
    nib.save(nib.MGHImage(VOXELS.T.astype(np.int32), np.diag([1.5, 2, 3, 1])), tmp_path / "scan.mgh")
    data = bytearray((tmp_path / "scan.mgh").read_bytes())
    struct.pack_into(">h", data, 28, 0)
    assert read_image(put(tmp_path / "placeless.mgh", bytes(data))).grid.spacing == (1, 1, 1)
    assert "does not say how large its voxels are nor how the patient lies" in caplog.text


def test_damaged_transforms_are_refused_without_the_words_of_hdf5(tmp_path, capfd):
    transform = sitk.AffineTransform(3)
    sitk.WriteTransform(transform, str(tmp_path / "t.h5"))
    data = (tmp_path / "t.h5").read_bytes()
    for k, damaged in enumerate((data[: len(data) // 2], data[:9], b"\x89HDF\r\n\x1a\n" + bytes(600))):
        refusal(put(tmp_path / f"damaged{k}.h5", damaged), read_transform)
    assert capfd.readouterr() == ("", "")


def skewed_field(skew: float) -> sitk.DisplacementFieldTransform:
    vectors = np.random.default_rng(2).normal(size=(*VOXELS.shape, 3))
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.SetSpacing((1.5, 2.5, 3.5))
    field.SetDirection([1, skew, 0, 0, 1, 0, 0, 0, 1])
    return sitk.DisplacementFieldTransform(field)


@pytest.mark.parametrize("within", ["alone", "composite"])
def test_fields_of_transforms_follow_the_rule_of_every_grid(tmp_path, within, caplog):
    def written(skew: float):
        field = skewed_field(skew)
        path = tmp_path / "t.h5"
        sitk.WriteTransform(
            field if within == "alone" else sitk.CompositeTransform([sitk.AffineTransform(3), field]), str(path)
        )
        return path

    assert "skewed axes" in refusal(written(0.2), read_transform)
    read_transform(written(0.0))
    assert not caplog.records
    transform = read_transform(written(0.003))
    assert "slightly skewed" in caplog.text
    part = transform if within == "alone" else transform.GetNthTransform(1).Downcast()
    axes = np.array(part.GetDisplacementField().GetDirection()).reshape(3, 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
