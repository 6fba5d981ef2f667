"""MetaImage headers, ITK as the judge of the sound ones."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from file_cases import SPACING, VOXELS, assert_read, expected_grid, meta_bytes, place, put, refusal, told
from RobustDIRLib.io.images import header_grid, read_image

BODY = VOXELS.tobytes()
AXES = place()[:, :3] / (1.5, 2.5, 3.5)
WORDS = " ".join(repr(float(n)) for n in AXES.T.ravel())

pytestmark = pytest.mark.filterwarnings("error")  # NumPy's own words are noise to a user


@pytest.fixture
def scan(tmp_path):
    return tmp_path / "scan.mha"


def numbers(axes: np.ndarray) -> str:
    """Axes by columns, as the file has them one after another."""
    return " ".join(repr(float(n)) for n in axes.T.ravel())


@pytest.mark.parametrize("mirror", [1, -1])
def test_a_sound_header_is_read_as_itk_reads_it(scan, caplog, mirror):
    image, words = told(put(scan, meta_bytes({"TransformMatrix": numbers(AXES * [1, 1, mirror])})), caplog)
    assert_read(image, place(mirror=mirror))
    judge = sitk.ReadImage(str(scan))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(judge), image.array)
    np.testing.assert_allclose(np.ravel(image.grid.direction), judge.GetDirection(), atol=1e-9)
    assert not words
    assert header_grid(scan) == image.grid


@pytest.mark.parametrize("name", ["Orientation", "Rotation"])
def test_other_names_of_the_axes_are_read(scan, name):
    assert_read(read_image(put(scan, meta_bytes({"TransformMatrix": None, name: WORDS}))))
    assert "differ" in refusal(put(scan, meta_bytes({name: "1 0 0 0 1 0 0 0 1"})))


@pytest.mark.parametrize("name", ["Position", "Origin"])
def test_other_names_of_the_origin_are_read(scan, name):
    assert_read(read_image(put(scan, meta_bytes({"Offset": None, name: "10 -20 30"}))))
    assert "differ" in refusal(put(scan, meta_bytes({name: "1 2 3"})))


@pytest.mark.parametrize("name", ["TransformMatrix", "Offset"])
def test_a_place_that_is_missing_is_told(scan, caplog, name):
    _, words = told(put(scan, meta_bytes({name: None})), caplog)
    assert f"no {name}" in words[0]


def test_letters_of_the_axes_that_itk_writes_are_no_reason_for_a_word(scan, caplog):
    """All ways to lie along the axes of the patient, turned a bit."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            image = sitk.GetImageFromArray(VOXELS)
            axes = (place()[:, :3] / SPACING)[:, order] * signs
            image.SetDirection(axes.ravel())
            sitk.WriteImage(image, str(scan))
            assert told(scan, caplog)[1] == []


@pytest.mark.parametrize("letters", ["RAS", "LAI", "ARI"])
def test_letters_that_are_not_those_of_the_axes_are_told(scan, caplog, letters):
    image, words = told(put(scan, meta_bytes({"AnatomicalOrientation": letters})), caplog)
    assert_read(image)
    assert f"AnatomicalOrientation = {letters}" in words[0]
    assert told(put(scan, meta_bytes({"AnatomicalOrientation": "RAI"})), caplog)[1] == []
    assert told(put(scan, meta_bytes({"AnatomicalOrientation": "???"})), caplog)[1] == []


@pytest.mark.parametrize("name", ["BinaryDataByteOrderMSB", "CompressedData", "BinaryData"])
def test_what_is_neither_true_nor_false_is_refused(scan, name):
    assert "True or False" in refusal(put(scan, meta_bytes({name: "YES"})))


def test_a_matrix_whose_axes_are_not_of_unit_length_is_refused(scan):
    for scaled in (2 * AXES, AXES * [1, 0.99, 1], AXES * [1, 0, 1], AXES * [1, np.nan, 1]):
        said = refusal(put(scan, meta_bytes({"TransformMatrix": numbers(scaled)})))
        assert "by its TransformMatrix and of 1.5 x 2.5 x 3.5 mm by its ElementSpacing" in said


@pytest.mark.parametrize(("decimals", "off"), [(4, 1e-2), (2, 0.1)])
def test_cosines_rounded_so_that_no_corner_moves_are_made_orthonormal(scan, decimals, off):
    rounded = read_image(put(scan, meta_bytes({"TransformMatrix": numbers(AXES.round(decimals))})))
    assert rounded.grid.close_to(expected_grid(place()), tolerance=off)
    np.testing.assert_allclose(rounded.grid.spacing, (1.5, 2.5, 3.5), rtol=1e-12)


@pytest.mark.parametrize("decimals", [1, 2])
def test_cosines_rounded_to_few_decimals_are_refused_where_corners_move(scan, decimals):
    refusal(put(scan, meta_bytes({"TransformMatrix": numbers(AXES.round(decimals)), "DimSize": "99 1 10"})))


def test_skewed_axes_are_refused(scan):
    leaning = AXES.copy()
    leaning[:, 2] += 0.2 * leaning[:, 1]
    leaning[:, 2] /= np.linalg.norm(leaning[:, 2])
    assert "skewed axes" in refusal(put(scan, meta_bytes({"TransformMatrix": numbers(leaning)})))


@pytest.mark.parametrize("spacing", ["nan 1 1", "1 -2 3", "0 1 1", "1e400 1 1", "1 2", "a b c", None])
def test_spacings_that_are_missing_or_not_positive_are_refused(scan, spacing):
    refusal(put(scan, meta_bytes({"ElementSpacing": spacing})))


def test_the_size_of_voxels_stands_in_for_a_spacing(scan):
    assert_read(read_image(put(scan, meta_bytes({"ElementSpacing": None, "ElementSize": "1.5 2.5 3.5"}))))


@pytest.mark.parametrize(
    "fields",
    [
        {"Offset": "nan 0 0"},
        {"ElementByteOrderMSB": "True"},
        {"Offset": "1 2"},
        {"DistanceUnits": "cm"},
        {"DistanceUnits": "um"},
        {"ElementNumberOfChannels": "0"},
        {"ElementNumberOfChannels": "3"},
        {"HeaderSize": "4"},
        {"HeaderSize": "-2"},
        {"ElementToIntensityFunctionSlope": "2"},
        {"ElementToIntensityFunctionOffset": "-1024"},
        {"ObjectType": "Mesh"},
        {"NDims": None},
        {"NDims": "2"},
        {"DimSize": None},
        {"DimSize": "10 11 -9"},
        {"DimSize": "10 11 20"},
        {"DimSize": "99999999 99999999 99999999"},
        {"ElementType": "MET_NONE"},
        {"ElementType": None},
    ],
)
def test_what_cannot_be_read_rightly_is_refused(scan, fields):
    refusal(put(scan, meta_bytes(fields)))


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"CompressedData": "True", "CompressedDataSize": str(len(zlib.compress(BODY)))}, zlib.compress(BODY)),
        ({"BinaryDataByteOrderMSB": "True"}, VOXELS.astype(">i2").tobytes()),
        ({"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"}, VOXELS.astype(">i2").tobytes()),
        ({"HeaderSize": "-1"}, BODY),
        ({"ElementType": "MET_LONG"}, VOXELS.astype("<i4").tobytes()),
        ({"ElementType": "MET_LONG_LONG"}, VOXELS.astype("<i8").tobytes()),
        ({"ElementNumberOfChannels": "1"}, BODY),
        ({"DistanceUnits": "mm"}, BODY),
        ({"CenterOfRotation": "5 5 5"}, BODY),
    ],
)
def test_every_way_to_store_voxels_is_read_as_itk_reads_it(scan, fields, body):
    image = read_image(put(scan, meta_bytes(fields, body)))
    assert_read(image)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(scan))), image.array)


def test_numbers_written_out_and_packed_ones_without_their_length_are_read(scan):
    """ITK reads neither rightly."""
    text = " ".join(str(n) for n in VOXELS.ravel()).encode()
    assert_read(read_image(put(scan, meta_bytes({"BinaryData": "False"}, text))))
    assert_read(read_image(put(scan, meta_bytes({"CompressedData": "True"}, zlib.compress(BODY)))))


@pytest.mark.parametrize(
    ("packed", "body"), [(False, BODY[:-1]), (True, zlib.compress(BODY)[:-30]), (True, BODY), (False, b""), (True, b"")]
)
def test_voxels_that_are_cut_short_or_damaged_are_refused(scan, packed, body):
    """ITK itself reads what is missing as whatever memory held."""
    refusal(put(scan, meta_bytes({"CompressedData": str(packed)}, body)))


@pytest.fixture
def slices(tmp_path):
    put(tmp_path / "all.raw", BODY)
    put(tmp_path / "headed.raw", b"head" + BODY)
    put(tmp_path / "all.zraw", zlib.compress(BODY))
    for k, plane in enumerate(VOXELS):
        put(tmp_path / f"plane{k:02d}.raw", plane.tobytes())
    return tmp_path / "scan.mhd"


LISTED = "LIST\n" + "\n".join(f"plane{k:02d}.raw" for k in range(9))


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ("all.raw", {}),
        ("all.zraw", {"CompressedData": "True"}),
        ("headed.raw", {"HeaderSize": "4"}),
        ("headed.raw", {"HeaderSize": "-1"}),
        (LISTED, {}),
        (LISTED.replace("LIST", "LIST 2"), {}),
        ("plane%02d.raw 0 8 1", {}),
    ],
)
def test_detached_voxels_are_read(slices, data, fields):
    assert_read(read_image(put(slices, meta_bytes({**fields, "ElementDataFile": data}, b""))))


@pytest.mark.parametrize(
    "data", ["gone.raw", "LIST", "LIST\nplane00.raw\nplane01.raw", "plane%02d.raw 0 9999999999 1", "."]
)
def test_detached_voxels_that_are_not_there_are_refused(slices, data):
    put(slices, meta_bytes({"ElementDataFile": data}, b""))
    refusal(slices, names=slices.parent)


@pytest.mark.parametrize("fields", [{}, {"CompressedData": "True"}, {"BinaryData": "False"}])
def test_files_that_hold_more_than_their_share_are_refused(slices, fields):
    """Each of two files for all voxels, and each holds all of them: together they would be other voxels."""
    data = {"CompressedData": zlib.compress(BODY), "BinaryData": " ".join(map(str, VOXELS.ravel())).encode()}
    for name in ("one.raw", "two.raw"):
        put(slices.with_name(name), data.get(next(iter(fields), ""), BODY))
    put(slices, meta_bytes({**fields, "ElementDataFile": "LIST\none.raw\ntwo.raw"}, b""))
    assert "more than its share" in refusal(slices)


def test_four_dimensions_with_one_time_point_are_squeezed(scan):
    said = {"NDims": "4", "DimSize": "10 11 9 1", "ElementSpacing": "1.5 2.5 3.5 1", "Offset": "10 -20 30 0"}
    turned = np.eye(4)
    turned[:3, :3] = AXES
    image = read_image(put(scan, meta_bytes({**said, "TransformMatrix": numbers(turned)})))
    assert_read(image)
    assert "4D" in refusal(put(scan, meta_bytes({**said, "DimSize": "10 11 3 3", "TransformMatrix": numbers(turned)})))


def test_a_field_given_twice_is_refused_unless_both_say_the_same(scan):
    sound = meta_bytes()
    assert "ElementSpacing twice" in refusal(put(scan, b"ElementSpacing = 9 9 9\n" + sound))
    (line,) = [one for one in sound.splitlines() if one.startswith(b"DimSize")]
    assert_read(read_image(put(scan, line + b"\n" + sound)))


def test_a_header_whose_voxels_are_gone_is_named_with_them(tmp_path):
    words = refusal(put(tmp_path / "scan.mhd", meta_bytes({"ElementDataFile": "gone.raw"}, body=b"")))
    assert "gone.raw" in words
