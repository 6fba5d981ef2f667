"""Results as nodes: every point goes where the files send it, on an oblique, flipped, anisotropic grid."""

from types import SimpleNamespace

import numpy as np
import pytest

from mrml_cases import TOLERANCE_MM, inner_points
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.displacements import DisplacementField, apply_to_points, to_sitk_transform
from RobustDIRLib.values import Image


@pytest.fixture
def take_over(desktop, a_field, an_image, tmp_path):
    """Puts a transform, an inverse and a volume into the scene as a run does; gives the parameters with the nodes."""
    from RobustDIRLib import mrml
    from RobustDIRLib.panel import outputs
    from RobustDIRLib.panelparts import exchange

    volumes = [mrml.volume_to_node(Image(*an_image_parts(an_image)), name) for name in ("fixed", "moving")]

    def take(field, inverse):
        wishes = {output.node: None for output in outputs.OUTPUTS}
        parameters = SimpleNamespace(**wishes)
        buffers, headers = outputs.Buffers(), {}
        given = {outputs.TRANSFORM: swap_lps_ras(field.array), outputs.INVERSE: swap_lps_ras(inverse.array)}
        for name, array in {**given, outputs.WARPED: an_image.array}.items():
            exchange.write(tmp_path / name, array.astype(np.float32), a_field.grid)
            headers[name] = exchange.read_header(tmp_path / name)
            for _ in exchange.read_in_steps(tmp_path / name, headers[name], buffers.allocate(name, headers[name])):
                pass
        outputs.create(parameters, tuple(volumes), buffers, headers)
        return parameters

    return take


def an_image_parts(image):
    return image.array, image.grid


@pytest.fixture
def a_backward_field(a_field):
    """Something else than `a_field`, and than its opposite."""
    return DisplacementField((-0.9 * a_field.array[..., ::-1]).copy(), a_field.grid)


def test_points_go_where_the_files_send_them(take_over, a_field, a_backward_field):
    from RobustDIRLib import mrml

    taken, points = take_over(a_field, a_backward_field), inner_points(a_field.grid)
    for node, field in ((taken.transformNode, a_field), (taken.inverseNode, a_backward_field)):
        expected = apply_to_points(to_sitk_transform(field), points)
        np.testing.assert_allclose(mrml.transform_points(node, points), expected, atol=TOLERANCE_MM)
        assert np.abs(expected - points).max() > 0.5


def test_voxels_lie_where_the_files_have_them(take_over, a_field, a_backward_field, an_image):
    from RobustDIRLib import mrml

    volume = mrml.volume_from_node(take_over(a_field, a_backward_field).warpedNode)
    assert volume.grid.close_to(an_image.grid)
    np.testing.assert_array_equal(volume.array, an_image.array)


def test_the_field_comes_back_out_of_its_node(take_over, a_field, a_backward_field):
    """As the measurement of structures takes it."""
    from RobustDIRLib.panel import inputs

    array, grid = inputs.field_of(take_over(a_field, a_backward_field).transformNode)
    assert grid.close_to(a_field.grid, 1e-6)
    np.testing.assert_allclose(swap_lps_ras(array), a_field.array, atol=1e-6)


def test_a_node_without_a_field_is_a_sentence(desktop, scene):
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.panel import inputs

    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "couch")
    with pytest.raises(InputError, match="“couch” is no grid transform"):
        inputs.field_of(node)


@pytest.mark.parametrize("taken", ["fixed", "moving"])
def test_an_input_chosen_as_output_is_never_overwritten(take_over, a_field, a_backward_field, scene, taken):
    from RobustDIRLib.panel import outputs

    pair = [scene.GetFirstNodeByName(name) for name in ("fixed", "moving")]
    chosen = pair[taken == "moving"]
    image = chosen.GetImageData()
    parameters = take_over(a_field, a_backward_field)
    parameters.warpedNode = chosen
    buffers, header = outputs.Buffers(), SimpleNamespace(grid=a_field.grid, dtype=np.dtype("f4"), components=1)
    header.shape = a_field.grid.shape
    buffers.allocate(outputs.WARPED, header)[...] = 3
    outputs.create(parameters, tuple(pair), buffers, {outputs.WARPED: header})
    assert parameters.warpedNode not in pair
    assert chosen.GetImageData() is image
