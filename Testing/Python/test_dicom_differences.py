"""Slices that lie as one volume and are not: echoes between each other's slices, unlike kernels, unscaled ones."""

from __future__ import annotations

import numpy as np
import pytest

from dicom_cases import a_slice, enhanced, items, place, save, stored, turned, write_slices
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import read_image

AXES = turned()
UNLIKE = [
    ("EchoTime", "10", "80"),
    ("ConvolutionKernel", "B30f", "B70f"),
    ("NominalPercentageOfCardiacPhase", 10, 60),
    ("Modality", "CT", "PT"),
]


@pytest.mark.parametrize(("keyword", "one", "other"), UNLIKE)
def test_volumes_between_each_others_slices_are_refused_and_beyond_each_other_told(
    tmp_path, caplog, keyword, one, other
):
    write_slices(tmp_path / "mixed", stored(), each=lambda k: {keyword: (one, other)[k % 2]})
    with pytest.raises(InputError, match=rf"between each other's slices, they differ in {keyword} \(.*: 5 slices"):
        read_image(tmp_path / "mixed")
    array = stored()
    write_slices(tmp_path / "beyond", array, each=lambda k: {keyword: (one, other)[k // 5]})
    np.testing.assert_array_equal(read_image(tmp_path / "beyond").array, array)
    assert f"its slices differ in {keyword}" in caplog.text


def test_echoes_between_each_others_slices_in_one_file(tmp_path):
    data = enhanced(
        stored(),
        [place(k, AXES) for k in range(10)],
        AXES,
        own=lambda k: {"MREchoSequence": items(EffectiveEchoTime=(4.6, 9.2)[k % 2])},
    )
    with pytest.raises(InputError, match="EffectiveEchoTime"):
        read_image(save(data, tmp_path / "a.dcm"))


def test_times_and_the_third_digit_differ_within_a_volume(tmp_path, caplog):
    array = stored()
    write_slices(
        tmp_path,
        array,
        each=lambda k: {
            "AcquisitionTime": f"1000{k:02d}",
            "TriggerTime": str(300 * (k % 2)),
            "AcquisitionNumber": k % 2 + 1,
            "EchoTime": ("4.6", "4.604")[k % 2],
        },
    )
    np.testing.assert_array_equal(read_image(tmp_path).array, array)
    assert not caplog.text


@pytest.mark.parametrize(
    ("said", "thickness", "told"),
    [("1.25", "1.25", True), ("6", "5", True), ("2.6", "2.5", False), ("0.25", "2.25", False)],
)
def test_slices_at_another_distance_than_the_header_says_are_told(tmp_path, caplog, said, thickness, told):
    """The last is the gap between slices of 2.25 mm, which some scanners write there."""
    write_slices(tmp_path, stored(), SpacingBetweenSlices=said, SliceThickness=thickness)
    assert read_image(tmp_path).grid.spacing[2] == pytest.approx(2.5)
    assert (f"SpacingBetweenSlices says {float(said):.3f} mm" in caplog.text) == told


def test_slices_whose_pixels_are_kept_otherwise_are_told(tmp_path, caplog):
    write_slices(tmp_path, stored(), each=lambda k: {"PixelRepresentation": 0} if k == 4 else {})
    read_image(tmp_path)
    assert "differ in PixelRepresentation (1: 9 slices; 0: 1 slices)" in caplog.text


def test_frames_in_other_units_are_told(tmp_path, caplog):
    positions = [place(k, AXES) for k in range(10)]
    own = [
        {"PixelValueTransformationSequence": items(RescaleSlope="1", RescaleType="HU" if k < 5 else "US")}
        for k in range(10)
    ]
    read_image(save(enhanced(stored(), positions, AXES, own=own.__getitem__), tmp_path / "a.dcm"))
    assert "RescaleType (HU: 5 slices; US: 5 slices)" in caplog.text


def test_slices_of_which_some_are_not_scaled_are_refused(tmp_path):
    array = stored()
    write_slices(tmp_path, array[:9], RescaleSlope="1", RescaleIntercept="-1024")
    save(a_slice(array[9], place(9, AXES), AXES), tmp_path / "last.dcm")
    with pytest.raises(InputError, match=r"10 slices of which 1 do not say .* \(last.dcm has no RescaleSlope\)"):
        read_image(tmp_path)
