"""NRRD headers, ITK as the judge of the sound ones."""

from __future__ import annotations

import bz2
import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from file_cases import VOXELS, assert_read, nrrd_bytes, place, put, refusal, told
from RobustDIRLib.io.displacements import read_displacement
from RobustDIRLib.io.images import header_grid, read_image

BODY = VOXELS.tobytes()

pytestmark = pytest.mark.filterwarnings("error")  # NumPy's own words are noise to a user


@pytest.fixture
def scan(tmp_path):
    return tmp_path / "scan.nrrd"


def as_words(matrix: np.ndarray) -> dict[str, str | None]:
    vectors = [f"({','.join(repr(float(n)) for n in column)})" for column in matrix.T]
    return {"space directions": " ".join(vectors[:3]), "space origin": vectors[3]}


@pytest.mark.parametrize("space", ["left-posterior-superior", "LPS", "RAS", "right-anterior-superior", "las"])
def test_spaces_of_a_patient_are_turned_into_lps_as_itk_does(scan, caplog, space):
    image, words = told(put(scan, nrrd_bytes({"space": space})), caplog)
    signs = {"l": (1, 1, 1), "r": (-1, -1, 1)}[space[0].lower()] if space != "las" else (1, -1, 1)
    assert_read(image, place() * np.array(signs)[:, None])
    judge = sitk.ReadImage(str(scan))
    np.testing.assert_allclose(np.ravel(image.grid.direction), judge.GetDirection(), atol=1e-9)
    np.testing.assert_allclose(image.grid.origin, judge.GetOrigin(), atol=1e-9)
    assert not words
    assert header_grid(scan) == image.grid


@pytest.mark.parametrize("space", ["scanner-xyz", "3D-left-handed", "right-posterior-superior", "elsewhere"])
def test_other_spaces_are_refused(scan, space):
    assert f"space '{space}'" in refusal(put(scan, nrrd_bytes({"space": space})))


@pytest.mark.parametrize("fields", [{"space": None, "space dimension": "3"}, {"space": "3D-right-handed"}])
def test_a_space_without_a_name_is_taken_as_lps_with_a_word(scan, caplog, fields):
    image, words = told(put(scan, nrrd_bytes(fields)), caplog)
    assert_read(image)
    assert "does not name the space" in words[0]


@pytest.mark.parametrize("unit", ['"m" "m" "m"', '"cm" "cm" "cm"', '"um" "um" "um"', '"mm" "mm" "cm"', "cm cm cm"])
def test_units_other_than_mm_are_refused(scan, unit):
    assert "convert it to mm" in refusal(put(scan, nrrd_bytes({"space units": unit})))
    assert "convert it to mm" in refusal(put(scan, nrrd_bytes({"units": unit})))


@pytest.mark.parametrize("unit", ['"mm" "mm" "mm"', '"" "" ""', '"Millimeter" "mm" "mm"'])
def test_mm_in_any_words_is_read(scan, unit):
    assert_read(read_image(put(scan, nrrd_bytes({"space units": unit}))))


def test_spacings_beside_directions_agree_or_are_refused(scan):
    """The format has either of them; programs go by one or by the other."""
    assert_read(read_image(put(scan, nrrd_bytes({"spacings": "1.5 2.5 3.5"}))))
    assert_read(read_image(put(scan, nrrd_bytes({"spacings": "nan nan nan"}))))
    assert "of 3 x 5 x 7 mm by its spacings" in refusal(put(scan, nrrd_bytes({"spacings": "3 5 7"})))


@pytest.mark.parametrize("name", ["old min", "oldmax"])
def test_voxels_that_were_quantized_from_another_range_are_told(scan, caplog, name):
    image, words = told(put(scan, nrrd_bytes({name: "-3.5"})), caplog)
    assert_read(image)
    assert f"quantized ({name})" in words[0]
    assert told(put(scan, nrrd_bytes({name: "nan"})), caplog)[1] == []


PLAIN: dict[str, str | None] = {"space": None, "space directions": None, "space origin": None}


def test_spacings_alone_are_read_with_a_word(scan, caplog):
    image, words = told(put(scan, nrrd_bytes({**PLAIN, "spacings": "1.5 2.5 3.5"})), caplog)
    assert_read(image, np.column_stack([np.diag([1.5, 2.5, 3.5]), np.zeros(3)]))
    assert "how the patient lies" in words[0]


@pytest.mark.parametrize("spacings", ["1 nan 3", "1 -2 3", "0 1 1", "inf 1 1"])
def test_spacings_that_are_not_positive_are_refused(scan, spacings):
    assert "not positive" in refusal(put(scan, nrrd_bytes({**PLAIN, "spacings": spacings})))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"spacings": "1 2"},
        {"spacings": "a b c"},
        {"spacings": "1 2 3", "units": '"cm" "cm" "cm"'},
        {"spacings": "1 2 3", "axis mins": "0 0 0", "axis maxs": "10 22 27"},
    ],
)
def test_voxel_sizes_that_are_missing_or_read_in_two_ways_are_refused(scan, fields):
    refusal(put(scan, nrrd_bytes({**PLAIN, **fields})))


@pytest.mark.parametrize(
    "directions",
    ["(1,0,0) (0,1,0) none", "(1,0,0) (0,1,0) (0,0,0)", "(1,0,0) (0,1,0) (nan,nan,nan)", "(1,0) (0,1) (1,1)"],
)
def test_directions_that_are_no_three_axes_are_refused(scan, directions):
    refusal(put(scan, nrrd_bytes({"space directions": directions})))


@pytest.mark.parametrize("skew", [0.05, 0.3])
def test_skewed_axes_are_refused_and_slightly_skewed_ones_told(scan, caplog, skew):
    leaning = place()
    leaning[:, 2] += skew * leaning[:, 1]
    assert "skewed axes" in refusal(put(scan, nrrd_bytes(as_words(leaning))))
    leaning[:, 2] = place()[:, 2] + 0.003 * place()[:, 1]
    image, words = told(put(scan, nrrd_bytes(as_words(leaning))), caplog)
    assert "slightly skewed" in words[0]
    np.testing.assert_array_equal(image.array, VOXELS)
    direction = np.array(image.grid.direction)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("kinds", ["domain domain domain", "space space space", "none none none", "??? ??? ???"])
def test_kinds_of_axes_in_space_are_read(scan, kinds):
    assert_read(read_image(put(scan, nrrd_bytes({"kinds": kinds}))))


@pytest.mark.parametrize(
    "kinds", ["domain domain time", "domain domain list", "RGB-color domain domain", "domain domain"]
)
def test_other_kinds_of_axes_are_refused(scan, kinds):
    assert "kinds" in refusal(put(scan, nrrd_bytes({"kinds": kinds})))


def vectors(kind: str, **fields: str | None) -> bytes:
    """Vectors of `(x, y, z)` indices, on the fastest axis."""
    array = np.stack(np.indices(VOXELS.shape)[::-1], axis=-1).astype("<f4")
    words = str(as_words(place())["space directions"])
    said = {"dimension": "4", "type": "float", "sizes": "3 10 11 9", "kinds": f"{kind} domain domain domain"}
    return nrrd_bytes({**said, "space directions": f"none {words}", **fields}, array.tobytes())


def test_vectors_are_a_displacement_field_and_no_image(scan):
    field = read_displacement(put(scan, vectors("vector")))
    np.testing.assert_array_equal(field.array[2, 5, 7], [7, 5, 2])
    assert "3 values a voxel" in refusal(scan)


def test_modelling_transforms_and_vectors_in_ras_are_refused(scan):
    assert_key = vectors("vector").replace(b"\n\n", b"\ndisplacement field type:=modeling\n\n", 1)
    assert "from moving to fixed" in refusal(put(scan, assert_key), read_displacement)
    put(scan, vectors("vector").replace(b"\n\n", b"\ndisplacement field type:=resampling\n\n", 1))
    read_displacement(scan)
    assert "space 'RAS'" in refusal(put(scan, vectors("vector", space="RAS")), read_displacement)


@pytest.mark.parametrize("frame", ["(0,1,0) (1,0,0) (0,0,1)", "(-1,0,0) (0,-1,0) (0,0,1)"])
def test_vectors_in_a_frame_of_their_own_are_refused(scan, frame):
    """ITK takes them as LPS; the format says that they are not. Of scalars the frame says nothing."""
    data = vectors("vector").replace(b"\n\n", f"\nmeasurement frame: {frame}\n\n".encode(), 1)
    assert "measurement frame" in refusal(put(scan, data), read_displacement)
    put(scan, data.replace(frame.encode(), b"(1,0,0) (0,1,0) (0,0,1)"))
    np.testing.assert_array_equal(read_displacement(scan).array[2, 5, 7], [7, 5, 2])
    assert_read(read_image(put(scan, nrrd_bytes({"measurement frame": frame}))))


def test_colours_are_no_displacement_field(tmp_path):
    colours = sitk.GetImageFromArray(np.zeros((9, 11, 10, 3), np.uint8), isVector=True)
    for name in ("a.nrrd", "a.mha", "a.nii"):
        sitk.WriteImage(colours, str(tmp_path / name))
        refusal(tmp_path / name, read_displacement)


def test_axes_that_are_none_may_be_written_as_nan(scan):
    data = vectors("vector")
    assert data.count(b"none") == 1
    field = read_displacement(put(scan, data.replace(b"none", b"(nan,nan,nan)")))
    np.testing.assert_array_equal(field.array[2, 5, 7], [7, 5, 2])
    refusal(put(scan, nrrd_bytes({"space directions": "(nan,nan,nan) (0,2,0) (0,0,3)"})))


@pytest.mark.parametrize("axis", ["first", "last"])
def test_an_axis_of_one_value_beside_those_in_space_is_squeezed(scan, axis):
    words = as_words(place())["space directions"]
    fields = {"dimension": "4", "sizes": "1 10 11 9", "space directions": f"none {words}"}
    if axis == "last":
        fields = {"dimension": "4", "sizes": "10 11 9 1", "space directions": f"{words} none"}
    assert_read(read_image(put(scan, nrrd_bytes({**fields, "kinds": None}))))


def test_two_time_points_are_refused(scan):
    words = as_words(place())["space directions"]
    fields = {"dimension": "4", "sizes": "10 11 3 3", "space directions": f"{words} none"}
    assert "4D (10 x 11 x 3 x 3)" in refusal(put(scan, nrrd_bytes({**fields, "kinds": "domain domain domain time"})))


TEXT = " ".join(str(n) for n in VOXELS.ravel()).encode()


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"encoding": "gzip"}, gzip.compress(BODY)),
        ({"encoding": "bz2"}, bz2.compress(BODY)),
        ({"encoding": "ascii", "endian": None}, TEXT),
        ({"endian": "big"}, VOXELS.astype(">i2").tobytes()),
        ({"byte skip": "-1"}, b"12345" + BODY),
        ({"byte skip": "5"}, b"12345" + BODY),
        ({"type": "int64"}, VOXELS.astype("<i8").tobytes()),
        ({"type": "double"}, VOXELS.astype("<f8").tobytes()),
    ],
)
def test_every_way_to_store_voxels_is_read(scan, fields, body):
    assert_read(read_image(put(scan, nrrd_bytes(fields, body))))


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, BODY[:-1]),
        ({"encoding": "gzip"}, gzip.compress(BODY)[:-30]),
        ({"encoding": "gzip"}, BODY),
        ({"encoding": "ascii"}, TEXT[:400]),
        ({"encoding": "ascii"}, b"a b c " * 2000),
        ({"encoding": "hex"}, BODY.hex().encode()),
        ({"endian": None}, BODY),
        ({"endian": "middle"}, BODY),
        ({"line skip": "1"}, b"a\n" + BODY),
        ({"byte skip": "-2"}, BODY),
        ({"type": "block"}, BODY),
        ({"type": None}, BODY),
        ({"sizes": "10 11 -9"}, BODY),
        ({"sizes": "10 11 9.5"}, BODY),
        ({"sizes": "99999999 99999999 99999999"}, BODY),
        ({"sizes": "3000 3000 3000", "encoding": "gzip"}, gzip.compress(BODY)),
        ({"dimension": "4"}, BODY),
        ({"sizes": "10 99", "dimension": "2"}, BODY),
    ],
)
def test_what_is_cut_short_damaged_or_not_known_is_refused(scan, fields, body):
    refusal(put(scan, nrrd_bytes(fields, body)))


def test_lines_may_end_as_on_windows_and_keys_may_be_anything(scan):
    assert_read(read_image(put(scan, nrrd_bytes(end="\r\n"))))
    keys = b"\nDICOM:0008,0060:=CT\n# a comment: with a colon\na:=b\na:=c\n\n"
    assert_read(read_image(put(scan, nrrd_bytes().replace(b"\n\n", keys, 1))))


def test_a_field_that_is_given_twice_is_refused(scan):
    twice = nrrd_bytes().replace(b"\n\n", b"\nspace origin: (0,0,0)\n\n", 1)
    assert "twice" in refusal(put(scan, twice))


@pytest.fixture
def slices(tmp_path):
    """One file a slice, and one of all."""
    put(tmp_path / "all.raw", BODY)
    for k, plane in enumerate(VOXELS):
        put(tmp_path / f"plane{k:02d}.raw", plane.tobytes())
    return tmp_path / "scan.nhdr"


LISTED = "LIST\n" + "\n".join(f"plane{k:02d}.raw" for k in range(9))


@pytest.mark.parametrize("data", ["all.raw", LISTED, "plane%02d.raw 0 8 1"])
def test_detached_voxels_are_read(slices, data):
    assert_read(read_image(put(slices, nrrd_bytes({"data file": data}, b""))))


@pytest.mark.parametrize(
    "data",
    [
        "gone.raw",
        ".",
        "scan.nhdr",
        "plane%02d.raw 0 7 1",
        "plane%02d.raw 0 8 0",
        "plane%s.raw a b c",
        "%d.raw 0 9999999999 1",
    ],
)
def test_detached_voxels_that_are_not_there_are_refused(slices, data):
    put(slices, nrrd_bytes({"data file": data}, b""))
    refusal(slices, names=slices.parent)


def test_an_origin_without_directions_is_refused_as_it_would_be_lost(scan):
    words = refusal(put(scan, nrrd_bytes({"space directions": None, "spacings": "1.5 2.5 3.5"})))
    assert "space origin" in words and "space directions" in words
