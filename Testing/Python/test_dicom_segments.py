"""DICOM segmentations made by highdicom: where segments lie, what they are called, whatever their type."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.sr.codedict import codes

from dicom_cases import CONTOURS, ORIGIN, SHAPE, SPACING, an_object, place, save, stored, turned, write_slices
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import read_image
from RobustDIRLib.io.labels import read_labels, read_mask

AXES = turned()
NAMES = ("liver", "spleen", "tumour")


@pytest.fixture
def organs() -> np.ndarray:
    """Three boxes `(3, z, y, x)`; the third lies in the first, and no slice but the middle ones holds any."""
    layers = np.zeros((3, *SHAPE), bool)
    layers[0, 2:6, 1:8, 2:9], layers[1, 7:9, 3:10, 1:5], layers[2, 3:5, 3:5, 4:7] = True, True, True
    return layers


def write_segmentation(folder: Path, organs: np.ndarray, kind: str = "BINARY", **options) -> Path:
    """A SEG of the series in `folder`."""
    if not folder.exists():
        empty = ("PatientBirthDate", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
        tags = {**dict.fromkeys(empty, ""), "PatientName": "A^B", "PatientSex": "F", "FrameOfReferenceUID": "1.2.7"}
        write_slices(folder, stored(), SliceThickness="2.5", **tags)
    sources = sorted((pydicom.dcmread(file) for file in folder.iterdir()), key=lambda d: int(d.InstanceNumber))
    names = NAMES[: organs.shape[0]]
    descriptions = [
        SegmentDescription(
            k + 1, name, codes.SCT.Organ, codes.SCT.Liver, "AUTOMATIC",
            AlgorithmIdentificationSequence("n", codes.DCM.ArtificialIntelligence, "1"),
        )
        for k, name in enumerate(names)
    ]  # fmt: skip
    file = Segmentation(
        sources, np.moveaxis(organs, 0, -1), kind, descriptions, "1.2.9", 1, hd.UID(), 1, "M", "M", "1", "1", **options
    )
    path = folder.parent / f"{kind}.dcm"
    file.save_as(path)
    return path


def assert_lies_where_the_series_does(labels, organs) -> None:
    """Every voxel of every organ, by its place in mm."""
    for number, inside in enumerate(organs, 1):
        found = np.argwhere(labels.array == number)
        assert len(found) == inside.sum()
        points = labels.grid.points_from_voxels(found)
        expected = np.argwhere(inside)[:, ::-1] * SPACING @ AXES.T + ORIGIN
        np.testing.assert_allclose(points, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("omit", [True, False])
def test_segments_lie_where_the_series_does_and_have_names(tmp_path, organs, kind, omit):
    """Whether empty slices are left out of the file or not, also those between two organs."""
    masks = organs[:2].astype(np.float32 if kind == "FRACTIONAL" else np.uint8)
    path = write_segmentation(tmp_path / "ct", masks, kind, omit_empty_frames=omit)
    labels = read_labels(path)
    assert labels.names == {1: "liver", 2: "spleen"}
    assert_lies_where_the_series_does(labels, organs[:2])


def test_fractions_of_a_half_and_more_are_inside(tmp_path, organs, caplog):
    chance = np.random.default_rng(4).uniform(0, 1, organs[:1].shape) * organs[:1]
    labels = read_labels(write_segmentation(tmp_path / "ct", chance.astype(np.float32), "FRACTIONAL"))
    assert (labels.array > 0).sum() == pytest.approx((chance >= 0.5).sum(), abs=3)
    assert "at least half" in caplog.text


def test_overlapping_segments_are_a_mask_and_no_label_map(tmp_path, organs):
    path = write_segmentation(tmp_path / "ct", organs)
    with pytest.raises(InputError, match="'liver' and 'tumour'"):
        read_labels(path)
    mask = read_mask(path)
    assert mask.array.sum() == (organs[0] | organs[1]).sum()


def test_segments_without_a_description_are_kept_and_others_at_their_place_refused(tmp_path, organs):
    """Frames in disorder; what no description names, and what lies twice at one place."""
    path = write_segmentation(tmp_path / "ct", organs[:2], omit_empty_frames=True)
    file = pydicom.dcmread(path)
    del file.SegmentSequence[1]
    frames = list(file.PerFrameFunctionalGroupsSequence)
    order = np.random.default_rng(2).permutation(len(frames))
    pixels = file.pixel_array[order]
    file.PerFrameFunctionalGroupsSequence = [frames[k] for k in order]
    file.PixelData = pydicom.pixels.pack_bits(pixels)
    file.save_as(path)
    labels = read_labels(path)
    assert labels.names == {1: "liver", 2: "Segment 2"}
    assert_lies_where_the_series_does(labels, organs[:2])
    assert read_mask(path).array.sum() == organs[:2].sum()
    one, other = (next(k for k, f in enumerate(order) if f == g) for g in (0, 1))
    groups = file.PerFrameFunctionalGroupsSequence
    groups[other].PlanePositionSequence = groups[one].PlanePositionSequence
    groups[other].SegmentIdentificationSequence = groups[one].SegmentIdentificationSequence
    file.save_as(path)
    with pytest.raises(InputError, match="1 frames at the place of another one of the same segment"):
        read_labels(path)


def test_a_label_map_of_segments_keeps_numbers_that_nobody_describes(tmp_path, organs):
    path = write_segmentation(tmp_path / "ct", organs[:2], "LABELMAP")
    file = pydicom.dcmread(path)
    del file.SegmentSequence[-1]
    file.PixelPaddingValue = 1
    file.save_as(path)
    labels = read_labels(path)
    assert labels.names == {2: "Segment 2"}  # what is padding is background
    assert (labels.array > 0).sum() == organs[1].sum()


def test_a_folder_with_one_segmentation_beside_its_series(tmp_path, organs):
    path = write_segmentation(tmp_path / "ct", organs[:2])
    path.rename(tmp_path / "ct" / "seg.dcm")
    assert_lies_where_the_series_does(read_labels(tmp_path / "ct"), organs[:2])
    np.testing.assert_array_equal(read_image(tmp_path / "ct").array, stored())
    (tmp_path / "ct" / "again.dcm").write_bytes((tmp_path / "ct" / "seg.dcm").read_bytes())
    with pytest.raises(InputError, match="2 DICOM segmentations"):
        read_labels(tmp_path / "ct")


def test_a_segmentation_is_no_image_and_contours_are_no_labels(tmp_path, organs):
    path = write_segmentation(tmp_path / "ct", organs[:1])
    with pytest.raises(InputError, match="segmentation; give it as labels"):
        read_image(path)
    contours = save(an_object(CONTOURS, "RTSTRUCT"), tmp_path / "rt" / "rs.dcm")
    for given in (contours, contours.parent):
        for reader in (read_labels, read_mask):
            with pytest.raises(InputError, match=r"RTSTRUCT.*3D Slicer"):
                reader(given)


def test_segments_of_one_number_are_refused(tmp_path, organs):
    path = write_segmentation(tmp_path / "ct", organs[:2])
    file = pydicom.dcmread(path)
    file.SegmentSequence[1].SegmentNumber = 1
    file.save_as(path)
    with pytest.raises(InputError, match="2 segments by 1 numbers"):
        read_labels(path)


@pytest.mark.parametrize(("step", "told"), [("1.25", True), ("2.5", False)])
def test_gaps_between_all_slices_are_told(tmp_path, organs, caplog, step, told):
    path = write_segmentation(tmp_path / "ct", organs[:2])
    file = pydicom.dcmread(path)
    file.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = step
    file.save_as(path)
    assert_lies_where_the_series_does(read_labels(path), organs[:2])
    assert ("check for gaps" in caplog.text) == told


def test_slices_with_too_many_between_them_are_refused(tmp_path, organs, monkeypatch):
    monkeypatch.setattr("RobustDIRLib.io.payload.available_memory", lambda: 1000)
    with pytest.raises(InputError, match="memory"):
        read_labels(write_segmentation(tmp_path / "ct", organs[:2]))


def test_segments_without_rows_are_damaged(tmp_path, organs):
    path = write_segmentation(tmp_path / "ct", organs[:2])
    file = pydicom.dcmread(path)
    del file.Rows
    file.save_as(path)
    with pytest.raises(InputError, match="damaged"):
        read_labels(path)


def test_a_single_slice_of_segments(tmp_path, organs):
    flat = np.zeros_like(organs[:1])
    flat[0, 4] = organs[0, 4]
    labels = read_labels(write_segmentation(tmp_path / "ct", flat))
    assert labels.grid.shape[0] == 1
    np.testing.assert_allclose(labels.grid.origin, place(4, AXES), atol=1e-3)


def test_slices_that_are_left_out_all_the_way_are_empty(tmp_path, organs):
    """As thin as the file says, and not as far apart as those that are there."""
    organs[0, 3::2] = False
    labels = read_labels(write_segmentation(tmp_path / "ct", organs[:1], omit_empty_frames=True))
    assert labels.grid.spacing == pytest.approx(SPACING, abs=1e-3)
    assert_lies_where_the_series_does(labels, organs[:1])


def test_label_values_in_a_classic_series_are_a_label_map(tmp_path):
    array = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
    write_slices(tmp_path, array)
    np.testing.assert_array_equal(read_labels(tmp_path).array, array)
