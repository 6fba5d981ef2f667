"""DICOM against what its elements say: values by the standard, voxels where positions and orientations put them."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from dicom_cases import (
    CAPTURE,
    CAPTURES,
    CONTOURS,
    DOSE,
    ENHANCED_CT,
    ENHANCED_MR,
    MR,
    NUCLEAR,
    ORIGIN,
    PARAMETERS,
    PET,
    SHAPE,
    SPACING,
    a_slice,
    an_object,
    enhanced,
    items,
    place,
    save,
    set_pixels,
    short,
    stored,
    turned,
    write_slices,
)
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.dicom import read_file, read_series
from RobustDIRLib.io.dicom_headers import asking_pydicom
from RobustDIRLib.io.images import read_image

AXES = turned()


def refusal(path: Path, reader=read_image) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    message = str(caught.value)
    assert str(path) in message or str(path.parent) in message
    assert "\n" not in message
    return message


def assert_grid(grid, axes=AXES, count=SHAPE[0], origin=ORIGIN, step=SPACING[2], atol=1e-3) -> None:
    """Corner voxels lie where position, orientation and spacing put them."""
    assert grid.shape[0] == count
    for z, y, x in ((0, 0, 0), (count - 1, 0, 0), (0, SHAPE[1] - 1, 0), (2, 3, SHAPE[2] - 1)):
        expected = origin + axes @ (np.array([x, y, z]) * (SPACING[0], SPACING[1], step))
        np.testing.assert_allclose(grid.points_from_voxels([z, y, x]), expected, atol=atol)


# Values


def test_a_series_is_read_in_the_order_of_its_positions(tmp_path):
    array = stored()
    image = read_image(write_slices(tmp_path, array))
    np.testing.assert_array_equal(image.array, array)
    assert_grid(image.grid)


def test_positions_against_the_normal_are_turned_round(tmp_path):
    array = stored()
    write_slices(tmp_path, array[::-1], each=lambda k: {"position": place(9 - k, AXES)})
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.array, array)
    assert_grid(image.grid)


def test_every_slice_has_its_own_slope_and_intercept(tmp_path):
    """A first slope of 1 must not make whole numbers of all."""
    array, slopes, intercepts = stored(low=0), [1, *np.linspace(1e-4, 9e-4, 9).round(8)], np.linspace(0, -3, 10)
    write_slices(
        tmp_path,
        array,
        each=lambda k: {"RescaleSlope": str(slopes[k]), "RescaleIntercept": f"{intercepts[k]:.6f}"},
        SOPClassUID=PET,
        Modality="PT",
        Units="BQML",
    )
    expected = array * np.array(slopes)[:, None, None] + intercepts.round(6)[:, None, None]
    np.testing.assert_allclose(read_image(tmp_path).array, expected, rtol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_shown_bright_or_dark_the_values_stay(tmp_path, photometric):
    array = stored(low=0)
    write_slices(tmp_path, array, PhotometricInterpretation=photometric, RescaleIntercept="-1024", RescaleSlope="2")
    np.testing.assert_array_equal(read_image(tmp_path).array, array * 2.0 - 1024)


def test_bits_beyond_those_stored_do_not_count(tmp_path):
    """Twelve bits, in sixteen that hold an overlay above them; unsigned, signed, and shifted up."""
    array = stored(low=-2048, high=2048)
    cases = (
        ("unsigned", (array + 2048).astype(np.uint16) | np.uint16(0xA000), 11, array + 2048),
        ("signed", (array & 0x0FFF).astype(np.int16) | np.int16(0x5000), 11, array),
        ("shifted", ((array + 2048) << 4).astype(np.uint16) | np.uint16(0x0003), 15, array + 2048),
    )
    for name, pixels, high, expected in cases:
        write_slices(tmp_path / name, pixels, BitsStored=12, HighBit=high)
        np.testing.assert_array_equal(read_image(tmp_path / name).array, expected, err_msg=name)


def test_a_modality_table_gives_the_values(tmp_path):
    array = stored(low=0, high=40)
    table = (np.arange(30) ** 2 + 7).astype(np.uint16)
    lut = items(LUTDescriptor=[30, 4, 16], ModalityLUTType="US", LUTData=table.tobytes())
    write_slices(tmp_path, array.astype(np.uint16), ModalityLUTSequence=lut)
    np.testing.assert_array_equal(read_image(tmp_path).array, table[np.clip(array - 4, 0, 29)])


def test_padding_below_the_scan_stays_and_above_it_is_lowered(tmp_path, caplog):
    array = stored(low=0, high=3000)
    for name, padding, expected in (("below", -2000, -2000), ("above", 32000, 0)):
        padded = array.copy()
        padded[:, :2] = padding
        padded[5, 5, 5] = 0
        write_slices(tmp_path / name, padded, PixelPaddingValue=padding, RescaleIntercept="-1024", RescaleSlope="1")
        image = read_image(tmp_path / name)
        np.testing.assert_array_equal(image.array[:, :2], expected - 1024)
        np.testing.assert_array_equal(image.array[:, 2:], padded[:, 2:] - 1024.0)
    assert caplog.text.count("padding outside the scan") == 1


def test_private_scales_of_philips_do_not_touch_values_and_are_told_where_they_change(tmp_path, caplog):
    array = stored(low=0)
    for name, scales in (("one", [0.02] * 10), ("many", np.linspace(0.01, 0.02, 10))):
        for k, plane in enumerate(array):
            data = a_slice(plane, place(k, AXES), AXES, SOPClassUID=MR, Modality="MR", RescaleSlope="3.5")
            block = data.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            block.add_new(0x0E, "FL", float(scales[k]))
            save(data, tmp_path / name / f"{k}.dcm")
        with caplog.at_level(logging.WARNING):
            np.testing.assert_allclose(read_image(tmp_path / name).array, array * 3.5)
        assert ("Philips" in caplog.text) == (name == "many")


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_syntaxes(tmp_path, syntax):
    array = stored()
    for k, plane in enumerate(array):
        data = a_slice(plane, place(k, AXES), AXES, RescaleIntercept="-5", RescaleSlope="0.5")
        if syntax == uid.ExplicitVRBigEndian:
            data.PixelData = plane.astype(">i2").tobytes()
        save(data, tmp_path / f"{k}", syntax)
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.array, array * 0.5 - 5)
    assert_grid(image.grid)


@pytest.mark.parametrize(
    ("syntax", "kind"),
    [(uid.RLELossless, np.int16), (uid.RLELossless, np.uint16), (uid.JPEGLSLossless, np.uint16)],
)
def test_compressed_slices_are_not_rescaled_twice_nor_turned_round(tmp_path, syntax, kind):
    """Of a fraction as slope GDCM makes floats, and of MONOCHROME1 it turns pictures round."""
    array = stored(low=-900 if kind is np.int16 else 0).astype(kind)
    for k, plane in enumerate(array):
        tags = {"RescaleIntercept": "-7.5", "RescaleSlope": "0.25", "PhotometricInterpretation": "MONOCHROME1"}
        data = save_compressed(a_slice(plane, place(k, AXES), AXES, **tags), plane, syntax)
        data.save_as(tmp_path / f"{k}", enforce_file_format=True)
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.array, array * 0.25 - 7.5)
    assert_grid(image.grid)


def save_compressed(data, plane, syntax):
    from pydicom.dataset import FileMetaDataset

    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data.compress(syntax, plane, generate_instance_uid=False)
    return data


def test_packed_bytes_hold_the_bits_that_the_header_says(tmp_path):
    """The upper twelve of sixteen, noise below them, as old scanners have it."""
    array = stored(low=-1000, high=2000)
    bits = (array.astype(np.int32) << 4 | np.random.default_rng(2).integers(0, 16, SHAPE)).astype(np.int16)
    for k, plane in enumerate(bits):
        data = a_slice(plane, place(k, AXES), AXES)
        save_compressed(data, plane, uid.RLELossless)
        data.BitsStored, data.HighBit = 12, 15
        data.save_as(tmp_path / f"{k}", enforce_file_format=True)
    np.testing.assert_array_equal(read_image(tmp_path).array, array)


def packed_by_gdcm(path, compressor):
    """A slice of 16 bits."""
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(stored(low=0)[:1].astype(np.uint16)))
    return dcmread(path)


@pytest.mark.parametrize("name", ["JPEG2000", "MR_small_jpeg_ls_lossless", "JPEG"])
@pytest.mark.parametrize("tags", [{"Columns": 32}, {"Rows": 65}, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}])
def test_compressed_pixels_of_another_size_than_the_header_says_are_refused(tmp_path, name, tags, capfd):
    """Some decoders crop them, or scale them down, without a word."""
    from RobustDIRLib.io.dicom_pixels import stored_pixels

    of_pydicom = name.startswith("MR")
    data = dcmread(get_testdata_file(f"{name}.dcm")) if of_pydicom else packed_by_gdcm(tmp_path / "a.dcm", name)
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    data.save_as(tmp_path / "a.dcm")
    assert "contradicts itself: its compressed pixels are " in refusal(tmp_path / "a.dcm", stored_pixels)
    assert not capfd.readouterr().err


def test_more_compressed_frames_than_are_told_of_are_refused(tmp_path):
    from RobustDIRLib.io.dicom_pixels import stored_pixels

    data = packed_by_gdcm(tmp_path / "a.dcm", "JPEG")
    data.PixelData = encapsulate(2 * list(generate_frames(data.PixelData, number_of_frames=1)))
    data.save_as(tmp_path / "a.dcm")
    assert "2 frames and tells of 1" in refusal(tmp_path / "a.dcm", stored_pixels)


@pytest.mark.parametrize("compressor", ["JPEG2000", "JPEG"])
def test_compressed_by_gdcm(tmp_path, compressor):
    array = stored(low=0)
    for k, plane in enumerate(array):
        image = sitk.GetImageFromArray(plane[None].astype(np.uint16))
        tags = {
            "0008|0060": "CT",
            "0020|000d": "1.2",
            "0020|000e": "1.2.3",
            "0008|0018": f"1.2.3.{k + 1}",
            "0020|0032": "\\".join(short(place(k, AXES))),
            "0020|0037": "\\".join(short(AXES[:, :2].T)),
            "0028|0030": f"{SPACING[1]}\\{SPACING[0]}",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(tmp_path / f"{k}.dcm"))
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(image)
    np.testing.assert_array_equal(read_image(tmp_path).array, array)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small",
        "MR_small_RLE",
        "MR_small_bigendian",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
        "MR_small_implicit",
    ],
)
def test_one_picture_in_many_syntaxes_has_the_same_pixels(name):
    from RobustDIRLib.io.dicom_headers import quiet_pydicom
    from RobustDIRLib.io.dicom_pixels import stored_pixels

    with quiet_pydicom():
        found, plain = (stored_pixels(Path(get_testdata_file(f"{n}.dcm"))) for n in (name, "MR_small"))
    np.testing.assert_array_equal(found, plain)
    assert plain.std() > 100


# Places


@pytest.mark.parametrize("x", [0.0, 0.31, -0.52])
@pytest.mark.parametrize("z", [0.17, 0.44])
def test_axes_with_two_decimals_are_no_tilt(tmp_path, caplog, x, z):
    axes, array = turned(x, z), stored()
    image = read_image(write_slices(tmp_path, array, axes, decimals=2))
    np.testing.assert_array_equal(image.array, array)
    assert_grid(image.grid, axes, atol=0.02 * 20)  # two decimals: a hundredth of the slices' extent
    direction = np.array(image.grid.direction)
    np.testing.assert_allclose(direction @ direction.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(direction) == pytest.approx(1)
    np.testing.assert_allclose(image.grid.points_from_voxels([9, 0, 0]), place(9, axes), atol=1e-4)


@pytest.mark.parametrize("decimals", [2, 6])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_tilted_gantry_is_refused(tmp_path, decimals, axis):
    """Slices slide along x or y as they would by a tilt of 5 degrees."""
    slide = SPACING[2] * np.tan(np.radians(5))
    write_slices(
        tmp_path, stored(), each=lambda k: {"position": place(k, AXES) + AXES[:, axis] * slide * k}, decimals=decimals
    )
    assert "tilted gantry" in refusal(tmp_path)


def test_one_slice_beside_the_stack_is_refused(tmp_path):
    write_slices(tmp_path, stored(), each=lambda k: {"position": place(k, AXES) + AXES[:, 0] * (k == 4)})
    assert "sideways by up to 1.000 mm" in refusal(tmp_path)


@pytest.mark.parametrize("scale", [1.3, 0.5])
def test_axes_that_are_not_of_unit_length_are_refused(tmp_path, scale):
    longer = AXES * (scale, 1, 1)
    write_slices(tmp_path, stored(), longer)
    assert "not of unit length" in refusal(tmp_path)


def test_distances_that_drift_are_refused(tmp_path):
    """Each step is within a tenth of the usual one, and the middle a slice off."""
    array = stored(shape=(60, *SHAPE[1:]))
    steps = np.cumsum([0] + [2.4] * 30 + [2.55] * 29)
    write_slices(tmp_path, array, each=lambda k: {"position": place(steps[k], AXES, 1.0)})
    assert "off an even spacing" in refusal(tmp_path)


def test_missing_slices_are_refused_and_said(tmp_path):
    write_slices(tmp_path, stored(), each=lambda k: None if k == 4 else {})
    assert "usually 2.500 mm apart, at 1 places not, as far as 5.000 mm" in refusal(tmp_path)


def test_slices_of_other_size_spacing_or_orientation_are_refused(tmp_path):
    array = stored()
    for name, odd, words in (
        ("size", a_slice(array[3, :8], place(3, AXES), AXES), "different size"),
        ("spacing", a_slice(array[3], place(3, AXES), AXES, PixelSpacing=["0.8", "1.5"]), "different pixel spacing"),
        ("turn", a_slice(array[3], place(3, AXES), turned(0.5)), "different orientation"),
        ("units", a_slice(array[3], place(3, AXES), AXES, Units="GML"), "different units"),
    ):
        write_slices(tmp_path / name, array, each=lambda k: None if k == 3 else {})
        save(odd, tmp_path / name / "odd.dcm")
        assert words in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [("EchoNumbers", ("1", "2")), ("AcquisitionNumber", ("4", "7")), ("TemporalPositionIdentifier", ("1", "2"))],
)
def test_several_volumes_of_one_series_are_told_by_what_differs(tmp_path, keyword, values):
    for k, value in enumerate(values):
        write_slices(tmp_path / value, stored(k), **{keyword: value})
        for file in (tmp_path / value).iterdir():
            shutil.copy(file, tmp_path / f"{value}-{file.name}")
    message = refusal(tmp_path)
    assert f"10 DICOM slices at the place of another one, they differ in {keyword}" in message
    assert f"{values[0]}: 10 slices; {values[1]}: 10 slices" in message or f"{values[1]}: 10 slices; " in message


def test_copies_of_a_slice_are_passed_over_and_others_of_its_identity_refused(tmp_path, caplog):
    array = stored()
    write_slices(tmp_path, array)
    shutil.copy(tmp_path / "95.dcm", tmp_path / "95 (copy).dcm")
    np.testing.assert_array_equal(read_image(tmp_path).array, array)
    assert "1 files are copies" in caplog.text
    import pydicom

    other = pydicom.dcmread(tmp_path / "95.dcm")
    other.PixelData = (array[4] + 1).tobytes()
    other.save_as(tmp_path / "95 (copy).dcm")
    assert "one identity" in refusal(tmp_path)


def test_one_identity_for_all_slices_makes_no_copies_of_them(tmp_path):
    """As some anonymisers leave it; the first and the last slice hold nothing and are alike."""
    array = stored()
    array[0] = array[-1] = 0
    write_slices(tmp_path, array, SOPInstanceUID="1.2.3.4")
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.array, array)
    assert_grid(image.grid)


# Which files


def test_hidden_and_foreign_files_and_objects_without_pixels_are_passed_over(tmp_path):
    array = stored()
    write_slices(tmp_path, array)
    shutil.copy(tmp_path / "95.dcm", tmp_path / "._95.dcm")
    (tmp_path / "._96.dcm").write_bytes(b"\0\5\x16\7" * 30)
    (tmp_path / "DICOMDIR").write_bytes(Path(get_testdata_file("DICOMDIR")).read_bytes())
    (tmp_path / "note.txt").write_text("not DICOM")
    (tmp_path / "thumbnail.jpg").write_bytes(b"\xff\xd8\xff\xe0" * 50)
    (tmp_path / "empty").write_bytes(b"")
    save(an_object(CONTOURS, "RTSTRUCT", SeriesInstanceUID="1.9"), tmp_path / "contours.dcm")
    (tmp_path / "inner").mkdir()
    np.testing.assert_array_equal(read_image(tmp_path).array, array)


@pytest.mark.parametrize("name", ["IM0011", "1.2.840.5"])
@pytest.mark.parametrize("content", [b"", bytes(5000)])
def test_files_of_nothing_that_may_be_slices_are_told(tmp_path, caplog, name, content):
    write_slices(tmp_path, stored())
    (tmp_path / "LOCKFILE").write_bytes(b"1")
    (tmp_path / "note.txt").write_bytes(b"")
    read_image(tmp_path)
    assert not caplog.text
    (tmp_path / name).write_bytes(content)
    read_image(tmp_path)
    assert f"1 files of nothing or of zeros, such as {name}" in caplog.text


@pytest.mark.parametrize("end", [150, 170, 190, 210, 300])
def test_a_slice_that_ends_in_its_header_is_refused_not_passed_over(tmp_path, end):
    """Cut in the middle of what says that it is an image."""
    write_slices(tmp_path, stored())
    data = (tmp_path / "90.dcm").read_bytes()
    (tmp_path / "90.dcm").write_bytes(data[:end])
    assert "90.dcm" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no DICOM" * 50, bytes(128) + b"DICM" + b"\xff" * 40])
def test_a_damaged_slice_is_refused_not_passed_over(tmp_path, content):
    """The last of a series would not be missed otherwise."""
    write_slices(tmp_path, stored())
    (tmp_path / "90.dcm").write_bytes(content)
    assert "90.dcm" in refusal(tmp_path)


def test_a_slice_cut_short_is_refused(tmp_path):
    write_slices(tmp_path, stored())
    data = (tmp_path / "95.dcm").read_bytes()
    (tmp_path / "95.dcm").write_bytes(data[:-40])
    assert "95.dcm has pixels that cannot be read" in refusal(tmp_path)


def test_names_without_extension_and_files_without_preamble(tmp_path):
    array = stored()
    for k, file in enumerate(sorted(write_slices(tmp_path, array).iterdir())):
        data = file.read_bytes()
        file.unlink()
        (tmp_path / f"IM{k}").write_bytes(data[132:] if k % 2 else data)
    np.testing.assert_array_equal(read_image(tmp_path).array, array)


def test_an_index_or_a_folder_of_folders_leads_on(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(Path(get_testdata_file("DICOMDIR")).read_bytes())
    write_slices(tmp_path / "SER1", stored())
    assert "SER1" in refusal(tmp_path)
    assert "index" in refusal(tmp_path / "DICOMDIR")


def test_other_objects_given_as_an_image_are_refused_by_kind(tmp_path):
    contours = save(an_object(CONTOURS, "RTSTRUCT"), tmp_path / "rs.dcm")
    assert "without pixels" in refusal(contours)
    assert "RTSTRUCT" in refusal(tmp_path)
    mosaic = a_slice(stored()[0], ORIGIN, AXES, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"], Modality="MR")
    save(mosaic, tmp_path / "mosaic" / "a.dcm")
    assert "dcm2niix" in refusal(tmp_path / "mosaic")


def test_secondary_capture_without_geometry_is_refused(tmp_path):
    for k, plane in enumerate(stored()):
        save(set_pixels(an_object(CAPTURE, "OT"), plane), tmp_path / "slices" / f"{k}.dcm")
    assert "picture" in refusal(tmp_path / "slices")
    save(set_pixels(an_object(CAPTURES, "OT", PixelSpacing=["1", "1"]), stored()), tmp_path / "frames.dcm")
    assert "picture" in refusal(tmp_path / "frames.dcm")


def test_colours_are_refused(tmp_path):
    write_slices(tmp_path, stored(low=0).astype(np.uint8), PhotometricInterpretation="PALETTE COLOR")
    assert "colours" in refusal(tmp_path)


def test_classes_of_vendors_are_read_by_their_elements(tmp_path):
    array = stored()
    write_slices(tmp_path, array, SOPClassUID="1.3.46.670589.11.0.0.12.1", RescaleSlope="0.5", RescaleIntercept="3")
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.array, array * 0.5 + 3)
    assert_grid(image.grid)


# Multi-frame


@pytest.mark.parametrize("kind", [ENHANCED_CT, "1.3.12.2.1107.5.99.1"])
def test_frames_lie_where_their_own_groups_say(tmp_path, kind):
    """Frames in no order, each with a slope of its own; an oblique stack."""
    array, order = stored(), np.random.default_rng(3).permutation(10)

    def own(k):
        slope = str(0.5 + order[k])
        return {"PixelValueTransformationSequence": items(RescaleSlope=slope, RescaleIntercept="-3", RescaleType="US")}

    data = enhanced(array[order], [place(k, AXES) for k in order], AXES, kind=kind, own=own)
    image = read_image(save(data, tmp_path / "a.dcm"))
    np.testing.assert_allclose(image.array, array * (0.5 + np.arange(10))[:, None, None] - 3)
    assert_grid(image.grid)
    np.testing.assert_array_equal(read_image(tmp_path).array, image.array)


def test_shared_groups_serve_where_frames_say_nothing(tmp_path):
    array = stored()
    data = enhanced(array, [place(k, AXES) for k in range(10)], AXES)
    shared = data.SharedFunctionalGroupsSequence[0]
    shared.PixelValueTransformationSequence = items(RescaleSlope="2", RescaleIntercept="-1024", RescaleType="HU")
    np.testing.assert_array_equal(read_image(save(data, tmp_path / "a.dcm")).array, array * 2.0 - 1024)


def a_scaled_frame(**tags):
    return {"PixelValueTransformationSequence": items(**tags)}


def test_frames_of_which_some_are_not_scaled_are_refused(tmp_path):
    positions = [place(k, AXES) for k in range(10)]
    own = [a_scaled_frame(RescaleSlope="2", RescaleIntercept="-5") if k else {} for k in range(10)]
    save(enhanced(stored(), positions, AXES, own=own.__getitem__), tmp_path / "a.dcm")
    assert "10 slices of which 1 do not say" in refusal(tmp_path / "a.dcm")


def test_a_frame_may_have_an_intercept_alone(tmp_path):
    positions = [place(k, AXES) for k in range(10)]
    own = [a_scaled_frame(RescaleIntercept=f"{-k}") for k in range(10)]
    image = read_image(save(enhanced(stored(), positions, AXES, own=own.__getitem__), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.array, stored() - np.arange(10.0)[:, None, None])


def test_what_a_frame_says_itself_goes_before_what_is_said_of_all(tmp_path):
    """Some writers repeat the first frame's groups among the shared ones."""
    array = stored()
    data = enhanced(
        array,
        [place(k, AXES) for k in range(10)],
        AXES,
        own=lambda k: {"PixelValueTransformationSequence": items(RescaleSlope=str(1 + k), RescaleIntercept="-5")},
    )
    shared, first = data.SharedFunctionalGroupsSequence[0], data.PerFrameFunctionalGroupsSequence[0]
    for name in ("PixelValueTransformationSequence", "PlanePositionSequence"):
        setattr(shared, name, getattr(first, name))
    image = read_image(save(data, tmp_path / "a.dcm"))
    slopes = np.arange(1, 11)[:, None, None]
    np.testing.assert_allclose(image.array, array * slopes - 5.0, rtol=1e-6)
    np.testing.assert_allclose(image.grid.points_from_voxels((9, 0, 0)), place(9, AXES), atol=1e-4)


def test_time_points_in_one_file_are_refused_and_named(tmp_path):
    array = np.concatenate([stored(1), stored(2)])
    data = enhanced(
        array,
        [place(k % 10, AXES) for k in range(20)],
        AXES,
        kind=ENHANCED_MR,
        modality="MR",
        own=lambda k: {"FrameContentSequence": items(StackID="1", TemporalPositionIndex=1 + k // 10)},
    )
    message = refusal(save(data, tmp_path / "a.dcm"))
    assert "TemporalPositionIndex (1: 10 slices; 2: 10 slices)" in message


def test_gaps_in_a_multi_frame_file_are_refused(tmp_path):
    data = enhanced(stored(), [place(k + (k > 6), AXES) for k in range(10)], AXES)
    assert "slices missing" in refusal(save(data, tmp_path / "a.dcm"))


def test_frames_that_are_not_all_described_are_refused(tmp_path):
    data = enhanced(stored(), [place(k, AXES) for k in range(9)], AXES)
    assert "10 frames and describes 9" in refusal(save(data, tmp_path / "a.dcm"))


def test_a_map_of_parameters_is_read_by_its_own_scale(tmp_path):
    array = stored(low=0)
    data = enhanced(array, [place(k, AXES) for k in range(10)], AXES, kind=PARAMETERS, modality="MR")
    data.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = items(
        RealWorldValueSlope=0.25, RealWorldValueIntercept=-1.5
    )
    np.testing.assert_allclose(read_image(save(data, tmp_path / "a.dcm")).array, array * 0.25 - 1.5)


# Dose and nuclear medicine


def a_dose(array: np.ndarray, offsets, position=ORIGIN, orientation=(1, 0, 0, 0, 1, 0), **tags):
    data = an_object(DOSE, "RTDOSE", DoseUnits="GY", DoseGridScaling="0.0025", GridFrameOffsetVector=short(offsets))
    data.ImagePositionPatient, data.ImageOrientationPatient = short(position), short(orientation)
    data.PixelSpacing = [str(SPACING[1]), str(SPACING[0])]
    return set_pixels(data, array, **tags)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("turned_over", [False, True])
def test_dose_lies_where_its_planes_are(tmp_path, absolute, down, turned_over):
    """Offsets count from the first plane along the normal, or are the patient's z; rows may run backwards."""
    array = stored(low=0).astype(np.uint32) * 1000
    orientation = (1, 0, 0, 0, -1, 0) if turned_over else (1, 0, 0, 0, 1, 0)
    along = -1 if turned_over else 1
    z = 30 + 2.5 * np.arange(10) * (-1 if down else 1)
    offsets = z if absolute else (z - 30) * along
    image = read_image(save(a_dose(array, offsets, orientation=orientation), tmp_path / "a.dcm"))
    for k in (0, 3, 9):
        point = ORIGIN + (4 * 1.5, along * 5 * 0.7, z[k] - 30)
        voxel = np.rint(image.grid.voxels_from_points(point)).astype(int)
        np.testing.assert_allclose(image.grid.points_from_voxels(voxel), point, atol=1e-4)
        assert image.array[tuple(voxel)] == pytest.approx(array[k, 5, 4] * 0.0025, rel=1e-6)


def test_dose_that_contradicts_itself_is_refused(tmp_path):
    array = stored(low=0).astype(np.uint32)
    steps = 2.5 * np.arange(10)
    assert "GridFrameOffsetVector begins with 7" in refusal(save(a_dose(array, steps + 7), tmp_path / "a.dcm"))
    assert "9 places" in refusal(save(a_dose(array, steps[:9]), tmp_path / "b.dcm"))
    assert "irregularly" in refusal(save(a_dose(array, np.where(steps > 12, steps + 1, steps)), tmp_path / "c.dcm"))
    assert "DoseGridScaling" in refusal(save(a_dose(array, steps, DoseGridScaling=None), tmp_path / "d.dcm"))
    assert "DoseGridScaling" in refusal(save(a_dose(array, steps, DoseGridScaling="-0.01"), tmp_path / "e.dcm"))
    oblique = a_dose(array, steps + 30, orientation=AXES[:, :2].T.ravel())
    assert "contradicts itself" in refusal(save(oblique, tmp_path / "e.dcm"))


def test_oblique_dose_is_stacked_along_its_normal(tmp_path):
    array = stored(low=0).astype(np.uint16)
    dose = a_dose(array, 2.5 * np.arange(10), orientation=AXES[:, :2].T.ravel())
    image = read_image(save(dose, tmp_path / "a.dcm"))
    np.testing.assert_allclose(image.array, array * 0.0025, rtol=1e-6)
    assert_grid(image.grid)


def test_dose_of_one_plane_a_file_has_a_scaling_of_its_own_each(tmp_path):
    array = stored(low=0).astype(np.uint16)
    for k, plane in enumerate(array):
        data = a_dose(plane, [0], place(k, np.eye(3)), DoseGridScaling=f"{0.001 * (k + 1):.3f}")
        save(data, tmp_path / f"{k}.dcm")
    np.testing.assert_allclose(read_image(tmp_path).array, array * 0.001 * np.arange(1, 11)[:, None, None], rtol=1e-6)


def a_reconstruction(array, step, kind="RECON TOMO", **tags):
    data = an_object(NUCLEAR, "NM", ImageType=["ORIGINAL", "PRIMARY", kind, "EMISSION"])
    data.DetectorInformationSequence = items(
        ImagePositionPatient=short(ORIGIN), ImageOrientationPatient=short(AXES[:, :2].T)
    )
    data.PixelSpacing = [str(SPACING[1]), str(SPACING[0])]
    data.SpacingBetweenSlices = str(step)
    return set_pixels(data, array, **tags)


@pytest.mark.parametrize("step", [2.5, -2.5])
def test_reconstructed_slices_follow_the_sign_of_their_spacing(tmp_path, step):
    array = stored(low=0)
    image = read_image(save(a_reconstruction(array, step, SliceVector=list(range(1, 11))), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.array, array if step > 0 else array[::-1])
    assert_grid(image.grid, origin=ORIGIN if step > 0 else place(-9, AXES))


def test_projections_and_gates_are_refused(tmp_path):
    array = stored(low=0)
    assert "projections" in refusal(save(a_reconstruction(array, 2.5, "TOMO"), tmp_path / "a.dcm"))
    gates = a_reconstruction(array, 2.5, "RECON GATED TOMO", SliceVector=[1, 2, 3, 4, 5] * 2)
    gates.TimeSlotVector = [1] * 5 + [2] * 5
    assert "TimeSlotVector (1: 5 slices; 2: 5 slices)" in refusal(save(gates, tmp_path / "b.dcm"))


# The wiring


def test_a_slice_of_a_series_leads_to_its_folder(tmp_path):
    write_slices(tmp_path, stored())
    message = refusal(tmp_path / "95.dcm")
    assert "DICOM series by its folder" in message and str(tmp_path) in message


def test_readers_leave_pydicom_as_they_found_it(tmp_path):
    import pydicom

    write_slices(tmp_path, stored())
    before = pydicom.config.settings.reading_validation_mode, pydicom.config.logger.disabled
    read_series(tmp_path)
    with pytest.raises(InputError):
        read_file(tmp_path / "95.dcm")
    assert (pydicom.config.settings.reading_validation_mode, pydicom.config.logger.disabled) == before


def test_nothing_is_printed(tmp_path, capfd, recwarn):
    """Of values that pydicom and GDCM complain about."""
    write_slices(
        tmp_path, stored(), PatientID="x" * 80, PixelAspectRatio=["1", "1"], AccessionNumber="1234567890123456789"
    )
    capfd.readouterr()
    recwarn.clear()
    read_image(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)


def test_several_series_are_listed(tmp_path):
    write_slices(tmp_path, stored())
    for k, plane in enumerate(stored(8)[:8]):
        save(a_slice(plane, place(k, AXES), AXES, SeriesInstanceUID="1.2.9"), tmp_path / f"b{k}.dcm")
    message = refusal(tmp_path)
    assert re.search(r"1\.2\.3 \(CT Chest, 10 slices\)", message)
    assert re.search(r"1\.2\.9 \(CT Chest, 8 slices\)", message)


def test_slices_of_several_people_in_one_series_are_refused(tmp_path):
    """By the name alone, too, which the message keeps to itself."""
    for keyword in ("PatientID", "PatientName", "FrameOfReferenceUID", "StudyInstanceUID"):
        write_slices(tmp_path / keyword, stored(), each=lambda k, keyword=keyword: {keyword: f"1.77{k // 5}"})
        message = refusal(tmp_path / keyword)
        assert f"2 different {keyword}s" in message
        assert "1.77" not in message


def test_stacks_beside_each_other_are_named(tmp_path):
    """Two stacks in one file, the second half a slice on and to the side."""
    data = enhanced(
        np.concatenate([stored(1), stored(2)]),
        [place(k % 10 + 0.4 * (k // 10), AXES) + 40 * AXES[:, 0] * (k // 10) for k in range(20)],
        AXES,
        own=lambda k: {"FrameContentSequence": items(StackID="left" if k < 10 else "right")},
    )
    assert "StackID (left: 10 slices; right: 10 slices)" in refusal(save(data, tmp_path / "a.dcm"))


def test_slices_without_pixels_or_packed_are_refused_with_the_cure(tmp_path):
    write_slices(tmp_path, stored())
    data = (tmp_path / "95.dcm").read_bytes()
    (tmp_path / "95.dcm").write_bytes(data[: data.rindex(b"\xe0\x7f\x10\x00")])
    assert "its pixels are missing" in refusal(tmp_path)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "a.dcm.gz").write_bytes(b"\x1f\x8b")
    assert "unpack" in refusal(tmp_path / "packed")


@pytest.mark.parametrize("data", [b"", b"no image at all"])
def test_a_file_named_as_dicom_that_is_none_is_said_in_our_words(tmp_path, data):
    write_slices(tmp_path, stored(), AXES)
    (tmp_path / "x.dcm").write_bytes(data)
    with pytest.raises(InputError, match="x.dcm is named as DICOM and is none") as caught:
        read_image(tmp_path)
    assert "force" not in str(caught.value)


def test_a_folder_of_volumes_says_to_give_the_file(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"x")
    assert "scan.nii.gz; give the file" in refusal(tmp_path)


@pytest.mark.parametrize("frames", [2**31 - 1, 10_000_000])
@pytest.mark.parametrize("compressed", [False, True])
def test_more_frames_than_a_file_can_hold_are_refused_before_anything_is_built(tmp_path, frames, compressed):
    dose = a_dose(stored(low=0), np.arange(10) * 2.5, NumberOfFrames=frames)
    save(dose, tmp_path / "a.dcm")
    if compressed:
        data = (tmp_path / "a.dcm").read_bytes()
        raw, packed = (b"UI\x14\0" + b"1.2.840.10008.1.2.1\0", b"UI\x14\0" + b"1.2.840.10008.1.2.5\0")
        (tmp_path / "a.dcm").write_bytes(data.replace(raw, packed))
    assert "is cut short" in refusal(tmp_path / "a.dcm")


def test_pixels_of_more_frames_than_are_told_of_are_refused(tmp_path):
    write_slices(tmp_path, stored())
    import pydicom

    data = pydicom.dcmread(tmp_path / "95.dcm")
    data.PixelData = 2 * data.PixelData
    data.save_as(tmp_path / "95.dcm")
    assert "95.dcm holds the pixels of 2 frames of 13 x 11 and tells of 1" in refusal(tmp_path)


def test_compressed_pixels_that_are_said_not_to_be_are_refused(tmp_path):
    import pydicom

    write_slices(tmp_path, stored())
    data = pydicom.dcmread(tmp_path / "95.dcm")
    data.compress(uid.RLELossless)
    data.save_as(tmp_path / "95.dcm")
    packed = (tmp_path / "95.dcm").read_bytes()
    (tmp_path / "95.dcm").write_bytes(packed.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.1\0"))
    assert "says that its pixels are not compressed, and they are" in refusal(tmp_path)


def test_padding_without_its_sign_is_padding_of_signed_pixels(tmp_path, caplog):
    """As scanners write it: 65036 stands for -500, which a slope of -1 would make the largest value."""
    array = stored(low=-400)
    array[:, :2] = -500
    write_slices(tmp_path, array, RescaleSlope="-1", RescaleIntercept="0")
    import pydicom

    for file in tmp_path.iterdir():
        data = pydicom.dcmread(file)
        data.add_new(0x00280120, "US", 65036)
        data.save_as(file)
    image = read_image(tmp_path)
    assert (image.array[:, :2] == -array[:, 2:].max()).all()
    np.testing.assert_array_equal(image.array[:, 2:], -array[:, 2:])


def test_frames_one_after_another_in_time_are_no_volume(tmp_path):
    cine = set_pixels(an_object(CAPTURES, "US"), stored(), FrameTime="33", FrameIncrementPointer=0x00181063)
    cine.ImagePositionPatient, cine.ImageOrientationPatient = short(ORIGIN), short(AXES[:, :2].T)
    cine.PixelSpacing, cine.SpacingBetweenSlices = ["1", "1"], "2.5"
    assert "one after another in time" in refusal(save(cine, tmp_path / "a.dcm"))


def test_a_deflated_file_that_would_fill_memory_is_refused(tmp_path, monkeypatch):
    from RobustDIRLib.io import payload

    data = enhanced(stored(), [place(k, AXES) for k in range(10)], AXES)
    path = save(data, tmp_path / "a.dcm", uid.DeflatedExplicitVRLittleEndian)
    np.testing.assert_array_equal(read_image(path).array, stored())
    data.add_new(0x00110011, "OB", bytes(1 << 22))
    save(data, path, uid.DeflatedExplicitVRLittleEndian)
    monkeypatch.setattr(payload, "available_memory", lambda: 1 << 21)
    assert "of memory to be read" in refusal(path)


def test_the_decimals_of_all_positions_count_not_those_of_the_first(tmp_path):
    """Thin slices with one decimal, the first of them whole by chance."""
    array, upright = stored(), np.eye(3)

    def each(k):
        return {"ImagePositionPatient": ["-10.0", "20.0", f"{30 + 0.33 * k:.1f}"]}

    write_slices(tmp_path, array, upright, each=each)
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.array, array)
    assert image.grid.spacing[2] == pytest.approx(0.33, abs=0.006)


def damaged(path: Path, good: bytes, bad: bytes) -> Path:
    """The file with some of its bytes changed, once."""
    data = path.read_bytes()
    assert data.count(good)
    path.write_bytes(data.replace(good, bad, 1))
    return path


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"\x08\0\x60\0CS", b"\x08\0\x60\0C\xff"),  # Modality, of no known kind
        (b"\x20\0\x13\x91SQ", b"\x20\0\x13\x91S\xff"),  # the sequence of a frame's position
        (b"\x28\0\x10\0US\2\0", b"\x28\0\x10\0US\1\0"),  # Rows in one byte
    ],
)
def test_elements_that_are_damaged_are_refused_wherever_they_are_asked_for(tmp_path, good, bad):
    data = enhanced(stored(), [place(k, AXES) for k in range(10)], AXES)
    refusal(damaged(save(data, tmp_path / "a.dcm"), good, bad))
    refusal(tmp_path)


def test_mistakes_of_our_own_are_not_blamed_on_a_file(tmp_path):
    with pytest.raises(TypeError), asking_pydicom(tmp_path):
        len(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.9", "1.2.840.113619.5.2", "1.2.840.100\\8.1.2.1"])
def test_unknown_syntaxes_and_those_of_vendors_are_refused(tmp_path, syntax):
    """Those of GE, for instance, turn the bytes of pixels round."""
    write_slices(tmp_path, stored())
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", syntax.encode().ljust(20, b"\0")))
    assert "transfer syntax " in (message := refusal(tmp_path))
    assert syntax in message or "\\" in syntax  # of several, as Python lists them
