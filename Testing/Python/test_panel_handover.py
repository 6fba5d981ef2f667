"""What a registration leaves for the panel: fields that are the transform and its inverse, whole."""

import numpy as np
import pytest
import SimpleITK as sitk

from registration_cases import Standin, grid_about, picture
from RobustDIRLib.evaluation.metrics import field_transform
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.panelparts import exchange, handover
from RobustDIRLib.registration.preprocessing import automatic_spacing
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import RegistrationOptions

CENTRE = np.array([30.0, -20, 10])
FIXED = grid_about(CENTRE, (25, 31, 27), (2.9, 2.4, 3.3), (12, -8, 20), (1, -1, 1))
MOVING = grid_about(CENTRE + [3, -1, -4], (32, 36, 30), (2.6, 3.1, 3.7), (-10, 25, 8), (-1, 1, 1))


@pytest.fixture(scope="module")
def result():
    images = picture(FIXED, lambda p: p - CENTRE), picture(MOVING, lambda p: (p - CENTRE) * 1.02 - [2, 1, 3])
    return register(*images, Standin(), options=RegistrationOptions(alignment="affine", quality="fast"))


@pytest.fixture(scope="module")
def fixed_points():
    # The outer borders of the voxels are half a voxel beyond the first and last centres.
    shares = np.random.default_rng(0).uniform(0, 1, (300, 3))
    return FIXED.points_from_voxels(shares * FIXED.shape - 0.5)


def test_field_is_the_transform_up_to_the_outer_borders(result, fixed_points):
    array, grid = handover.transform_field(result.transform)
    moved = field_transform(array, grid)(fixed_points)
    np.testing.assert_allclose(moved, apply_to_points(result.transform, fixed_points), atol=1e-3)
    assert grid.contains(fixed_points).all()


def test_inverse_field_leads_back(result, fixed_points):
    moved = apply_to_points(result.transform, fixed_points)
    moved = moved[MOVING.contains(moved)]
    array, grid = handover.inverse_field(result.inverse, MOVING)
    found = field_transform(array, grid)(moved)
    assert np.abs(found - apply_to_points(result.inverse, moved)).max() < 0.15  # sampled on voxels of 3 mm
    assert len(moved) > 100


def test_inverse_field_is_no_finer_than_the_network_s(result):
    fine = MOVING.resized((100, 110, 90))
    _, grid = handover.inverse_field(result.inverse, fine)
    assert min(grid.spacing) > 0.95 * automatic_spacing(FIXED) > max(fine.spacing)


def test_files_hold_what_nodes_hold(result, tmp_path):
    handover.write_handover(result, MOVING, tmp_path / "new folder")
    array, grid = exchange.read(tmp_path / "new folder" / handover.TRANSFORM_FIELD)
    own, own_grid = handover.transform_field(result.transform)
    np.testing.assert_allclose(array, swap_lps_ras(own), atol=1e-6)
    assert grid.close_to(own_grid, 1e-9)
    warped, grid = exchange.read(tmp_path / "new folder" / handover.WARPED)
    np.testing.assert_array_equal(warped, result.warped.array)
    assert grid.close_to(FIXED, 1e-9)
    array, grid = exchange.read(tmp_path / "new folder" / handover.INVERSE_FIELD)
    own, own_grid = handover.inverse_field(result.inverse, MOVING)
    np.testing.assert_allclose(array, swap_lps_ras(own), atol=1e-6)
    assert grid.close_to(own_grid, 1e-9)
    assert sitk.ReadImage(str(tmp_path / "new folder" / handover.INVERSE_FIELD)).GetNumberOfComponentsPerPixel() == 3


def test_names_are_those_the_panel_reads():
    from SlicerHeadless import availability

    if reason := availability.why_no_desktop():
        pytest.skip(reason)
    from SlicerHeadless import desktop

    desktop.start()
    from RobustDIRLib.panel import outputs

    names = {output.file for output in outputs.OUTPUTS}
    assert names == {handover.TRANSFORM_FIELD, handover.INVERSE_FIELD, handover.WARPED, handover.JACOBIAN}
