"""The public package: its names, its conversions against nibabel and SimpleITK, and every function on a small input."""

import ast
import doctest
import inspect
import json
import struct
import subprocess
import sys
import typing
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.affines import apply_affine

import robustdir
from finetuning_cases import NETWORK, decathlon
from registration_cases import Standin, grid_about, picture
from robustdir import _images, _registering
from RobustDIRLib.io.displacements import read_displacement, to_sitk_transform
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions

PACKAGE = Path(robustdir.__file__).parent
MIDDLE = np.array([30.0, -20, 10])
GRID = grid_about(MIDDLE, (13, 17, 15), (4.9, 4.4, 5.3), (12, -8, 20), (1, -1, 1))
QUICK = {"alignment": "none", "quality": "fast", "device": "cpu"}
MINUS = np.diag([-1.0, -1, 1, 1])  # LPS to RAS


@pytest.fixture(scope="module")
def image():
    return picture(GRID, lambda p: p - MIDDLE)


@pytest.fixture(scope="module")
def labels(image):
    return robustdir.LabelMap((image.array > 0.3).astype(np.uint8) + (image.array > 0.6), GRID)


@pytest.fixture(scope="module")
def points():
    voxels = np.random.default_rng(5).uniform(3, 9, (7, 3))
    return robustdir.Landmarks(GRID.points_from_voxels(voxels))


@pytest.fixture(scope="module")
def result(image, labels, points):
    return robustdir.register(
        image, image, Standin(), fixed_landmarks=points, moving_landmarks=points, moving_labels=labels, **QUICK
    )


class TestNames:
    def test_import_loads_neither_torch_nor_numpy(self):
        code = (
            "import sys, robustdir; print(sorted(set(sys.modules) & {'torch', 'numpy', 'SimpleITK'}), dir(robustdir))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
        assert done.stdout.strip() == f"[] {sorted(robustdir.__all__)}"

    @pytest.mark.parametrize("name", robustdir.__all__)
    def test_every_name_is_there_and_documented(self, name):
        value = getattr(robustdir, name)
        if inspect.isroutine(value) or inspect.isclass(value):
            assert inspect.getdoc(value)

    def test_type_checkers_are_told_what_is_loaded(self):
        tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
        block = next(node for node in tree.body if isinstance(node, ast.If))
        told = {alias.name: node.module for node in block.body for alias in node.names}
        assert told == {**robustdir._HOME_OF, "metrics": "robustdir"}
        assert sorted([*told, "__version__"]) == sorted(robustdir.__all__)

    def test_a_name_that_is_not_there(self):
        with pytest.raises(AttributeError, match="registre"):
            robustdir.registre  # noqa: B018

    def test_metrics_are_all_there(self):
        assert all(callable(getattr(robustdir.metrics, name)) for name in robustdir.metrics.__all__)

    def test_settings_are_those_of_the_library(self):
        hints = typing.get_type_hints(RegistrationOptions)
        assert typing.get_type_hints(_registering.OptionSettings) == hints
        assert set(_registering.ExtraSettings.__annotations__) == {f.name for f in fields(PairExtras)} | {"fill_nan"}

    @pytest.mark.parametrize("name", ["_images", "_teaching"])
    def test_examples_hold(self, name):
        failed, tried = doctest.testmod(import_module(f"robustdir.{name}"))
        assert tried
        assert not failed

    def test_checked_by_mypy_and_marked_as_typed(self):
        assert (PACKAGE / "py.typed").is_file()


class TestArrays:
    """Odd sides, three spacings, three rotations and a flipped axis; nibabel and SimpleITK say where a voxel lies."""

    @pytest.fixture
    def path(self, an_image, tmp_path):
        path = tmp_path / "image.nii.gz"
        robustdir.write_image(path, an_image)
        return path

    def test_nibabel(self, an_image, path):
        read = nib.load(path)
        for image in (
            robustdir.from_nibabel(read),
            robustdir.from_array(read.get_fdata(), read.affine, frame="RAS", order="xyz"),
            robustdir.from_array(read.get_fdata(), (MINUS @ read.affine)[:3], frame="LPS", order="xyz"),
            robustdir.from_array(read.get_fdata().T, read.affine, frame="RAS", order="zyx"),
        ):
            np.testing.assert_array_equal(image.array, an_image.array)
            assert image.grid.close_to(an_image.grid, 1e-5)

    def test_simpleitk(self, an_image, path):
        read = sitk.ReadImage(str(path))
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(read.GetDirection(), (3, 3)) * read.GetSpacing()
        affine[:3, 3] = read.GetOrigin()
        array = sitk.GetArrayFromImage(read)
        for image in (
            robustdir.from_sitk(read),
            robustdir.from_array(array, affine, frame="LPS", order="zyx"),
            robustdir.from_array(array.T, MINUS @ affine, frame="RAS", order="xyz"),
        ):
            np.testing.assert_array_equal(image.array, an_image.array)
            assert image.grid.close_to(an_image.grid, 1e-5)

    def test_both_libraries_place_each_voxel_where_it_was(self, an_image):
        there, itk = robustdir.to_nibabel(an_image), robustdir.to_sitk(an_image)
        for index in ((0, 0, 0), (24, 0, 0), (0, 20, 0), (0, 0, 16), (3, 11, 7)):
            point = an_image.grid.points_from_voxels(index[::-1])
            np.testing.assert_allclose(itk.TransformIndexToPhysicalPoint(index), point, atol=1e-9)
            np.testing.assert_allclose(apply_affine(there.affine, index), point * [-1, -1, 1], atol=1e-5)
            assert itk[index] == there.dataobj[index] == an_image.array[index[::-1]]
        assert there.header.get_xyzt_units()[0] == "mm"

    def test_displacements_are_as_their_files(self, a_displacement, oblique_grid, tmp_path):
        field = robustdir.DisplacementField(oblique_grid.displacement_to_mm(a_displacement), oblique_grid)
        nib.save(robustdir.to_nibabel(field), tmp_path / "field.nii.gz")
        sitk.WriteImage(robustdir.to_sitk(field), str(tmp_path / "field.nrrd"))
        for name in ("field.nii.gz", "field.nrrd"):
            read = read_displacement(tmp_path / name)
            np.testing.assert_array_equal(read.array, field.array)
            assert read.grid.close_to(oblique_grid, 1e-5)

    def test_analyze_is_refused_as_its_files_are(self, an_image):
        with pytest.raises(robustdir.InputError, match="which side is left"):
            robustdir.from_nibabel(nib.AnalyzeImage(an_image.array.T.astype(np.float32), np.diag([2.0, 2, 2, 1])))

    def test_masks_and_labels_in_memory_are_read_as_those_of_files(self, a_label_map, tmp_path):
        """nibabel scales floats to whole numbers: whole ones, and 0, come back a little off."""
        affine = robustdir.to_nibabel(a_label_map).affine
        stored = np.where(a_label_map.array > 0, 32767, -32767).astype(np.int16)
        data = bytearray(nib.Nifti1Image(stored.T, affine).to_bytes())
        struct.pack_into("<2f", data, 112, 1 / 65534, 0.5)
        (tmp_path / "mask.nii").write_bytes(data)
        image = nib.Nifti1Image(a_label_map.array.T + 0.0, affine)
        image.set_data_dtype(np.int16)
        nib.save(image, tmp_path / "labels.nii")
        mask, labels = (nib.load(tmp_path / f"{name}.nii") for name in ("mask", "labels"))
        assert np.abs(np.asarray(mask.dataobj)).min() > 0  # what is 0 is not, by rounding alone
        for given in (mask, str(tmp_path / "mask.nii")):
            np.testing.assert_array_equal(_images.as_mask(given, "mask").array, a_label_map.array > 0)
        for given in (labels, str(tmp_path / "labels.nii")):
            np.testing.assert_array_equal(_images.as_label_map(given, "labels").array, a_label_map.array)

    def test_label_maps_of_runs_are_refused_as_simpleitk_would_end_the_process(self):
        with pytest.raises(robustdir.InputError, match="sitk.Cast"):
            robustdir.from_sitk(sitk.Image([9, 9, 9], sitk.sitkLabelUInt8))

    @pytest.mark.parametrize("points", ["x", [[1, 2], [3]], np.ones((2, 3)) * 1j])
    def test_points_that_are_no_real_numbers_are_refused(self, points):
        with pytest.raises(robustdir.InputError, match="`points` is no array of numbers"):
            robustdir.landmarks(points, frame="LPS")

    @pytest.mark.parametrize("read", [robustdir.read_image, robustdir.read_labels, robustdir.read_mask])
    def test_an_empty_name_is_not_the_current_folder(self, read):
        with pytest.raises(robustdir.InputError, match="empty name"):
            read("")

    def test_units_of_nibabel(self, an_image):
        inches = robustdir.to_nibabel(an_image)
        small = nib.Nifti1Image(inches.get_fdata(), np.diag([1e-3, 1e-3, 1e-3, 1]) @ inches.affine)
        small.header.set_xyzt_units("meter")
        assert robustdir.from_nibabel(small).grid.close_to(an_image.grid, 1e-4)

    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_files_of_nibabel_that_are_damaged_are_refused(self, an_image, tmp_path, name):
        nib.save(robustdir.to_nibabel(an_image), tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(robustdir.InputError, match="cannot be read"):
            robustdir.from_nibabel(nib.load(tmp_path / name))
        unknown = robustdir.to_nibabel(an_image)
        unknown.header["xyzt_units"] = 7
        with pytest.raises(robustdir.InputError, match="unknown unit"):
            robustdir.from_nibabel(unknown)

    def test_nibabel_that_is_placed_twice_or_not_at_all_is_told(self, an_image, tmp_path, caplog):
        image = robustdir.to_nibabel(an_image)
        robustdir.from_nibabel(image)
        robustdir.from_nibabel(nib.Nifti1Image(np.asarray(image.dataobj), image.affine))
        assert not caplog.text
        image.set_qform(np.diag([1.3, 0.9, 2.1, 1]), code=1)
        assert robustdir.from_nibabel(image).grid.close_to(an_image.grid, 1e-4)
        assert "mm elsewhere by its qform" in caplog.text
        image.set_sform(None, code=0)
        image.set_qform(None, code=0)
        nib.save(image, tmp_path / "a.nii")
        robustdir.from_nibabel(nib.load(tmp_path / "a.nii"))
        assert "does not say how the patient lies" in caplog.text

    @pytest.mark.parametrize("dtype", [bool, np.float16, np.int64, np.uint8, np.int16, np.float32, np.float64])
    def test_types_survive_nibabel(self, an_image, dtype):
        array = np.round(an_image.array * 3).astype(dtype)
        back = robustdir.from_nibabel(robustdir.to_nibabel(robustdir.Image(array, an_image.grid)))
        np.testing.assert_array_equal(back.array, array)

    def test_a_single_volume_in_four_dimensions(self, an_image):
        image = robustdir.to_nibabel(an_image)
        four = nib.Nifti1Image(np.asarray(image.dataobj)[..., None], image.affine)
        np.testing.assert_array_equal(robustdir.from_nibabel(four).array, an_image.array)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"frame": "ras"}, "`frame`"),
            ({"order": "ijk"}, "`order`"),
            ({"array": np.zeros((3, 4))}, "2D"),
            ({"array": np.zeros((8, 8, 8, 2))}, "4D"),
            ({"array": np.zeros((8, 8, 8), complex)}, "complex"),
            ({"array": np.zeros((0, 8, 8))}, "empty"),
            ({"affine": np.eye(3)}, "`affine`"),
            ({"affine": np.eye(4) + np.eye(4)[::-1]}, "0, 0, 0, 1"),
            ({"affine": np.diag([1.0, 0, 1, 1])}, "spacing"),
            ({"affine": np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])}, "skewed"),
            ({"affine": np.diag([1.0, np.nan, 1, 1])}, "the array"),
            ({"affine": "nonsense"}, "`affine` is no array of numbers"),
            ({"array": [[1, 2], [3]]}, "`array` is no array of numbers"),
            ({"array": np.ma.masked_greater(np.arange(720.0).reshape(8, 9, 10), 700)}, "masked voxels"),
        ],
    )
    def test_refusals_say_what_is_wrong(self, change, words):
        given = {"array": np.ones((8, 9, 10)), "affine": np.eye(4), "frame": "RAS", "order": "xyz"} | change
        array, affine = given.pop("array"), given.pop("affine")
        with pytest.raises(robustdir.InputError, match=words):
            robustdir.from_array(array, affine, **given)

    def test_refusals_of_other_libraries_images(self):
        with pytest.raises(robustdir.InputError, match="2D"):
            robustdir.from_sitk(sitk.Image(8, 8, sitk.sitkInt16))
        with pytest.raises(robustdir.InputError, match="3 values a voxel"):
            robustdir.from_sitk(sitk.Image([8, 8, 8], sitk.sitkVectorFloat32, 3))
        with pytest.raises(robustdir.InputError, match="4D"):
            robustdir.from_nibabel(nib.Nifti1Image(np.zeros((8, 8, 8, 2), np.float32), np.eye(4)))

    def test_landmarks(self):
        there = robustdir.landmarks([[1, 2, 3], [4, -5, 6]], ["a", "b"], frame="RAS")
        np.testing.assert_array_equal(there.points, [[-1, -2, 3], [-4, 5, 6]])
        assert there.names == ("a", "b")
        np.testing.assert_array_equal(robustdir.landmarks(there.points, frame="LPS").points, there.points)
        for given, words in (([1, 2, 3], "shape"), ([[1, np.nan, 3]], "finite")):
            with pytest.raises(robustdir.InputError, match=words):
                robustdir.landmarks(given, frame="RAS")


class TestRegister:
    def test_files_and_images_of_every_kind_give_the_same(self, image, labels, points, result, tmp_path):
        image_file, label_file, point_file = (tmp_path / n for n in ("image.mha", "labels.nrrd", "points.mrk.json"))
        robustdir.write_image(image_file, image)
        robustdir.write_image(label_file, labels)
        robustdir.write_landmarks(point_file, points)
        for kind in (str, robustdir.to_sitk, robustdir.to_nibabel):
            scan, map_ = (image_file, label_file) if kind is str else (image, labels)
            other = robustdir.register(
                kind(scan), scan, Standin(), fixed_landmarks=point_file, moving_landmarks=points,
                moving_labels=kind(map_), **QUICK,
            )  # fmt: skip
            np.testing.assert_allclose(other.displacement.array, result.displacement.array, atol=1e-3)
            np.testing.assert_array_equal(other.warped_labels[0].array, result.warped_labels[0].array)
            ours, theirs = (one.measures.landmarks.summary()["after_mean_mm"] for one in (result, other))
            assert theirs == pytest.approx(ours, abs=1e-3)

    def test_result_goes_to_both_libraries(self, image, result):
        assert result.fixed.grid is image.grid
        there, itk = result.to_nibabel(), result.to_sitk("jacobian")
        np.testing.assert_array_equal(there.get_fdata().T, result.warped.array)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(itk), result.jacobian.array)
        vectors = sitk.Cast(result.to_sitk("displacement"), sitk.sitkVectorFloat64)
        point = image.grid.points_from_voxels((5, 6, 7))
        moved = sitk.DisplacementFieldTransform(vectors).TransformPoint(point.tolist())
        np.testing.assert_allclose(moved, result.transform.TransformPoint(point.tolist()), atol=1e-3)
        assert np.linalg.norm(moved - point) > 1
        with pytest.raises(robustdir.InputError, match="`part`"):
            result.to_sitk("inverse")

    def test_other_images_follow_the_transform(self, image, labels, result, tmp_path):
        np.testing.assert_allclose(result.apply(image).array, result.warped.array, atol=1e-5)
        robustdir.write_image(tmp_path / "labels.nii.gz", labels)
        for given in (labels, tmp_path / "labels.nii.gz"):
            np.testing.assert_array_equal(result.apply(given, nearest=True).array, result.warped_labels[0].array)

    def test_picture(self, result, tmp_path):
        figure = result.plot(tmp_path / "picture.png", title="a pair")
        assert (tmp_path / "picture.png").read_bytes()[:4] == figure._repr_png_()[:4] == b"\x89PNG"
        assert {"fixed", "moving", "warped"} <= {ax.get_title() for ax in figure.axes}
        with pytest.raises(robustdir.InputError, match="picture.doc"):
            result.plot(tmp_path / "picture.doc")

    def test_files_of_a_run(self, result, tmp_path):
        folder = result.save(tmp_path / "run")
        assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["measures"] == result.measures.summary()
        robustdir.save(result, folder, overwrite=True)
        back = robustdir.apply_to_points(robustdir.read_transform(folder / "transform.h5"), MIDDLE)
        np.testing.assert_allclose(back, robustdir.apply_to_points(result.transform, MIDDLE), atol=1e-9)

    def test_nan_outside_is_filled_and_the_caller_keeps_it(self, image):
        holed = image.array.copy()
        holed[:2] = np.nan
        result = robustdir.register(robustdir.Image(holed, GRID), image, Standin(), **QUICK)
        assert any("NaN" in sentence for sentence in result.warnings)
        assert np.isnan(holed[:2]).all()

    def test_shipped_model_on_a_synthetic_pair(self):
        pair = robustdir.synthesize(2, side=32)
        stages = []
        result = robustdir.register(
            pair.fixed, pair.moving, quality="fast", alignment="none", device="cpu",
            progress=lambda stage, seconds=None: stages.append(stage),
        )  # fmt: skip
        assert result.record["model"]["sha256"] == robustdir.load_model().checksum
        assert "network" in stages
        assert "generic" in {entry.name for entry in robustdir.list_models()}

    def test_refusals(self, image, labels):
        with pytest.raises(TypeError, match="presset"):
            robustdir.register(image, image, Standin(), presset="generic")
        with pytest.raises(robustdir.InputError, match="from_array"):
            robustdir.register(image.array, image, Standin())
        with pytest.raises(robustdir.InputError, match="frame"):
            robustdir.register(image, image, Standin(), fixed_landmarks=np.zeros((2, 3)), moving_landmarks=None)
        small = robustdir.Image(image.array[:5], grid_about(MIDDLE, (5, 17, 15), (4, 4, 4), (0, 0, 0)))
        with pytest.raises(robustdir.InputError, match="every side"):
            robustdir.register(small, image, Standin())
        with pytest.raises(robustdir.InputError, match="2 label maps were given for 1"):
            robustdir.register(image, image, Standin(), moving_labels=labels, fixed_labels=[labels, labels])
        with pytest.raises(robustdir.InputError, match="whole numbers"):
            robustdir.register(image, image, Standin(), moving_labels=image)


class TestEvaluate:
    def test_the_truth_is_better_than_nothing(self):
        pair = robustdir.synthesize(3, side=32)
        known = {"fixed_labels": pair.fixed_labels, "moving_labels": pair.moving_labels}
        truth = robustdir.evaluate_pair(pair.fixed, pair.moving, pair.displacement, pair.inverse, **known)
        nothing = robustdir.evaluate_pair(pair.fixed, pair.moving, sitk.TranslationTransform(3), **known)
        assert nothing.values["dice"] == nothing.values["dice_before"] == truth.values["dice_before"]
        assert truth.values["dice"] > nothing.values["dice"] + 0.1
        assert "inverse_mean_mm" in nothing.undefined

    def test_a_result_and_its_file_measure_alike(self, image, points, labels, result, tmp_path):
        known = {"fixed_landmarks": points, "moving_landmarks": points, "fixed_mask": labels, "moving_mask": labels}
        one = robustdir.evaluate_pair(image, image, result, **known)
        folder = result.save(tmp_path / "run")
        transform, inverse = folder / "transform.h5", folder / "inverse.h5"
        other = robustdir.evaluate_pair(robustdir.to_sitk(image), image, transform, inverse, **known)
        assert other.values == pytest.approx(one.values, rel=1e-6)
        expected = robustdir.metrics.tre(robustdir.apply_to_points(result.transform, points.points), points.points)
        assert one.values["tre_mean_mm"] == pytest.approx(expected.mean(), rel=1e-6)

    def test_refusals(self, image, points):
        none = to_sitk_transform(robustdir.DisplacementField(np.zeros((*GRID.shape, 3)), GRID))
        with pytest.raises(robustdir.InputError, match="moving_landmarks"):
            robustdir.evaluate_pair(image, image, none, fixed_landmarks=points)
        few = robustdir.Landmarks(points.points[:2])
        with pytest.raises(robustdir.InputError, match="2 do not pair"):
            robustdir.evaluate_pair(image, image, none, fixed_landmarks=points, moving_landmarks=few)
        with pytest.raises(robustdir.InputError, match="`transform`"):
            robustdir.evaluate_pair(image, image, np.zeros(3))
        with pytest.raises(TypeError, match="landmark"):
            robustdir.evaluate_pair(image, image, none, landmarks=points)


class TestTeaching:
    def test_a_synthetic_pair_is_the_one_of_the_command(self):
        one, again, other = (robustdir.synthesize(seed, side=24) for seed in (1, 1, 2))
        assert all(np.array_equal(a.array, b.array) for a, b in zip(one, again, strict=True))
        assert not np.array_equal(one.fixed.array, other.fixed.array)
        truth = to_sitk_transform(one.displacement)
        warped = robustdir.resample(one.moving_labels, one.fixed.grid, truth, nearest=True)
        before, after = ((labels.array == one.fixed_labels.array).mean() for labels in (one.moving_labels, warped))
        assert after > before + 0.2
        with pytest.raises(robustdir.InputError, match="`side`"):
            robustdir.synthesize(side=3)

    def test_fine_tuning_gives_a_model_that_registers(self, tmp_path, few_synthetic_pairs):
        told = []
        tuned = robustdir.finetune(
            decathlon(tmp_path / "data"), tmp_path / "run", progress=told.append, initial=None, network=NETWORK,
            epochs=1, alignment="none", pairs_per_epoch=1, test_pairs=1, validation_pairs=1,
        )  # fmt: skip
        assert tuned.records == tuple(told)
        assert tuned.summary["pairs"] == 1
        scan = tmp_path / "data" / "imagesTr" / "organ_000.nii.gz"
        result = robustdir.register(scan, scan, tuned.model, **QUICK)
        assert result.record["model"]["sha256"] == tuned.model.checksum
        file = tmp_path / "run" / "run.json"
        settings = json.loads(text := file.read_text(encoding="utf-8"))
        old = {name: value for name, value in settings.items() if name != "grid"}  # of before there was a choice
        for content, words in ([], "run.json holds no settings"), (old, 'grid was .* and is "registration"'):
            file.write_text(json.dumps(content))
            with pytest.raises(robustdir.InputError, match=words):
                robustdir.finetune(None, tmp_path / "run", resume=True)
        file.write_text(text)
        longer = robustdir.finetune(None, tmp_path / "run", resume=True, epochs=2)
        assert [r["epoch"] for r in longer.records if r["kind"] == "epoch"][-1] == 2

    def test_fine_tuning_refuses_what_it_does_not_know(self, tmp_path):
        with pytest.raises(robustdir.InputError, match="epoch"):
            robustdir.finetune(tmp_path, tmp_path / "run", epoch=1)

    def test_data_sets_are_opened(self, tmp_path):
        assert robustdir.open_dataset(decathlon(tmp_path / "data")).cases

    def test_a_pair_whose_deformation_is_known(self):
        fixed = picture(grid_about(np.zeros(3), (28, 33, 30), (3.1, 2.7, 2.9), (4, 3, -5)))
        pair = robustdir.make_pair(robustdir.Image(np.clip(fixed.array, 0, 1), fixed.grid))
        moved = robustdir.apply_to_points(pair.transform, pair.fixed_landmarks.points)
        np.testing.assert_allclose(moved, pair.moving_landmarks.points)
