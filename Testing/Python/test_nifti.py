"""NIfTI headers that are damaged or contradict themselves: read as the standard says, or refused in one sentence."""

from __future__ import annotations

import gzip
import math
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from file_cases import VOXELS, assert_read, nifti_bytes, place, put, refusal, told
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.images import header_grid, read_image, to_sitk

NAN, INF = math.nan, math.inf

pytestmark = pytest.mark.filterwarnings("error")  # NumPy's own words are noise to a user


@pytest.fixture
def scan(tmp_path):
    return tmp_path / "scan.nii"


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair, nib.Nifti2Pair])
@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_every_kind_of_nifti_is_read_where_it_lies(tmp_path, kind, mirror, packed):
    affine = np.vstack([swap_lps_ras(place(mirror=mirror).T).T, [0, 0, 0, 1]])
    end = ".img" if "Pair" in kind.__name__ else ".nii"
    nib.save(kind(VOXELS.T, affine), tmp_path / f"scan{end}{packed}")
    for name in (f"scan{end}{packed}", *([f"scan.hdr{packed}"] if end == ".img" else [])):
        assert_read(read_image(tmp_path / name), place(mirror=mirror))
        assert header_grid(tmp_path / name) == read_image(tmp_path / name).grid


@pytest.mark.parametrize("qfac", [0.0, -0.0, 0.5, NAN, 1.0])
def test_qfac_that_is_not_minus_one_is_one(scan, qfac):
    assert_read(read_image(put(scan, nifti_bytes((76, "f", qfac), sform=0))))


def test_qfac_of_minus_one_mirrors_the_third_axis_as_itk_has_it(scan):
    image = read_image(put(scan, nifti_bytes((76, "f", -1.0), sform=0)))
    assert_read(image, place() * [1, 1, -1, 1])
    judge = sitk.ReadImage(str(scan))
    np.testing.assert_allclose(np.ravel(image.grid.direction), judge.GetDirection(), atol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 100.0, 348.0, 351.0, 353.5, INF, -INF, NAN, -1.0])
def test_voxels_cannot_begin_there(scan, offset):
    assert "vox_offset" in refusal(put(scan, nifti_bytes((108, "f", offset))))


@pytest.mark.parametrize("offset", [1e9, 1e30])
def test_voxels_that_begin_beyond_the_file_are_cut_short(scan, offset):
    assert "cut short" in refusal(put(scan, nifti_bytes((108, "f", offset))))


def test_voxels_that_begin_later_are_read_from_there(scan):
    data = nifti_bytes((108, "f", 368.0))
    assert_read(read_image(put(scan, data[:352] + bytes(16) + data[352:])))


@pytest.mark.parametrize("code", [0, 1, 511, 777, -1, 1536, 2048])
def test_unknown_types_are_refused(scan, code):
    assert f"code {code}" in refusal(put(scan, nifti_bytes((70, "h", code), (72, "h", 0))))


@pytest.mark.parametrize("code", [32, 128, 1792, 2304])
def test_colours_and_complex_numbers_are_refused(scan, code):
    assert "colours or complex" in refusal(put(scan, nifti_bytes((70, "h", code), (72, "h", 0))))


def test_type_and_bits_that_contradict_each_other_are_refused(scan):
    assert "contradicts itself" in refusal(put(scan, nifti_bytes((70, "h", 16))))


LONG = (256, "3f", 1.0, 1.0, 1.0)


def test_a_quaternion_that_is_no_rotation_leaves_a_sound_sform(scan, caplog):
    for parts in ((1.0, 1.0, 1.0), (NAN, 0.0, 0.0)):
        image, words = told(put(scan, nifti_bytes((256, "3f", *parts))), caplog)
        assert_read(image)
        assert any("no rotation" in word for word in words)
    assert "no rotation" in refusal(put(scan, nifti_bytes(LONG, sform=0)))


def test_a_quaternion_a_rounding_longer_than_one_is_a_rotation(scan, caplog):
    image, words = told(put(scan, nifti_bytes((256, "3f", 0, 0, 1.00001), sform=0)), caplog)
    np.testing.assert_allclose(image.grid.direction, np.diag([1.0, 1.0, 1.0]) * 1.0, atol=2e-2)
    assert not words


def test_sform_and_pixdim_of_different_sizes_are_refused(scan):
    message = refusal(put(scan, nifti_bytes((80, "3f", 3.0, 5.0, 7.0), qform=0)))
    assert "1.5 x 2.5 x 3.5 mm by its sform and of 3 x 5 x 7 mm by its pixdim" in message


def test_sform_and_pixdim_that_differ_by_rounding_are_read(scan, caplog):
    image, words = told(put(scan, nifti_bytes((80, "f", 1.50001), qform=0)), caplog)
    assert_read(image)
    assert not words


@pytest.mark.parametrize("sform", range(5))
@pytest.mark.parametrize("qform", range(5))
def test_of_two_placements_the_one_that_itk_takes_is_taken(scan, caplog, sform, qform):
    """ITK as the judge: its rule is written down nowhere else."""
    image, words = told(put(scan, nifti_bytes((292, "f", 77.0), sform=sform, qform=qform)), caplog)
    judge = sitk.ReadImage(str(scan))
    np.testing.assert_allclose(image.grid.origin, judge.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(np.ravel(image.grid.direction), judge.GetDirection(), atol=1e-4)
    np.testing.assert_allclose(image.grid.spacing, judge.GetSpacing(), atol=1e-5)
    twice = sform > 0 and qform > 0
    assert any("twice" in word for word in words) == twice
    assert any("how the patient lies" in word for word in words) == (sform == qform == 0)


@pytest.mark.parametrize("offset", [280, 292, 316])
@pytest.mark.parametrize("value", [NAN, INF])
def test_an_sform_that_is_not_finite_is_refused_or_passed_over_with_a_word(scan, caplog, offset, value):
    refusal(put(scan, nifti_bytes((offset, "f", value), qform=0)))
    image, words = told(put(scan, nifti_bytes((offset, "f", value))), caplog)
    assert_read(image)
    assert any("sform that is not finite" in word for word in words)


@pytest.mark.parametrize(("unit", "factor", "word"), [(1, 1000.0, "metres"), (3, 0.001, "microns")])
def test_other_units_become_mm_and_that_is_said(scan, caplog, unit, factor, word):
    image, words = told(put(scan, nifti_bytes((123, "B", unit))), caplog)
    assert_read(image, place() * factor)
    assert word in words[0]


@pytest.mark.parametrize("unit", [0, 2, 10])
def test_mm_and_no_unit_are_mm(scan, caplog, unit):
    image, words = told(put(scan, nifti_bytes((123, "B", unit))), caplog)
    assert_read(image)
    assert not words


@pytest.mark.parametrize("unit", [4, 5, 7])
def test_unknown_units_are_refused(scan, unit):
    assert "unknown unit" in refusal(put(scan, nifti_bytes((123, "B", unit))))


@pytest.mark.parametrize(("slope", "intercept"), [(0, 0), (0, 5), (1, 0), (NAN, NAN)])
def test_no_scaling_leaves_the_voxels(scan, caplog, slope, intercept):
    image, words = told(put(scan, nifti_bytes((112, "2f", slope, intercept))), caplog)
    assert_read(image)
    assert not words


@pytest.mark.parametrize("slope", [INF, -INF, NAN])
def test_a_slope_that_is_not_finite_scales_nothing_and_is_told(scan, caplog, slope):
    image, words = told(put(scan, nifti_bytes((112, "2f", slope, 0))), caplog)
    assert_read(image)
    assert "as they are stored" in words[0]


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, 10.0), (-1.0, 0.0), (0.25, -1024.0)])
def test_scaling_is_applied(scan, slope, intercept):
    image = read_image(put(scan, nifti_bytes((112, "2f", slope, intercept))))
    np.testing.assert_allclose(image.array, VOXELS * slope + intercept)


def test_an_intercept_that_is_not_finite_is_refused(scan):
    assert "scl_inter" in refusal(put(scan, nifti_bytes((112, "2f", 2.0, NAN))))


@pytest.mark.parametrize("sides", [(10, 11, -9), (0, 11, 9), (10, -32768, 9)])
def test_impossible_sides_are_refused(scan, sides):
    assert "impossible size" in refusal(put(scan, nifti_bytes((42, "3h", *sides))))


@pytest.mark.parametrize("rank", [0, -1, 8, 256])
def test_impossible_numbers_of_dimensions_are_refused(scan, rank):
    refusal(put(scan, nifti_bytes((40, "h", rank))))


def test_sides_that_no_file_holds_are_refused_before_memory_is_taken(scan, tmp_path):
    data = nifti_bytes((42, "3h", 32767, 32767, 32767))
    assert "cut short" in refusal(put(scan, data))
    assert "cannot hold" in refusal(put(tmp_path / "scan.nii.gz", gzip.compress(data)))


@pytest.mark.parametrize("sides", [(2**40, 2**40, 2), (2**62, 2**62, 4)])
def test_sides_beyond_all_memory_are_refused_as_such(tmp_path, sides):
    data = bytearray(nib.Nifti2Image(VOXELS.T, np.eye(4)).to_bytes())
    struct.pack_into("<3q", data, 24, *sides)
    (tmp_path / "scan.nii").write_bytes(data)
    assert "impossible size" in refusal(tmp_path / "scan.nii")


def test_dimensions_beyond_the_third_may_be_left_at_nothing(scan):
    assert_read(read_image(put(scan, nifti_bytes((40, "8h", 4, 10, 11, 9, 0, 0, 0, 0)))))


def test_two_time_points_are_refused(scan):
    assert "4D (10 x 11 x 3 x 3)" in refusal(put(scan, nifti_bytes((40, "8h", 4, 10, 11, 3, 3, 1, 1, 1))))


def test_a_header_that_tells_of_too_few_voxels_is_told(scan, caplog):
    _, words = told(put(scan, nifti_bytes((46, "h", 8))), caplog)
    assert "goes on for 220 bytes" in words[0]


@pytest.mark.parametrize("magic", [b"ni1\0", b"n+9\0", b"\0\0\0\0"])
def test_another_magic_is_refused(scan, magic):
    refusal(put(scan, nifti_bytes((344, "4s", magic))))


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.AnalyzeImage])
def test_a_pair_whose_voxels_are_cut_short_is_refused(tmp_path, kind):
    affine = np.vstack([place(), [0, 0, 0, 1]])
    nib.save(kind(VOXELS.T, affine), tmp_path / "scan.img")
    put(tmp_path / "scan.img", (tmp_path / "scan.img").read_bytes()[:900])
    refusal(tmp_path / "scan.hdr")
    refusal(tmp_path / "scan.img")


def test_a_header_without_its_voxels_is_refused(tmp_path):
    nib.save(nib.Nifti1Pair(VOXELS.T, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / "scan.img").unlink()
    assert "scan.img beside it" in refusal(tmp_path / "scan.hdr")
    nib.save(nib.Nifti1Pair(VOXELS.T, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / "scan.hdr").unlink()
    assert "scan.hdr beside it" in refusal(tmp_path / "scan.img")


def test_analyze_is_refused_as_it_does_not_tell_left_from_right(tmp_path):
    nib.save(nib.AnalyzeImage(VOXELS.T, np.eye(4)), tmp_path / "scan.img")
    assert "which side is left" in refusal(tmp_path / "scan.hdr")
    assert "which side is left" in refusal(tmp_path / "scan.img")


@pytest.mark.parametrize("cut", [3, 300, 351, 352, 2000, -1])
def test_files_cut_anywhere_are_refused(scan, tmp_path, cut):
    refusal(put(scan, nifti_bytes()[:cut]))
    packed = gzip.compress(nifti_bytes())
    refusal(put(tmp_path / "scan.nii.gz", packed[: cut % len(packed)]))


def test_a_checksum_of_gzip_that_is_wrong_is_refused(tmp_path):
    data = bytearray(gzip.compress(nifti_bytes()))
    data[-6] ^= 1
    assert "damaged" in refusal(put(tmp_path / "scan.nii.gz", bytes(data)))


@pytest.mark.parametrize("name", ["plain.nii.gz", "packed.nii", "UPPER.NII", "noname"])
def test_packed_or_not_and_the_name_of_the_file_make_no_difference(tmp_path, name):
    data = nifti_bytes()
    assert_read(read_image(put(tmp_path / name, gzip.compress(data) if name == "packed.nii" else data)))


def test_what_is_written_is_what_itk_reads(tmp_path):
    """The other way round: our placement and ITK's are one."""
    image = read_image(put(tmp_path / "scan.nii", nifti_bytes()))
    judge = sitk.ReadImage(str(tmp_path / "scan.nii"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(judge), image.array)
    np.testing.assert_allclose(to_sitk(image).GetDirection(), judge.GetDirection(), atol=1e-6)
