"""The proof that files, SimpleITK, landmarks and `warp` mean the same transform."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.io.displacements import (
    DisplacementField,
    apply_to_points,
    compose_transforms,
    inside_fields,
    read_displacement,
    read_transform,
    sample_transform,
    to_sitk_transform,
    write_displacement,
    write_transform,
)
from RobustDIRLib.io.images import Image, resample, write_image
from RobustDIRLib.warping import sample, warp

FIELD_EXTENSIONS = [".nii.gz", ".nii", ".nrrd", ".mha"]
# Fields in files are float32, and NIfTI keeps the grid in float32: thousandths of a voxel at most.
CLOSE = 1e-4


def interior(array: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """Voxels whose displaced place is still between the outer voxel centres, where borders play no part."""
    places = np.indices(array.shape) + displacement
    ends = np.array(array.shape).reshape(3, 1, 1, 1) - 1
    return ((places >= 0) & (places <= ends)).all(axis=0)


def warped_by_torch(image: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    tensors = [torch.from_numpy(array.copy()) for array in (image, displacement)]
    return warp(tensors[0][None, None], tensors[1][None])[0, 0].numpy()


@pytest.fixture(scope="module")
def an_affine() -> sitk.AffineTransform:
    affine = sitk.AffineTransform(3)
    affine.SetMatrix([1.05, 0.12, -0.03, -0.08, 0.93, 0.05, 0.02, -0.11, 1.02])
    affine.SetCenter((-20.0, 40.0, 25.0))
    affine.SetTranslation((3.0, -2.0, 1.5))
    return affine


# One transform, whoever applies it


@pytest.mark.parametrize("extension", [*FIELD_EXTENSIONS, ".h5"])
def test_simpleitk_with_the_written_field_equals_warp(tmp_path, an_image, a_displacement, a_field, extension):
    path = tmp_path / f"u{extension}"
    if extension == ".h5":
        write_transform(path, to_sitk_transform(a_field))
    else:
        write_displacement(path, a_field)
    by_sitk = resample(an_image, an_image.grid, read_transform(path)).array
    by_torch = warped_by_torch(an_image.array, a_displacement)
    inside = interior(an_image.array, a_displacement)
    assert inside.mean() > 0.7
    assert np.abs(by_torch - an_image.array)[inside].max() > 0.2
    np.testing.assert_allclose(by_sitk[inside], by_torch[inside], atol=CLOSE)


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_plain_simpleitk_reads_the_file_as_lps_mm(tmp_path, a_field, extension):
    """No reader of ours: what any ITK program makes of the file."""
    write_displacement(tmp_path / f"u{extension}", a_field)
    image = sitk.ReadImage(str(tmp_path / f"u{extension}"), sitk.sitkVectorFloat64)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), a_field.array, atol=1e-6)
    for voxel in ((0, 0, 0), (3, 14, 20), (16, 20, 24)):
        place = image.TransformContinuousIndexToPhysicalPoint([float(v) for v in voxel[::-1]])
        np.testing.assert_allclose(place, a_field.grid.points_from_voxels(voxel), atol=1e-4)


def test_plain_simpleitk_reads_the_transform(tmp_path, a_field, some_landmarks):
    write_transform(tmp_path / "t.h5", to_sitk_transform(a_field))
    transform = sitk.ReadTransform(str(tmp_path / "t.h5"))
    moved = np.array([transform.TransformPoint(point) for point in some_landmarks.points.tolist()])
    np.testing.assert_allclose(moved, apply_to_points(to_sitk_transform(a_field), some_landmarks.points), atol=1e-12)
    field = sitk.DisplacementFieldTransform(transform).GetDisplacementField()
    assert field.GetPixelID() == sitk.sitkVectorFloat64


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("voxels", [2.0, -3.0])
def test_displacement_along_one_axis_fetches_from_that_side(tmp_path, an_image, axis, voxels):
    """u = +2 along an axis shows at x what lies at x + 2; each axis and sign apart, through a file."""
    grid = an_image.grid
    displacement = np.zeros((3, *grid.shape), np.float32)
    displacement[axis] = voxels
    write_displacement(tmp_path / "u.nii.gz", DisplacementField(grid.displacement_to_mm(displacement), grid))
    shown = resample(an_image, grid, read_transform(tmp_path / "u.nii.gz")).array
    inside = interior(an_image.array, displacement)
    expected = np.roll(an_image.array, -int(voxels), axis)
    np.testing.assert_allclose(shown[inside], expected[inside], atol=CLOSE)
    np.testing.assert_allclose(warped_by_torch(an_image.array, displacement)[inside], expected[inside], atol=CLOSE)


@pytest.mark.parametrize("component", [0, 1, 2])
def test_one_mm_component_moves_points_along_that_lps_axis(oblique_grid, component):
    array = np.zeros((*oblique_grid.shape, 3))
    array[..., component] = 4.5
    points = oblique_grid.points_from_voxels([[8.0, 10.0, 12.0], [5.5, 4.25, 17.75]])
    moved = apply_to_points(to_sitk_transform(DisplacementField(array, oblique_grid)), points)
    np.testing.assert_allclose(moved - points, 4.5 * np.eye(3)[[component, component]], atol=1e-9)


def test_a_landmark_and_the_voxel_under_it_move_alike(tmp_path, oblique_grid, a_displacement, a_field):
    """A blob put where a fixed landmark leads to in the moving image appears, warped, at the fixed landmark."""
    landmark = oblique_grid.points_from_voxels([[7.3, 9.6, 13.2]])
    write_transform(tmp_path / "t.h5", to_sitk_transform(a_field))
    there = apply_to_points(read_transform(tmp_path / "t.h5"), landmark)
    assert np.linalg.norm(there - landmark) > 0.5
    places = np.moveaxis(np.indices(oblique_grid.shape), 0, -1)
    apart = places - oblique_grid.voxels_from_points(there)
    moving = np.exp(-(apart**2).sum(axis=-1) / (2 * 1.3**2)).astype(np.float32)
    warps = {
        "torch": warped_by_torch(moving, a_displacement),
        "SimpleITK": resample(Image(moving, oblique_grid), oblique_grid, read_transform(tmp_path / "t.h5")).array,
    }
    for warped in warps.values():
        bright = warped > 0.3 * warped.max()  # what the blob alone weighs, free of far tails
        centre = (places[bright] * warped[bright, None]).sum(axis=0) / warped[bright].sum()
        found = oblique_grid.points_from_voxels(centre)
        # A tenth of the smallest voxel side; the displacement itself is several times that.
        assert np.linalg.norm(found - landmark) < 0.25
        assert np.linalg.norm(found - landmark) < 0.2 * np.linalg.norm(there - landmark)


def test_points_between_voxels_move_by_the_linear_interpolation_that_warp_uses(oblique_grid, a_displacement, a_field):
    voxels = np.random.default_rng(9).uniform(1, np.array(oblique_grid.shape) - 2, size=(40, 3))
    moved = apply_to_points(to_sitk_transform(a_field), oblique_grid.points_from_voxels(voxels))
    channels = torch.from_numpy(a_displacement.copy())[None]
    at = torch.from_numpy(voxels.T.astype(np.float32)).reshape(1, 3, 1, 1, -1)
    expected = voxels + sample(channels, at)[0, :, 0, 0].numpy().T
    np.testing.assert_allclose(oblique_grid.voxels_from_points(moved), expected, atol=1e-4)


# There and back


@pytest.mark.parametrize("extension", FIELD_EXTENSIONS)
def test_field_written_and_read_back(tmp_path, a_field, extension):
    write_displacement(tmp_path / f"u{extension}", a_field)
    back = read_displacement(tmp_path / f"u{extension}")
    np.testing.assert_array_equal(back.array, a_field.array)
    assert back.array.dtype == np.float32
    assert back.grid.close_to(a_field.grid, tolerance=1e-5)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"u{extension}"]


def test_field_in_a_transform_file_is_kept_in_double_precision(tmp_path, a_field):
    fine = DisplacementField(a_field.array.astype(np.float64) / 3, a_field.grid)
    write_transform(tmp_path / "u.h5", to_sitk_transform(fine))
    back = read_displacement(tmp_path / "u.h5")
    np.testing.assert_array_equal(back.array, fine.array)
    assert back.grid.close_to(a_field.grid, tolerance=1e-9)


def test_nifti_field_is_ras_displacement_vectors_to_nibabel(tmp_path, a_field):
    write_displacement(tmp_path / "u.nii.gz", a_field)
    judge = nib.load(tmp_path / "u.nii.gz")
    assert judge.shape == (25, 21, 17, 1, 3)
    assert judge.header.get_intent()[0] == "displacement vector"
    z, y, x = 3, 14, 20
    np.testing.assert_allclose(judge.get_fdata()[x, y, z, 0], swap_lps_ras(a_field.array[z, y, x]), atol=1e-6)
    expected = swap_lps_ras(a_field.grid.points_from_voxels([z, y, x]))
    for affine in (judge.get_sform(), judge.get_qform()):
        np.testing.assert_allclose((affine @ [x, y, z, 1])[:3], expected, atol=1e-4)


def test_nifti_vectors_of_itk_are_read_as_lps(tmp_path, a_field):
    """ITK and ANTs write intent 1007 and leave the components in LPS."""
    field = to_sitk_transform(a_field).GetDisplacementField()
    sitk.WriteImage(field, str(tmp_path / "ants.nii.gz"))
    assert int(nib.load(tmp_path / "ants.nii.gz").header["intent_code"]) == 1007
    back = read_displacement(tmp_path / "ants.nii.gz")
    np.testing.assert_allclose(back.array, a_field.array, atol=1e-6)
    assert back.grid.close_to(a_field.grid, tolerance=1e-5)


@pytest.mark.parametrize("name", ["t.h5", "t.tfm"])
def test_linear_transform_written_and_read_back(tmp_path, an_affine, some_landmarks, name):
    write_transform(tmp_path / name, an_affine)
    back = read_transform(tmp_path / name)
    assert isinstance(back, sitk.AffineTransform)
    moved = apply_to_points(an_affine, some_landmarks.points)
    np.testing.assert_allclose(apply_to_points(back, some_landmarks.points), moved, atol=1e-9)


def test_composite_applies_the_field_first_and_keeps_so_in_a_file(tmp_path, an_affine, a_field, some_landmarks):
    """T(x) = A(x + u(x)), worked out by hand."""
    points = some_landmarks.points
    displaced = apply_to_points(to_sitk_transform(a_field), points)
    centre = np.array(an_affine.GetCenter())
    matrix = np.array(an_affine.GetMatrix()).reshape(3, 3)
    expected = (displaced - centre) @ matrix.T + centre + np.array(an_affine.GetTranslation())
    composite = compose_transforms(an_affine, to_sitk_transform(a_field))
    np.testing.assert_allclose(apply_to_points(composite, points), expected, atol=1e-9)
    write_transform(tmp_path / "t.h5", composite)
    back = read_transform(tmp_path / "t.h5")
    assert isinstance(back, sitk.CompositeTransform)
    np.testing.assert_allclose(apply_to_points(back, points), expected, atol=1e-9)
    other_way = compose_transforms(to_sitk_transform(a_field), an_affine)
    assert np.abs(apply_to_points(other_way, points) - expected).max() > 0.5


def test_sampled_transform_is_the_transform_at_every_voxel(an_affine, a_field, other_grid):
    composite = compose_transforms(an_affine, to_sitk_transform(a_field))
    sampled = sample_transform(composite, other_grid)
    voxels = np.moveaxis(np.indices(other_grid.shape), 0, -1).reshape(-1, 3)[::17]
    points = other_grid.points_from_voxels(voxels)
    expected = apply_to_points(composite, points) - points
    np.testing.assert_allclose(sampled.array[tuple(voxels.T)], expected, atol=1e-9)


def test_resampling_through_a_composite_equals_resampling_through_its_samples(an_image, an_affine, a_field):
    composite = compose_transforms(an_affine, to_sitk_transform(a_field))
    whole = resample(an_image, an_image.grid, composite)
    sampled = resample(an_image, an_image.grid, to_sitk_transform(sample_transform(composite, an_image.grid)))
    np.testing.assert_allclose(sampled.array, whole.array, atol=1e-5)


# Outside the grid


def test_points_outside_a_field_stay_and_are_known(oblique_grid, a_field):
    transform = to_sitk_transform(a_field)
    middle = (np.array(oblique_grid.shape) - 1) / 2
    reach = [(axis, sign) for axis in range(3) for sign in (-1, 1)]
    ends = [middle + sign * (middle[axis] + 0.5) * np.eye(3)[axis] for axis, sign in reach]
    within = oblique_grid.points_from_voxels([middle + 0.999 * (end - middle) for end in ends])
    beyond = oblique_grid.points_from_voxels([middle + 1.001 * (end - middle) for end in ends])
    assert inside_fields(transform, within).all()
    assert (np.abs(apply_to_points(transform, within) - within).max(axis=1) > 1e-3).all()
    assert not inside_fields(transform, beyond).any()
    np.testing.assert_array_equal(apply_to_points(transform, beyond), beyond)


def test_points_that_leave_the_grid_on_the_way_are_known(oblique_grid, a_field):
    """In T(x) = field(shift(x)) it is the shifted point that must lie in the field's grid."""
    shift = sitk.TranslationTransform(3, (500.0, 0.0, 0.0))
    point = oblique_grid.points_from_voxels([[8, 10, 12]])
    field = to_sitk_transform(a_field)
    assert not inside_fields(compose_transforms(field, shift), point).any()
    assert inside_fields(compose_transforms(shift, field), point).all()
    nested = compose_transforms(shift, compose_transforms(field, shift.GetInverse()))
    assert inside_fields(nested, point + [500.0, 0, 0]).all()
    assert not inside_fields(nested, point).any()
    assert inside_fields(shift, point).all()


def test_many_points_are_taken_where_each_of_them_is(an_affine, a_field):
    turn = sitk.Euler3DTransform((5.0, -7.0, 11.0), 0.1, -0.2, 0.3, (4.0, -3.0, 2.0))
    parts = [an_affine, turn, sitk.TranslationTransform(3, (1.0, -2.0, 350.0))]
    points = np.random.default_rng(8).normal(0, 150, (40, 3))
    for transform in (
        *parts,
        sitk.CompositeTransform(parts),
        sitk.CompositeTransform([to_sitk_transform(a_field), turn]),
    ):
        expected = [transform.TransformPoint(point) for point in points.tolist()]
        np.testing.assert_allclose(apply_to_points(transform, points), expected, rtol=0, atol=1e-10)


def test_no_points_stay_no_points(a_field):
    assert apply_to_points(to_sitk_transform(a_field), np.empty((0, 3))).shape == (0, 3)
    assert inside_fields(to_sitk_transform(a_field), np.empty((0, 3))).shape == (0,)


# Bad input


def refusal(path: Path, reader=read_displacement) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("extension", [*FIELD_EXTENSIONS, ".h5", ".tfm"])
def test_missing_empty_foreign_and_cut_files_are_refused(tmp_path, a_field, an_affine, extension):
    path = tmp_path / f"u{extension}"
    for reader in (read_displacement, read_transform):
        path.unlink(missing_ok=True)
        assert "does not exist" in refusal(path, reader)
        path.write_bytes(b"")
        assert "0 bytes" in refusal(path, reader)
        path.write_bytes(b"no field at all\n" * 50)
        refusal(path, reader)
        if extension in FIELD_EXTENSIONS:
            write_displacement(path, a_field)
        else:
            write_transform(path, an_affine if extension == ".tfm" else to_sitk_transform(a_field))
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        refusal(path, reader)


def test_composite_and_linear_transforms_are_no_field(tmp_path, a_field, an_affine):
    write_transform(tmp_path / "t.h5", compose_transforms(an_affine, to_sitk_transform(a_field)))
    assert "[DisplacementFieldTransform, AffineTransform]" in refusal(tmp_path / "t.h5")
    write_transform(tmp_path / "a.h5", an_affine)
    assert "[AffineTransform]" in refusal(tmp_path / "a.h5")


def test_scalar_images_are_no_field(tmp_path, an_image):
    for extension in (".nii.gz", ".nrrd", ".mha"):
        write_image(tmp_path / f"a{extension}", an_image)
        refusal(tmp_path / f"a{extension}")


def test_nifti_vectors_of_unknown_frame_are_refused(tmp_path, a_field):
    write_displacement(tmp_path / "u.nii", a_field)
    image = nib.load(tmp_path / "u.nii")
    image.header["intent_code"] = 0
    nib.save(image, tmp_path / "v.nii")
    assert "RAS or LPS" in refusal(tmp_path / "v.nii")


@pytest.mark.parametrize(("name", "words"), [("Mapping", "SPM"), ("NREG_TRANS", "NiftyReg")])
def test_vectors_that_programs_mean_otherwise_are_refused(tmp_path, a_field, name, words):
    """Both have intent 1007, as displacements of ITK have: SPM's are places, and NiftyReg's are in RAS."""
    write_displacement(tmp_path / "u.nii", a_field)
    image = nib.load(tmp_path / "u.nii")
    image.header.set_intent(1007, name=name)
    nib.save(image, tmp_path / "v.nii.gz")
    assert words in refusal(tmp_path / "v.nii.gz")


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("frame", [(1, 1, 1), (-1, -1, 1)])
def test_vectors_that_are_the_places_of_voxels_are_told(tmp_path, a_field, caplog, extension, frame):
    places = a_field.grid.points_from_voxels(np.moveaxis(np.indices(a_field.grid.shape), 0, -1))
    write_displacement(tmp_path / f"u{extension}", DisplacementField(places * frame + a_field.array, a_field.grid))
    read_displacement(tmp_path / f"u{extension}")
    assert "look like positions of voxels" in caplog.text
    caplog.clear()
    large = 0.5 * places - places.mean(axis=(0, 1, 2))  # half as large again, and far away
    write_displacement(tmp_path / f"v{extension}", DisplacementField(large + a_field.array, a_field.grid))
    read_displacement(tmp_path / f"v{extension}")
    assert not caplog.text


@pytest.mark.parametrize("extension", FIELD_EXTENSIONS)
def test_fields_that_are_not_finite_are_refused(tmp_path, a_field, extension):
    broken = a_field.array.copy()
    broken[1, 2, 3, 0] = broken[4, 5, 6, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        write_displacement(tmp_path / f"u{extension}", DisplacementField(broken, a_field.grid))
    assert list(tmp_path.iterdir()) == []
    if extension in (".nii", ".nii.gz"):  # as nibabel keeps NaN where ITK would write 0
        image = nib.Nifti1Image(broken.transpose(2, 1, 0, 3)[:, :, :, None], np.diag([1.0, 2, 3, 1]))
        image.header.set_intent(1006)
        nib.save(image, tmp_path / f"u{extension}")
    else:
        field = sitk.GetImageFromArray(broken, isVector=True)
        sitk.WriteImage(field, str(tmp_path / f"u{extension}"))
    assert "2 displacements" in refusal(tmp_path / f"u{extension}")


def test_two_dimensional_transforms_are_refused(tmp_path):
    sitk.WriteTransform(sitk.TranslationTransform(2, (1, 2)), str(tmp_path / "t.tfm"))
    assert "2D" in refusal(tmp_path / "t.tfm", read_transform)


def test_unknown_extensions_are_not_written(tmp_path, a_field):
    for name in ("u.png", "u.nhdr", "u.h5"):
        with pytest.raises(InputError, match="cannot be written"):
            write_displacement(tmp_path / name, a_field)
    with pytest.raises(InputError, match="cannot be written"):
        write_transform(tmp_path / "t.nii.gz", to_sitk_transform(a_field))
    assert list(tmp_path.iterdir()) == []


def test_field_refuses_a_grid_of_another_shape(a_field, other_grid: Grid):
    with pytest.raises(ValueError, match="does not fill"):
        DisplacementField(a_field.array, other_grid)


# Transforms that no good can come of


def text_of(*parts: tuple[str, str]) -> str:
    """An ITK text file of transforms by class and parameters, not joined by a composite."""
    blocks = [
        f"#Transform {k}\nTransform: {name}\nParameters: {numbers}\nFixedParameters: 0 0 0\n"
        for k, (name, numbers) in enumerate(parts)
    ]
    return "#Insight Transform File V1.0\n" + "".join(blocks)


SHIFT = ("AffineTransform_double_3_3", "1 0 0 0 1 0 0 0 1 5 6 7")


def refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_transform(path)
    assert str(path) in str(caught.value)


def test_several_transforms_that_nothing_joins_are_refused(tmp_path):
    """ITK gives the first and drops the rest."""
    (tmp_path / "two.tfm").write_text(text_of(SHIFT, SHIFT))
    refused(tmp_path / "two.tfm", "holds 2 transforms")
    (tmp_path / "one.tfm").write_text(text_of(SHIFT))
    np.testing.assert_allclose(read_transform(tmp_path / "one.tfm").TransformPoint((1, 1, 1)), (6, 7, 8))
    joined = sitk.CompositeTransform([read_transform(tmp_path / "one.tfm")] * 2)
    sitk.WriteTransform(joined, str(tmp_path / "joined.tfm"))
    np.testing.assert_allclose(read_transform(tmp_path / "joined.tfm").TransformPoint((1, 1, 1)), (11, 13, 15))


@pytest.mark.parametrize("row", range(3))
def test_a_matrix_without_an_inverse_is_refused(tmp_path, row):
    matrix = np.eye(3)
    matrix[row] = 0
    numbers = " ".join(str(n) for n in [*matrix.ravel(), 0, 0, 0])
    (tmp_path / "flat.tfm").write_text(text_of(("AffineTransform_double_3_3", numbers)))
    refused(tmp_path / "flat.tfm", "no inverse")


@pytest.mark.parametrize("joined", [False, True])
def test_a_transform_with_displacements_that_are_not_finite_is_refused(tmp_path, a_field, joined):
    array = a_field.array.copy()
    array[1, 2, 3, 1] = np.nan
    transform = to_sitk_transform(DisplacementField(array, a_field.grid))
    if joined:
        transform = compose_transforms(transform, sitk.TranslationTransform(3, (1, 2, 3)))
    sitk.WriteTransform(transform, str(tmp_path / "nan.h5"))
    refused(tmp_path / "nan.h5", "1 displacements that are NaN")
