"""The report's pictures: squares, marks and lines are where they say they are, and what is lost is left out."""

import io

import numpy as np
import pytest
from PIL import Image as Picture

from RobustDIRLib.evaluation.planes import PLANES, place_in_plane, spacing_along
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image
from RobustDIRLib.report.pair import figures, landmark_figures
from RobustDIRLib.report.pair import picture as picture_file
from RobustDIRLib.report.pair.figures import Scene, agreement_picture, checkerboard, images_picture, transform_picture
from RobustDIRLib.report.pair.landmark_figures import Worst, cumulative, curve_picture, worst_picture


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr(picture_file, "DPI", 40)


@pytest.fixture
def a_scene(an_image, a_field) -> Scene:
    before = Image(an_image.array[::-1].copy(), an_image.grid)
    jacobian = Image(1 + 0.4 * np.sin(an_image.array * 7).astype(np.float32), an_image.grid)
    return Scene(Image(an_image.array * 2, an_image.grid), an_image, before, a_field, jacobian)


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are turned into files."""
    seen = []
    for module in (figures, landmark_figures):
        really = module.as_png
        monkeypatch.setattr(module, "as_png", lambda figure, really=really: (seen.append(figure), really(figure))[1])
    return seen


def without(scene: Scene, *names: str) -> Scene:
    return Scene(**{**scene.__dict__, **dict.fromkeys(names)})


def titles(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_pictures_are_png_of_the_size_they_say(a_scene):
    picture = images_picture(a_scene)
    width, height = Picture.open(io.BytesIO(picture.png)).size
    assert picture.size == (round(width * 96 / 40), round(height * 96 / 40))
    assert picture.size[0] <= figures.WIDTH_INCH * 96 + 1


def test_same_scene_same_bytes(a_scene):
    assert images_picture(a_scene).png == images_picture(a_scene).png


@pytest.mark.parametrize(
    ("lost", "columns"),
    [
        ((), ["fixed", "moving, before", "warped, after"]),
        (("fixed",), ["moving, before", "warped, after"]),
        (("before",), ["fixed", "warped, after"]),
        (("fixed", "before"), ["warped, after"]),
    ],
)
def test_lost_images_have_no_column(a_scene, drawn, lost, columns):
    picture = images_picture(without(a_scene, *lost))
    assert titles(drawn[0]) == columns
    assert all(column in picture.alt for column in columns)


@pytest.mark.parametrize(
    ("lost", "columns"),
    [
        ((), ["checkerboard, before", "checkerboard, after", "deformation grid"]),
        (("before",), ["checkerboard, after", "deformation grid"]),
        (("field",), ["checkerboard, before", "checkerboard, after"]),
        (("fixed",), ["deformation grid"]),
    ],
)
def test_agreement_shows_what_is_left(a_scene, drawn, lost, columns):
    agreement_picture(without(a_scene, *lost))
    assert titles(drawn[0]) == columns


@pytest.mark.parametrize(
    ("lost", "columns"),
    [
        ((), ["fixed", "Jacobian determinant", "displacement"]),
        (("fixed", "field"), ["warped", "Jacobian determinant"]),
        (("jacobian",), ["fixed", "displacement"]),
    ],
)
def test_transform_shows_what_is_left(a_scene, drawn, lost, columns):
    transform_picture(without(a_scene, *lost))
    assert titles(drawn[0]) == columns


def test_nothing_left_is_no_picture(a_scene):
    assert agreement_picture(without(a_scene, "fixed", "field")) is None
    assert transform_picture(without(a_scene, "jacobian", "field")) is None


def test_folds_are_hatched_and_nothing_else_is(a_scene, drawn):
    determinant = a_scene.jacobian.array.copy()
    transform_picture(a_scene)
    z, y, x = a_scene.centre
    determinant[:] = np.where(np.arange(determinant.size).reshape(determinant.shape) % 97 == 0, -0.1, determinant)
    transform_picture(Scene(**{**a_scene.__dict__, "jacobian": Image(determinant, a_scene.grid)}))
    hatched = [[c for ax in f.axes for c in ax.collections if any(getattr(c, "hatches", []))] for f in drawn]
    assert not hatched[0]
    assert hatched[1]


def test_a_constant_determinant_can_be_drawn(a_scene):
    flat = Image(np.ones(a_scene.grid.shape, np.float32), a_scene.grid)
    still = DisplacementField(np.zeros((*a_scene.grid.shape, 3), np.float32), a_scene.grid)
    transform_picture(Scene(a_scene.warped, a_scene.fixed, a_scene.before, still, flat))


def test_a_determinant_that_folds_everywhere_can_be_drawn(a_scene):
    flat = Image(np.full(a_scene.grid.shape, -1, np.float32), a_scene.grid)
    transform_picture(Scene(**{**a_scene.__dict__, "jacobian": flat}))


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_squares_are_as_high_as_wide_in_millimetres_and_both_images_show(plane):
    grid = Grid((40, 90, 60), (1.5, 0.8, 3.0))
    shape = [n for n, axis in zip(grid.shape, range(3), strict=True) if axis != plane.fixed_axis]
    board = checkerboard(np.zeros(shape), np.ones(shape), plane, grid)
    assert board[0, 0] == 0
    spacing = spacing_along(grid)
    sides = []
    for line, axis in ((board[:, 0], plane.row_axis), (board[0], plane.column_axis)):
        first_change = int(np.flatnonzero(np.diff(line))[0]) + 1
        sides.append(first_change * spacing[axis])
    assert abs(sides[0] - sides[1]) <= max(spacing[plane.row_axis], spacing[plane.column_axis])
    assert 0.35 < board.mean() < 0.65


def test_cumulative_counts_what_is_at_most_as_large():
    errors, shares = cumulative([3.0, 1.0, 2.0, 2.0])
    assert errors.tolist() == [0, 1, 2, 2, 3]
    assert shares.tolist() == [0, 25, 50, 75, 100]


def test_curves_differ_without_colour_and_the_limit_is_drawn_where_it_is(drawn):
    rows = [{"before_mm": 9.0 - k, "linear_mm": 5.0 - k / 2, "after_mm": 1.0 + k / 9} for k in range(6)]
    curve_picture(rows, 3.25)
    ax = drawn[0].axes[0]
    assert len({line.get_linestyle() for line in ax.lines[:3]}) == 3
    assert list(ax.lines[3].get_xdata()) == [3.25, 3.25]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Before", "Linear alignment", "After"]


def test_without_a_limit_none_is_drawn(drawn):
    curve_picture([{"before_mm": 2.0, "linear_mm": 1.0, "after_mm": 0.5}], None)
    assert len(drawn[0].axes[0].lines) == 3


def test_marks_lie_at_landmark_and_where_the_transform_leads(an_image, drawn):
    grid = an_image.grid
    fixed, moving, mapped = (grid.points_from_voxels(v) for v in ([4, 9, 11], [7, 8, 12], [8.5, 11, 15]))
    error = float(np.linalg.norm(mapped - moving))
    picture = worst_picture(Worst("apex", error, fixed, moving, mapped), an_image, an_image)
    for row, points in enumerate(([fixed], [moving, mapped])):
        for ax, plane in zip(drawn[0].axes[3 * row : 3 * row + 3], PLANES, strict=True):
            found = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[1::2]]
            np.testing.assert_allclose(found, [place_in_plane(grid, plane, point) for point in points])
            assert {line.get_marker() for line in ax.lines} == ({"+"} if row == 0 else {"+", "x"})
    assert f"{error:.2f} mm" in picture.caption


def test_every_plane_of_the_worst_is_seen_the_right_way_up(an_image, drawn):
    point = an_image.grid.points_from_voxels([8, 9, 11])
    worst_picture(Worst("a", 1.0, point, point, point), an_image, an_image)
    for ax, plane in zip(drawn[0].axes[:3], PLANES, strict=True):
        bottom, top = ax.get_ylim()
        assert (bottom < top) == (plane.row_axis == 0)
