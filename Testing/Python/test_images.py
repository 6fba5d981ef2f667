from __future__ import annotations

import gzip
import hashlib
import logging
import re
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.io.images import Image, checked_image, from_sitk, read_image, resample, to_sitk, write_image
from RobustDIRLib.io.labels import read_labels

EXTENSIONS = [".nii.gz", ".nii", ".nrrd", ".mha"]


def ras_affine(grid: Grid) -> np.ndarray:
    """Index x, y, z to RAS mm: what nibabel calls the affine."""
    affine = np.eye(4)
    affine[:3, :3] = swap_lps_ras(grid.array_to_mm[:, ::-1].T).T
    affine[:3, 3] = swap_lps_ras(grid.origin)
    return affine


def save_with_nibabel(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def patch_header(path: Path, offset: int, value: float) -> None:
    """Overwrites one float32 of an uncompressed NIfTI header."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, offset, value)
    path.write_bytes(data)


# What is written comes back, where it was


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_image_written_and_read_back(tmp_path, an_image, extension):
    write_image(tmp_path / f"a{extension}", an_image)
    back = read_image(tmp_path / f"a{extension}")
    np.testing.assert_array_equal(back.array, an_image.array)
    assert back.array.dtype == np.float32
    assert back.grid.close_to(an_image.grid, tolerance=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_labels_written_and_read_back_exactly(tmp_path, a_label_map, extension, dtype):
    extremes = a_label_map.array.astype(dtype).copy()
    extremes[0, 0, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    write_image(tmp_path / f"a{extension}", Image(extremes, a_label_map.grid))
    back = read_labels(tmp_path / f"a{extension}")
    np.testing.assert_array_equal(back.array, extremes)
    assert back.array.dtype == dtype


def test_booleans_are_written_as_uint8(tmp_path, a_label_map):
    write_image(tmp_path / "mask.nii.gz", Image(a_label_map.array > 1, a_label_map.grid))
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.nii.gz").array, a_label_map.array > 1)


def test_sitk_there_and_back(an_image):
    back = from_sitk(to_sitk(an_image))
    np.testing.assert_array_equal(back.array, an_image.array)
    assert back.grid.close_to(an_image.grid, tolerance=1e-9)


def test_image_refuses_a_grid_of_another_shape(an_image):
    with pytest.raises(ValueError, match="does not fill"):
        Image(an_image.array[1:], an_image.grid)


# nibabel as the judge of where voxels lie


def test_written_image_lies_where_nibabel_says(tmp_path, an_image):
    write_image(tmp_path / "a.nii.gz", an_image)
    judge = nib.load(tmp_path / "a.nii.gz")
    z, y, x = 3, 14, 20
    assert judge.get_fdata()[x, y, z] == an_image.array[z, y, x]
    in_ras = judge.affine @ [x, y, z, 1]
    np.testing.assert_allclose(in_ras[:3], swap_lps_ras(an_image.grid.points_from_voxels([z, y, x])), atol=1e-4)


def test_image_of_nibabel_is_read_where_it_lies(tmp_path, an_image):
    path = save_with_nibabel(tmp_path / "a.nii.gz", an_image.array.T, ras_affine(an_image.grid))
    back = read_image(path)
    np.testing.assert_array_equal(back.array, an_image.array)
    assert back.grid.close_to(an_image.grid, tolerance=1e-4)


def test_mgz_is_read_through_nibabel(tmp_path, an_image):
    nib.MGHImage(an_image.array.T, ras_affine(an_image.grid)).to_filename(tmp_path / "a.mgz")
    back = read_image(tmp_path / "a.mgz")
    np.testing.assert_array_equal(back.array, an_image.array)
    assert back.grid.close_to(an_image.grid, tolerance=1e-4)


def test_scaled_integers_come_as_the_values_they_stand_for(tmp_path, an_image):
    hounsfield = an_image.array.astype(np.float64) * 1000 - 1024
    nifti = nib.Nifti1Image(hounsfield.T, ras_affine(an_image.grid))
    nifti.set_data_dtype(np.int16)
    nifti.to_filename(tmp_path / "a.nii.gz")
    assert sitk.ReadImage(str(tmp_path / "a.nii.gz")).GetMetaData("scl_slope") != "1"
    np.testing.assert_allclose(read_image(tmp_path / "a.nii.gz").array, hounsfield, atol=0.02)


def skewed(grid: Grid, skew: float) -> np.ndarray:
    affine = ras_affine(grid)
    affine[:3, 1] += skew * affine[:3, 0] / np.linalg.norm(affine[:3, 0]) * np.linalg.norm(affine[:3, 1])
    return affine


def test_slightly_skewed_nifti_is_read_and_told(tmp_path, an_image, caplog):
    path = save_with_nibabel(tmp_path / "a.nii.gz", an_image.array.T, skewed(an_image.grid, 0.002))
    with caplog.at_level(logging.WARNING):
        back = read_image(path)
    assert "skewed" in caplog.text
    np.testing.assert_array_equal(back.array, an_image.array)
    assert back.grid.close_to(an_image.grid, tolerance=0.1)
    direction = np.array(back.grid.direction)
    np.testing.assert_allclose(direction @ direction.T, np.eye(3), atol=1e-12)


def test_skewed_nifti_is_refused(tmp_path, an_image):
    nifti = nib.Nifti1Image(an_image.array.T, skewed(an_image.grid, 0.1))
    nifti.set_qform(None, code=0)
    nifti.to_filename(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz has skewed axes \(a corner is .* voxels off"):
        read_image(tmp_path / "a.nii.gz")


def test_nifti_that_lies_at_two_places_is_told(tmp_path, an_image, caplog):
    nifti = nib.Nifti1Image(an_image.array.T, ras_affine(an_image.grid))
    elsewhere = ras_affine(an_image.grid)
    elsewhere[0, 3] += 12
    nifti.set_sform(ras_affine(an_image.grid), code=1)
    nifti.set_qform(elsewhere, code=1)
    nifti.to_filename(tmp_path / "a.nii.gz")
    with caplog.at_level(logging.WARNING):
        read_image(tmp_path / "a.nii.gz")
    assert "12.0 mm apart" in caplog.text


def test_nifti_without_a_place_is_told(tmp_path, an_image, caplog):
    nifti = nib.Nifti1Image(an_image.array.T, None)
    nifti.to_filename(tmp_path / "a.nii.gz")
    with caplog.at_level(logging.WARNING):
        read_image(tmp_path / "a.nii.gz")
    assert "does not say how the patient lies" in caplog.text


def test_four_dimensions_with_one_time_point_are_squeezed(tmp_path, an_image):
    save_with_nibabel(tmp_path / "a.nii.gz", an_image.array.T[..., None], ras_affine(an_image.grid))
    sitk.WriteImage(sitk.JoinSeries([to_sitk(an_image)]), str(tmp_path / "a.nrrd"))
    for path in (tmp_path / "a.nii.gz", tmp_path / "a.nrrd"):
        back = read_image(path)
        np.testing.assert_array_equal(back.array, an_image.array)
        assert back.grid.close_to(an_image.grid, tolerance=1e-4)


# Bad input: one sentence that names the file


def refusal(path: Path, reader=read_image) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_missing_empty_and_foreign_files_are_refused(tmp_path):
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    (tmp_path / "foreign.nii.gz").write_bytes(b"this is no image" * 40)
    (tmp_path / "foreign.mha").write_bytes(b"this is no image" * 40)
    (tmp_path / "foreign.docx").write_bytes(b"this is no image" * 40)
    assert "does not exist" in refusal(tmp_path / "missing.nii.gz")
    assert "0 bytes" in refusal(tmp_path / "empty.nii.gz")
    assert "no NIfTI file" in refusal(tmp_path / "foreign.nii.gz")
    assert "no MetaImage file" in refusal(tmp_path / "foreign.mha")
    assert "unknown format" in refusal(tmp_path / "foreign.docx")


@pytest.mark.parametrize("extension", [*EXTENSIONS, ".mgz"])
@pytest.mark.parametrize("part", [0.97, 0.5, 0.02])
def test_files_cut_short_are_refused(tmp_path, an_image, extension, part):
    path = tmp_path / f"a{extension}"
    if extension == ".mgz":
        nib.MGHImage(an_image.array.T, ras_affine(an_image.grid)).to_filename(path)
    else:
        write_image(path, an_image)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    assert re.search("cut short", refusal(path))


def test_damaged_compression_is_refused(tmp_path, an_image):
    path = tmp_path / "a.nii.gz"
    write_image(path, an_image)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def test_two_dimensions_are_refused(tmp_path, an_image):
    sitk.WriteImage(to_sitk(an_image)[:, :, 5], str(tmp_path / "a.nrrd"))
    sitk.WriteImage(sitk.Cast(to_sitk(an_image)[:, :, 5] * 200, sitk.sitkUInt8), str(tmp_path / "a.png"))
    assert "is 2D" in refusal(tmp_path / "a.nrrd")
    assert "is 2D" in refusal(tmp_path / "a.png")


def test_four_dimensions_are_refused(tmp_path, an_image):
    two = np.stack([an_image.array.T] * 2, axis=-1)
    save_with_nibabel(tmp_path / "a.nii.gz", two, ras_affine(an_image.grid))
    nib.MGHImage(two, ras_affine(an_image.grid)).to_filename(tmp_path / "a.mgz")
    assert "is 4D (25 x 21 x 17 x 2)" in refusal(tmp_path / "a.nii.gz")
    assert "is 4D (25 x 21 x 17 x 2)" in refusal(tmp_path / "a.mgz")


def test_colours_vectors_and_complex_numbers_are_refused(tmp_path, an_image):
    colour = sitk.Compose([sitk.Cast(to_sitk(an_image) * 200, sitk.sitkUInt8)] * 3)
    sitk.WriteImage(colour, str(tmp_path / "a.nrrd"))
    assert "holds 3 values a voxel" in refusal(tmp_path / "a.nrrd")
    sitk.WriteImage(colour, str(tmp_path / "a.nii.gz"))
    assert "holds 3 values a voxel" in refusal(tmp_path / "a.nii.gz")
    save_with_nibabel(tmp_path / "c.nii.gz", an_image.array.T.astype(np.complex64), ras_affine(an_image.grid))
    assert "complex" in refusal(tmp_path / "c.nii.gz")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_voxels_that_are_not_finite_are_counted_and_refused(tmp_path, an_image, extension, value):
    """ITK itself would read them from NIfTI as 0."""
    array = an_image.array.copy()
    array[2, 3, 4:7] = value
    write_image(tmp_path / f"a{extension}", Image(array, an_image.grid))
    assert f"3 of {array.size} voxels" in refusal(tmp_path / f"a{extension}")


def test_big_endian_files_are_read(tmp_path, a_label_map):
    array = (a_label_map.array.astype(np.int16) * 100).astype(">i2")
    header = nib.Nifti1Image(array.T, ras_affine(a_label_map.grid)).header.as_byteswapped(">")
    header["vox_offset"] = 352
    data = header.binaryblock + bytes(4) + array.tobytes()
    assert data[:4] == struct.pack(">i", 348)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data))
    for back in (read_image(tmp_path / "a.nii.gz"), read_labels(tmp_path / "a.nii.gz")):
        np.testing.assert_array_equal(back.array, array)
        assert back.array.dtype.isnative


def test_values_beyond_float32_are_refused(tmp_path, an_image):
    array = an_image.array.astype(np.float64)
    array[2, 3, 4] = 1e200
    write_image(tmp_path / "a.nii.gz", Image(array, an_image.grid))
    assert "1 of" in refusal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values * 3e38, "too far apart"),
        (lambda values: values + 1e9, "subtract that"),
        (lambda values: values * 1e-3 + 1e12, "subtract that"),
    ],
)
def test_values_that_single_precision_cannot_hold_apart_are_refused(an_image, change, words):
    """They ended in a traceback of ITK, and in an image of a few steps without a word."""
    values = np.linspace(-1, 1, an_image.array.size).reshape(an_image.array.shape)
    with pytest.raises(InputError, match=words):
        checked_image("it", Image(change(values), an_image.grid))
    for fine in (values * 1e38, values + 1e4, values * 1e-30, np.rint(values * 1000).astype(np.int16)):
        checked_image("it", Image(fine, an_image.grid))


def test_constant_image_is_refused(tmp_path, an_image):
    write_image(tmp_path / "a.nii.gz", Image(np.full_like(an_image.array, -1000), an_image.grid))
    assert "constant (all voxels are -1000)" in refusal(tmp_path / "a.nii.gz")


def test_sides_under_eight_voxels_are_refused(tmp_path, an_image):
    for size, fine in ((8, True), (7, False)):
        grid = an_image.grid.padded((0, 0, 0), (size - an_image.grid.shape[0], 0, 0))
        write_image(tmp_path / "a.nii.gz", Image(an_image.array[:size], grid))
        if fine:
            read_image(tmp_path / "a.nii.gz")
        else:
            assert "25 x 21 x 7 voxels" in refusal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("value", [0.0, -2.0, float("nan")])
def test_spacing_that_is_not_positive_is_refused(tmp_path, an_image, axis, value):
    """ITK itself would read a spacing of zero as 1 mm."""
    write_image(tmp_path / "a.nii", an_image)
    patch_header(tmp_path / "a.nii", 80 + 4 * axis, value)
    assert "not positive" in refusal(tmp_path / "a.nii")


def test_spacing_of_zero_in_metaimage_is_refused(tmp_path, an_image):
    write_image(tmp_path / "a.mha", an_image)
    data = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(re.sub(rb"ElementSpacing = \S+", b"ElementSpacing = 0", data))
    refusal(tmp_path / "a.mha")


def test_whole_floats_are_labels_and_others_are_not(tmp_path, a_label_map):
    write_image(tmp_path / "whole.nii.gz", Image(a_label_map.array.astype(np.float32), a_label_map.grid))
    whole = read_labels(tmp_path / "whole.nii.gz")
    assert whole.array.dtype == np.int32
    np.testing.assert_array_equal(whole.array, a_label_map.array)
    for value in (1.5, np.nan, np.inf):
        blurred = a_label_map.array.astype(np.float32)
        blurred[3, 4, 5:7] = value
        write_image(tmp_path / "blurred.nii.gz", Image(blurred, a_label_map.grid))
        assert f"2 of {blurred.size} voxels" in refusal(tmp_path / "blurred.nii.gz", read_labels)


def test_wide_integers_are_narrowed_or_refused(tmp_path, a_label_map):
    wide = a_label_map.array.astype(np.int64)
    write_image(tmp_path / "a.nrrd", Image(wide, a_label_map.grid))
    assert read_labels(tmp_path / "a.nrrd").array.dtype == np.int32
    wide[1, 2, 3] = 2**40
    write_image(tmp_path / "a.nrrd", Image(wide, a_label_map.grid))
    assert "beyond 32 bits" in refusal(tmp_path / "a.nrrd", read_labels)


def test_constant_labels_are_read(tmp_path, a_label_map):
    write_image(tmp_path / "a.nii.gz", Image(np.zeros_like(a_label_map.array), a_label_map.grid))
    assert read_labels(tmp_path / "a.nii.gz").array.max() == 0


# Writing: all or nothing


def test_unknown_extension_is_refused(tmp_path, an_image):
    for name in ("a.jpg", "a.mhd", "a"):
        with pytest.raises(InputError, match="cannot be written"):
            write_image(tmp_path / name, an_image)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_refused(tmp_path, an_image):
    with pytest.raises(InputError, match="does not exist"):
        write_image(tmp_path / "nowhere" / "a.nii.gz", an_image)


def test_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_text("old")

    def write_half() -> None:
        with written_atomically(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("itk::ERROR: ITKHDF5: disk full")

    with pytest.raises(InputError, match="disk full"):
        write_half()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.nii.gz"]
    assert path.read_text(encoding="utf-8") == "old"


def test_interrupted_writing_leaves_nothing(tmp_path):
    def write_half() -> None:
        with written_atomically(tmp_path / "a.nii.gz") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


# Resampling


def test_resampling_onto_its_own_grid_changes_nothing(an_image, a_label_map):
    np.testing.assert_allclose(resample(an_image, an_image.grid).array, an_image.array, atol=1e-5)
    np.testing.assert_array_equal(resample(a_label_map, an_image.grid, nearest=True).array, a_label_map.array)


def test_resampled_values_stay_at_their_points(an_image, other_grid):
    """A linear slope in space is sampled exactly by linear interpolation, wherever the grids lie."""
    slope = np.array([0.3, -0.7, 1.1])
    points = an_image.grid.points_from_voxels(np.moveaxis(np.indices(an_image.grid.shape), 0, -1))
    ramp = Image((points @ slope).astype(np.float32), an_image.grid)
    onto = resample(ramp, other_grid, outside=np.nan)
    there = other_grid.points_from_voxels(np.moveaxis(np.indices(other_grid.shape), 0, -1))
    voxels = an_image.grid.voxels_from_points(there)
    inside = ((voxels >= 0) & (voxels <= np.array(an_image.grid.shape) - 1)).all(axis=-1)
    assert 300 < inside.sum() < inside.size
    np.testing.assert_allclose(onto.array[inside], (there @ slope)[inside], atol=1e-3)
    assert np.isnan(onto.array[~an_image.grid.contains(there)]).all()


def test_outside_is_the_smallest_value_or_the_background(an_image, a_label_map, other_grid):
    there = other_grid.points_from_voxels(np.moveaxis(np.indices(other_grid.shape), 0, -1))
    outside = ~an_image.grid.contains(there)
    ct = Image(an_image.array * 1000 - 1024, an_image.grid)
    np.testing.assert_array_equal(resample(ct, other_grid).array[outside], ct.array.min())
    labels = Image(a_label_map.array + 1, a_label_map.grid)
    np.testing.assert_array_equal(resample(labels, other_grid, nearest=True).array[outside], 0)


def test_nearest_keeps_labels_and_type(a_label_map, other_grid):
    onto = resample(a_label_map, other_grid, nearest=True)
    assert onto.array.dtype == np.uint8
    assert set(np.unique(onto.array)) <= set(np.unique(a_label_map.array))


def test_whole_numbers_are_rounded_not_cut_off(an_image):
    shift = sitk.TranslationTransform(3, (0.7, -0.4, 0.9))
    exact = resample(Image(an_image.array.astype(np.float64) * 50 - 25, an_image.grid), an_image.grid, shift)
    counted = Image(np.round(an_image.array * 50 - 25).astype(np.int16), an_image.grid)
    resampled = resample(counted, an_image.grid, shift)
    assert resampled.array.dtype == np.int16
    inside = (slice(3, -3),) * 3
    difference = resampled.array[inside] - exact.array[inside]
    assert np.abs(difference).max() <= 1.0
    assert np.abs(difference.mean()) < 0.02


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_transform_takes_fixed_points_to_moving_points(an_image, axis):
    """Moving by two voxels along one axis brings the value from two voxels further."""
    step = an_image.grid.points_from_voxels(2 * np.eye(3)[axis]) - np.array(an_image.grid.origin)
    shifted = resample(an_image, an_image.grid, sitk.TranslationTransform(3, step.tolist()))
    inside = [slice(None)] * 3
    inside[axis] = slice(None, -2)
    expected = np.roll(an_image.array, -2, axis)[tuple(inside)]
    np.testing.assert_allclose(shifted.array[tuple(inside)], expected, atol=1e-4)


# DICOM


def write_series(folder: Path, *, drop=(), slide=0.0, jitter=None, series="1.2.3", modality="CT") -> np.ndarray:
    """An oblique series of 10 slices, 13 x 11, in HU, its file names against the order of its slices."""
    folder.mkdir(exist_ok=True)
    array = (np.random.default_rng(5).normal(size=(10, 11, 13)) * 300).astype(np.int16)
    axes = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in set(range(len(array))) - set(drop):
        place = 2.5 * k + (0 if jitter is None else jitter[k])
        position = np.array([-10.0, 20.0, 30.0]) + axes[:, 2] * place + axes[:, 1] * slide * k
        image = sitk.GetImageFromArray(array[k : k + 1])
        image.SetSpacing((1.5, 0.7, 2.5))
        image.SetOrigin(position)
        image.SetDirection(axes.ravel())
        tags = {
            "0008|0060": modality,
            "0008|103e": "Chest",
            "0020|000d": "1.2",
            "0020|000e": series,
            "0008|0018": f"{series}.{k + 1}",
            "0020|0013": str(k + 1),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "\\".join(f"{value:.6f}" for value in [*axes[:, 0], *axes[:, 1]]),
            "0028|1052": "-1024",
            "0028|1053": "1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}-{99 - k}.dcm"))
        writer.Execute(image)
    return array


def test_dicom_folder_is_read_in_the_order_of_its_positions(tmp_path):
    array = write_series(tmp_path / "ct")
    (tmp_path / "ct" / "note.txt").write_text("not DICOM")
    image = read_image(tmp_path / "ct")
    np.testing.assert_array_equal(image.array, array)
    assert image.grid.spacing == pytest.approx((1.5, 0.7, 2.5), abs=1e-6)
    expected = np.array([-10.0, 20.0, 30.0]) + 9 * 2.5 * np.array([0, -np.sin(0.3), np.cos(0.3)])
    np.testing.assert_allclose(image.grid.points_from_voxels([9, 0, 0]), expected, atol=1e-4)


def test_several_series_are_refused_and_listed(tmp_path):
    write_series(tmp_path / "ct")
    write_series(tmp_path / "ct", series="1.2.9", drop=(8, 9))
    message = refusal(tmp_path / "ct")
    assert re.search(r"1\.2\.3\S* \(CT Chest, 10 slices\)", message)
    assert re.search(r"1\.2\.9\S* \(CT Chest, 8 slices\)", message)


def write_contours(path: Path) -> None:
    """The least of an RTSTRUCT object: explicit little-endian DICOM without pixels."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
        return struct.pack("<HH2sH", group, number, kind, len(value)) + value

    uid = b"1.2.840.10008.5.1.4.1.1.481.3"
    meta = element(2, 2, b"UI", uid) + element(2, 3, b"UI", b"1.7.1") + element(2, 16, b"UI", b"1.2.840.10008.1.2.1")
    body = element(8, 0x16, b"UI", uid) + element(8, 0x18, b"UI", b"1.7.1") + element(8, 0x60, b"CS", b"RTSTRUCT")
    body += element(0x20, 0x0D, b"UI", b"1.2") + element(0x20, 0x0E, b"UI", b"1.7")
    path.write_bytes(bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body)


def test_contours_beside_a_scan_are_passed_over(tmp_path):
    array = write_series(tmp_path / "ct")
    write_contours(tmp_path / "ct" / "contours.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "ct").array, array)


def test_missing_slice_is_refused_with_figures(tmp_path):
    write_series(tmp_path / "ct", drop=(4,))
    assert "usually 2.500 mm apart, at 1 places not, as far as 5.000 mm" in refusal(tmp_path / "ct")


def test_doubled_slices_are_refused(tmp_path):
    write_series(tmp_path / "ct", jitter=[0, 0, 0, 0, -2.5, 0, 0, 0, 0, 0])
    assert "1 DICOM slices at the place of another" in refusal(tmp_path / "ct")


def test_tilted_gantry_is_refused(tmp_path):
    write_series(tmp_path / "ct", slide=0.4)
    assert "slide sideways by up to 0.400 mm" in refusal(tmp_path / "ct")


def test_slightly_irregular_slices_are_read_and_told(tmp_path, caplog):
    write_series(tmp_path / "ct", jitter=[0, 0, 0, 0.05, 0, 0, 0, 0, 0, 0])
    with caplog.at_level(logging.WARNING):
        read_image(tmp_path / "ct")
    assert "2.450 to 2.550 mm apart" in caplog.text


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no DICOM images" in refusal(tmp_path / "empty")


def test_single_dicom_slice_is_refused_with_a_hint(tmp_path):
    write_series(tmp_path / "ct")
    assert "DICOM series by its folder" in refusal(next((tmp_path / "ct").iterdir()))


# Checksums


def test_checksum_of_a_file_is_its_sha256(tmp_path):
    data = np.random.default_rng(1).bytes(3_000_000)
    (tmp_path / "a").write_bytes(data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_checksum_of_a_folder_follows_names_and_contents(tmp_path):
    def checksum(**files: str) -> str:
        for old in tmp_path.iterdir():
            old.unlink()
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        return sha256(tmp_path)

    first = checksum(a="1", b="2")
    assert checksum(b="2", a="1") == first
    assert len({first, checksum(a="1", b="3"), checksum(a="1", c="2"), checksum(a="2", b="1"), checksum(a="1")}) == 5


def test_checksum_of_nothing_is_refused(tmp_path):
    refusal(tmp_path / "missing", sha256)


def test_gzip_in_several_members_is_read(tmp_path, an_image):
    """bgzip and parallel compressors write such files."""
    write_image(tmp_path / "a.nii", an_image)
    data = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data[:9000]) + gzip.compress(data[9000:]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").array, an_image.array)


def test_a_2d_nifti_placed_by_both_forms_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """As SimpleITK writes a slice: sform and qform are set, and there are two sides only."""
    plane = np.random.default_rng(1).normal(size=(22, 24)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(plane), str(tmp_path / "slice.nii.gz"))
    with pytest.raises(InputError, match=r"slice\.nii\.gz.* (2D|2 dimensions)"):
        read_image(tmp_path / "slice.nii.gz")
