import json
import os
from dataclasses import replace

import numpy as np
import pytest

from registration_cases import Standin, grid_about, picture
from RobustDIRLib.errors import InputError
from RobustDIRLib.io import packing
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.displacements import apply_to_points, read_displacement, read_transform
from RobustDIRLib.io.images import Image, read_image
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.registration import saving
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions
from RobustDIRLib.registration.saving import check_folder, save

GRID = grid_about(np.array([30.0, -20, 10]), (13, 17, 15), (4.9, 4.4, 5.3), (12, -8, 20), (1, -1, 1))
FILES = {"transform.h5", "inverse.h5", "displacement.nii.gz", "warped.nii.gz", "jacobian.nii.gz", "run.json"}


@pytest.fixture(scope="module")
def result():
    image = picture(GRID, lambda p: p - [30, -20, 10])
    labels = tuple(Image((image.array > t).astype(np.int16), GRID) for t in (0.3, 0.6))
    options = RegistrationOptions(alignment="centre", device="cpu", quality="fast")
    return register(image, image, Standin(), options=options, extras=PairExtras(moving_labels=labels))


def names(folder) -> set[str]:
    return set(os.listdir(folder))


class TestFiles:
    @pytest.mark.parametrize("threads", [1, 3])
    def test_no_more_threads_pack_than_were_allowed(self, result, tmp_path, monkeypatch, threads):
        seen = []
        pool = packing.ThreadPoolExecutor
        monkeypatch.setattr(packing, "ThreadPoolExecutor", lambda count: seen.append(count) or pool(count))
        save(replace(result, record={**result.record, "threads": threads}), tmp_path / "run")
        assert set(seen) == {threads}

    def test_all_are_written_and_read_back(self, result, tmp_path):
        folder = save(result, tmp_path / "a" / "run")
        assert names(folder) == FILES | {"warped_labels.nii.gz", "warped_labels_2.nii.gz"}
        assert names(folder.parent) == {"run"}
        np.testing.assert_array_equal(read_image(folder / "warped.nii.gz").array, result.warped.array)
        np.testing.assert_array_equal(read_image(folder / "jacobian.nii.gz").array, result.jacobian.array)
        np.testing.assert_array_equal(
            read_displacement(folder / "displacement.nii.gz").array, result.displacement.array
        )
        for k, name in enumerate(("warped_labels.nii.gz", "warped_labels_2.nii.gz")):
            np.testing.assert_array_equal(read_labels(folder / name).array, result.warped_labels[k].array)

    def test_record_knows_every_file_by_its_checksum(self, result, tmp_path):
        folder = save(result, tmp_path / "run")
        sums = json.loads((folder / "run.json").read_text(encoding="utf-8"))["outputs"]
        assert sums == {name: sha256(folder / name) for name in names(folder) - {"run.json"}}

    def test_read_transforms_move_points_as_the_results_do(self, result, tmp_path):
        folder = save(result, tmp_path / "run")
        points = GRID.points_from_voxels(np.random.default_rng(0).uniform(2, 10, (20, 3)))
        moved = apply_to_points(read_transform(folder / "transform.h5"), points)
        np.testing.assert_allclose(moved, apply_to_points(result.transform, points), atol=1e-9)
        assert np.linalg.norm(moved - points, axis=1).min() > 0.5
        back = apply_to_points(read_transform(folder / "inverse.h5"), moved)
        np.testing.assert_allclose(back, points, atol=0.1 * min(GRID.spacing))

    def test_record_holds_what_is_needed_to_judge_and_repeat(self, result, tmp_path):
        folder = save(result, tmp_path / "run", provenance={"command": "robustdir register a b"})
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert record["command"] == "robustdir register a b"
        assert record["seeds"]["alignment"] > 0
        assert record["measures"]["folding_percent"] == 0
        assert set(record["measures"]["inverse_residual_mm"]) == {"mean", "p95", "max"}
        assert record["versions"].keys() >= {"robustdir", "python", "torch", "SimpleITK", "numpy"}
        assert record["alignment"]["stages"][0]["name"] == "centre of mass"
        assert record["working_grid"]["size"] == list(result.working_grid.size)


class TestFolder:
    def test_an_old_run_is_refused_and_left_alone(self, result, tmp_path):
        folder = save(result, tmp_path / "run")
        before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        with pytest.raises(InputError, match="already holds a run.*`overwrite`"):
            save(result, folder)
        assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    def test_overwriting_replaces_the_run_and_nothing_else(self, result, tmp_path):
        folder = save(result, tmp_path / "run")
        (folder / "warped_labels_3.nii.gz").write_text("of an older run")
        (folder / "notes.txt").write_text("mine")
        save(result, folder, overwrite=True, provenance={"command": "second"})
        assert names(folder) == FILES | {"warped_labels.nii.gz", "warped_labels_2.nii.gz", "notes.txt"}
        assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["command"] == "second"
        assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"

    def test_a_folder_of_other_files_takes_the_run(self, result, tmp_path):
        (tmp_path / "photo.jpg").write_text("mine")
        save(result, tmp_path)
        assert names(tmp_path) >= FILES | {"photo.jpg"}
        assert not any(name.startswith(".") for name in names(tmp_path))

    @pytest.mark.parametrize("exists", [False, True])
    def test_a_failure_in_between_leaves_nothing(self, result, tmp_path, monkeypatch, exists):
        def full(*_):
            raise OSError(28, "No space left on device")

        folder = tmp_path / "run"
        if exists:
            folder.mkdir()
        monkeypatch.setattr(saving, "write_image", full)
        with pytest.raises(InputError, match="`output` .*run: cannot be written .No space left"):
            save(result, folder)
        assert names(tmp_path) == ({"run"} if exists else set())
        assert not exists or not names(folder)

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "run").write_text("")
        for folder in (tmp_path / "run", tmp_path / "run" / "deeper"):
            with pytest.raises(InputError, match="run is a file; give a folder"):
                check_folder(folder)

    def test_not_writable_is_refused_before_computing(self, tmp_path, monkeypatch):
        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(saving.tempfile, "mkdtemp", refuse)
        with pytest.raises(InputError, match="cannot be written to .Permission denied"):
            check_folder(tmp_path / "new")

    def test_checking_leaves_no_trace(self, tmp_path):
        check_folder(tmp_path / "a" / "b")
        assert not names(tmp_path)
