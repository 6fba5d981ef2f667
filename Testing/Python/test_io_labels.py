"""Label maps and masks as files round them, with channels, with segments; refusals speak of what was given."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.io.labels import read_label_maps, read_labels, read_mask
from segment_cases import write_segmentation

NAMES = ("liver", "spleen", "tumour")


def save_scaled(path: Path, image: Image, kind: type, array: np.ndarray | None = None) -> Path:
    """Floats saved as whole numbers, which nibabel scales."""
    write_image(path, image)
    affine = nib.load(path).affine
    nifti = nib.Nifti1Image((image.array if array is None else array).astype(float).T, affine)
    nifti.set_data_dtype(kind)
    nib.save(nifti, path)
    return path


def refusal(path: Path, reader=read_labels) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


# Whole but for rounding


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.int8])
@pytest.mark.parametrize("largest", [3, 7, 90])
def test_labels_that_a_file_scales_are_whole(tmp_path, a_label_map, kind, largest):
    array = np.random.default_rng(2).integers(0, largest + 1, a_label_map.array.shape)
    path = save_scaled(tmp_path / "a.nii.gz", a_label_map, kind, array)
    stored = np.asarray(nib.load(path).dataobj)
    assert (stored != np.rint(stored)).any()
    np.testing.assert_array_equal(read_labels(path).array, array)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_floats_near_whole_numbers_are_labels(tmp_path, a_label_map, kind, extension):
    off = np.random.default_rng(3).uniform(-4e-4, 4e-4, a_label_map.array.shape)
    write_image(tmp_path / f"a{extension}", Image((a_label_map.array + off).astype(kind), a_label_map.grid))
    np.testing.assert_array_equal(read_labels(tmp_path / f"a{extension}").array, a_label_map.array)


@pytest.mark.parametrize("off", [0.002, 0.3, 0.5])
def test_floats_further_off_are_not(tmp_path, a_label_map, off):
    array = a_label_map.array.astype(np.float32)
    array[4, 5, 6] += off
    write_image(tmp_path / "a.nii.gz", Image(array, a_label_map.grid))
    assert "no label map: 1 of" in refusal(tmp_path / "a.nii.gz")


def test_an_image_that_a_file_scales_coarsely_is_no_label_map(tmp_path, an_image):
    path = save_scaled(tmp_path / "a.nii.gz", an_image, np.int16, an_image.array * 1000)
    assert "no label map" in refusal(path)


@pytest.mark.parametrize("value", [-7, 70_000, 2**31 - 1, -(2**31)])
def test_negative_and_large_labels_are_kept(tmp_path, a_label_map, value):
    array = a_label_map.array.astype(np.int32)
    array[1, 2, 3] = value
    write_image(tmp_path / "a.nrrd", Image(array, a_label_map.grid))
    assert read_labels(tmp_path / "a.nrrd").array[1, 2, 3] == value


# Masks


def test_a_mask_with_infinite_voxels_is_refused(tmp_path, a_label_map, recwarn):
    array = (a_label_map.array > 0).astype(np.float32)
    array[1, 2, 3] = np.inf
    write_image(tmp_path / "a.nrrd", Image(array, a_label_map.grid))
    assert "no mask: 1 voxels are infinite" in refusal(tmp_path / "a.nrrd", read_mask)
    assert not recwarn.list


def test_masks_are_whole_within_the_scaling(tmp_path, a_label_map, caplog):
    """0 must not come back as a little more than 0, and be inside."""
    inside = a_label_map.array > 1
    for kind in (np.int16, np.uint8):
        path = save_scaled(tmp_path / "a.nii.gz", a_label_map, kind, inside)
        np.testing.assert_array_equal(read_mask(path).array, inside)
    array = np.where(inside, 0.99999999977, 1e-9)
    write_image(tmp_path / "b.nii.gz", Image(array, a_label_map.grid))
    np.testing.assert_array_equal(read_mask(tmp_path / "b.nii.gz").array, inside)
    assert "mask" not in caplog.text


@pytest.mark.parametrize("kind", [None, np.int16, np.uint8])
def test_probabilities_are_a_mask_above_zero_and_it_is_said(tmp_path, a_label_map, caplog, kind):
    chance = np.where(a_label_map.array > 1, np.random.default_rng(1).uniform(0.02, 1, a_label_map.array.shape), 0)
    path = tmp_path / "a.nii.gz"
    if kind is None:
        write_image(path, Image(chance.astype(np.float32), a_label_map.grid))
    else:
        save_scaled(path, a_label_map, kind, chance)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(read_mask(path).array, chance > 0)
    (said,) = caplog.messages
    assert "all above 0 is inside" in said and "label" not in said


def test_masks_with_holes_of_nan_negative_values_or_many_labels(tmp_path, a_label_map, caplog):
    array = a_label_map.array.astype(np.float32)
    array[0, :3, 0] = np.nan, -3, 2
    write_image(tmp_path / "a.nii.gz", Image(array, a_label_map.grid))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(read_mask(tmp_path / "a.nii.gz").array, array > 0)
    assert "1 voxels that are NaN" in caplog.text
    assert "values below 0" in caplog.text


def test_refusals_speak_of_what_was_given(tmp_path, an_image):
    planes = np.stack([an_image.array.T] * 2, axis=-1)
    nib.save(nib.Nifti1Image(planes, np.eye(4)), tmp_path / "a.nii.gz")
    assert "image" not in refusal(tmp_path / "a.nii.gz", read_mask)
    (tmp_path / "b.xyz").write_text("nothing of the kind")
    assert "as a mask" in refusal(tmp_path / "b.xyz", read_mask)
    assert "as a label map" in refusal(tmp_path / "b.xyz", read_labels)


# Channels


def save_channels(path: Path, channels: np.ndarray) -> Path:
    """Channels `(C, z, y, x)` as the last axis of NIfTI."""
    nib.save(nib.Nifti1Image(channels.astype(np.uint8).T, np.diag([-2, -3, 1.5, 1])), path)
    return path


def test_one_hot_channels_are_a_label_map(tmp_path, a_label_map, caplog):
    labels = a_label_map.array.copy()
    numbers = np.unique(labels)
    labels = np.searchsorted(numbers, labels)
    channels = np.stack([labels == k for k in range(len(numbers))])
    with_background = read_labels(save_channels(tmp_path / "a.nii.gz", channels))
    without = read_labels(save_channels(tmp_path / "b.nii.gz", channels[1:]))
    np.testing.assert_array_equal(with_background.array, labels)
    np.testing.assert_array_equal(without.array, labels)
    assert with_background.grid.spacing == (2, 3, 1.5)
    assert "the first is the background" in caplog.text


def test_more_channels_than_labels_of_8_bits_are_refused_for_that(tmp_path):
    message = refusal(save_channels(tmp_path / "a.nii.gz", np.zeros((255, 8, 9, 10), bool)))
    assert "255 channels, and at most 254" in message


def test_channels_that_overlap_are_refused(tmp_path, a_label_map):
    channels = np.stack([a_label_map.array > 0, a_label_map.array > 1])
    assert "overlap" in refusal(save_channels(tmp_path / "a.nii.gz", channels))


# Segmentations of Slicer


@pytest.fixture
def organs(a_label_map) -> np.ndarray:
    """Three boxes, of which the third lies in the first, `(3, z, y, x)`."""
    layers = np.zeros((3, *a_label_map.array.shape), bool)
    layers[0, 2:12, 3:15, 4:17], layers[1, 13:16, 3:19, 2:22], layers[2, 4:6, 5:9, 6:14] = True, True, True
    return layers


def test_segments_in_one_layer_have_names(tmp_path, a_label_map, organs):
    layer = organs[0] * 5 + organs[1] * 2
    path = write_segmentation(tmp_path / "a.seg.nrrd", a_label_map, layer[None], [("liver", 5, 0), ("spleen", 2, 0)])
    labels = read_labels(path)
    np.testing.assert_array_equal(labels.array, layer)
    assert labels.names == {5: "liver", 2: "spleen"}
    assert labels.grid.close_to(a_label_map.grid)
    np.testing.assert_array_equal(read_mask(path).array, layer > 0)


def test_layers_are_read_by_segment(tmp_path, a_label_map, organs):
    """Both layers use the value 1; segments are then counted from 1."""
    layers = np.stack([organs[0], organs[1]])
    path = write_segmentation(tmp_path / "a.seg.nrrd", a_label_map, layers, [("liver", 1, 0), ("spleen", 1, 1)])
    labels = read_labels(path)
    np.testing.assert_array_equal(labels.array, organs[0] + 2 * organs[1])
    assert labels.names == {1: "liver", 2: "spleen"}
    assert labels.grid.close_to(a_label_map.grid)


def test_values_that_no_segment_names_are_no_structure(tmp_path, a_label_map, organs, caplog):
    layer = organs[0] * 1 + organs[1] * 9
    path = write_segmentation(tmp_path / "a.seg.nrrd", a_label_map, layer[None], [("liver", 1, 0)])
    np.testing.assert_array_equal(read_labels(path).array, organs[0])
    assert f"{organs[1].sum()} voxels have values of no segment" in caplog.text


def test_segments_that_do_not_say_their_layer_have_one_each(tmp_path, a_label_map, organs):
    """So Slicer saved them until version 4.10, and segments overlap freely there."""
    entries = [(name, None, None) for name in NAMES]
    path = write_segmentation(tmp_path / "a.seg.nrrd", a_label_map, organs, entries)
    maps = read_label_maps(path)
    assert [one.names for one in maps] == 3 * [{1: "liver", 2: "spleen", 3: "tumour"}]
    for k, one in enumerate(maps):
        np.testing.assert_array_equal(one.array, (k + 1) * organs[k])
    np.testing.assert_array_equal(read_mask(path).array, organs.any(axis=0))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("liver", None, None)], "does not say in which of its layers"),
        ([("liver", 1, 0), ("spleen", 1, None)], "does not say in which of its layers"),
        ([("liver", 1, 0), ("spleen", 1, 0)], "'liver', 'spleen'"),
        ([("liver", 1, 0), ("spleen", 0, 1)], "('spleen')"),
        ([("liver", "one", 0), ("spleen", 1, 1)], "no number"),
    ],
)
def test_segments_that_cannot_be_told_apart_are_refused(tmp_path, a_label_map, organs, entries, message):
    path = write_segmentation(tmp_path / "a.seg.nrrd", a_label_map, organs[:2], entries)
    assert message in refusal(path)


def test_overlapping_segments_are_a_mask_and_no_label_map(tmp_path, a_label_map, organs):
    layers = np.stack([organs[0], 2 * organs[2]])
    path = write_segmentation(tmp_path / "a.seg.nrrd", a_label_map, layers, [("liver", 1, 0), ("tumour", 2, 1)])
    assert "'liver' and 'tumour'" in refusal(path)
    np.testing.assert_array_equal(read_mask(path).array, organs[0] | organs[2])


def test_a_segmentation_that_contradicts_itself_is_refused(tmp_path, a_label_map, organs):
    path = write_segmentation(tmp_path / "a.seg.nrrd", a_label_map, organs[:1], [("liver", 1, 3)])
    assert "layer that it does not hold" in refusal(path)


def test_a_nrrd_without_segments_is_a_label_map(tmp_path, a_label_map):
    write_image(tmp_path / "a.seg.nrrd", a_label_map)
    labels = read_labels(tmp_path / "a.seg.nrrd")
    np.testing.assert_array_equal(labels.array, a_label_map.array)
    assert labels.names == {}
