"""A header whose voxels lie in a file beside it is one scan of two files, wherever files are listed or watched."""

import numpy as np
import pytest
import SimpleITK as sitk

from RobustDIRLib.cohort.plan import checksums
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import SplitConfig
from RobustDIRLib.finetuning.scans import ScanStore
from RobustDIRLib.finetuning.split import split_dataset
from RobustDIRLib.io.input_files import files_of, input_sha256
from RobustDIRLib.presets import PRESETS

VOXELS = {".mhd": ".raw", ".nhdr": ".raw", ".hdr": ".img"}
ends = pytest.mark.parametrize("end", list(VOXELS))


def write(path, seed=0):
    """An image that lies askew."""
    image = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=(11, 13, 17)).astype(np.float32))
    image.SetSpacing((1.1, 2.3, 1.7))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def touch_voxels(path) -> None:
    """Change the last voxel and nothing of the header."""
    voxels = path.with_suffix(VOXELS[path.suffix])
    data = bytearray(voxels.read_bytes())
    data[-3] ^= 1
    voxels.write_bytes(bytes(data))


@ends
def test_both_files_count(tmp_path, end):
    path = write(tmp_path / f"scan{end}")
    voxels = path.with_suffix(VOXELS[end])
    assert files_of(path) == (path, voxels)
    before = input_sha256(path)
    touch_voxels(path)
    assert input_sha256(path) != before


def test_voxels_named_instead_of_their_header_count_alike(tmp_path):
    path = write(tmp_path / "scan.hdr")
    assert input_sha256(path.with_suffix(".img")) == input_sha256(path)


@pytest.mark.parametrize("end", [".mha", ".nrrd", ".nii.gz"])
def test_a_file_that_holds_all_stands_for_itself(tmp_path, end):
    path = write(tmp_path / f"scan{end}")
    assert files_of(path) == (path,)


def test_what_cannot_be_read_stands_for_itself(tmp_path):
    (tmp_path / "scan.mhd").write_text("no header")
    write(tmp_path / "lone.mhd").with_suffix(".raw").unlink()
    assert files_of(tmp_path / "scan.mhd") == (tmp_path / "scan.mhd",)
    assert files_of(tmp_path / "lone.mhd") == (tmp_path / "lone.mhd",)


@ends
@pytest.mark.parametrize("name", ["{case}/{role}{end}", "{role}/{case}{end}"])
def test_folders_by_convention_hold_them(tmp_path, end, name):
    for case in ("ann", "bob"):
        for seed, role in enumerate(("fixed", "moving")):
            write(tmp_path / name.format(case=case, role=role, end=end), seed)
    dataset = open_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["ann", "bob"]
    assert {path.suffix for case in dataset.cases for path in case.files().values()} == {end}


@ends
def test_other_files_of_the_same_name_are_still_told(tmp_path, end):
    for role in ("fixed", "moving"):
        write(tmp_path / "ann" / f"{role}{end}")
    write(tmp_path / "ann" / "fixed.nii.gz")
    with pytest.raises(InputError, match="keep one of them"):
        open_dataset(tmp_path)


class TestFineTuning:
    @pytest.fixture
    def dataset(self, tmp_path):
        """Four people, whose headers are alike to the letter."""
        for seed, case in enumerate("abcd"):
            for role in ("fixed", "moving"):
                write(tmp_path / case / f"{role}.mhd", 10 * seed + len(role))
        return open_dataset(tmp_path)

    def test_people_whose_headers_are_alike_are_not_one(self, dataset):
        parts = split_dataset(dataset, SplitConfig(train=("a", "b"), validation=("c",), test=("d",)))
        assert [len(parts[name].cases) for name in ("train", "validation", "test")] == [2, 1, 1]

    def test_a_copy_under_another_name_is_found(self, dataset, tmp_path):
        (tmp_path / "d" / "fixed.raw").rename(tmp_path / "d" / "voxels.raw")
        (tmp_path / "d" / "voxels.raw").write_bytes((tmp_path / "a" / "fixed.raw").read_bytes())
        header = tmp_path / "d" / "fixed.mhd"
        header.write_text(header.read_text().replace("fixed.raw", "voxels.raw"))
        with pytest.raises(InputError, match="are the same scan"):
            split_dataset(open_dataset(tmp_path), SplitConfig(train=("a", "b"), validation=("c",), test=("d",)))

    def test_voxels_changed_during_training_are_noticed(self, dataset):
        store = ScanStore(0)  # which keeps one scan, the last
        parts = split_dataset(dataset, SplitConfig(train=("a", "b"), validation=("c",), test=("d",)))
        first, second = parts["train"].scans[:2]
        for scan in (first, second):
            store.get(scan, PRESETS["generic"])
        touch_voxels(first.image.path)
        with pytest.raises(InputError, match="was changed after the training had read it"):
            store.get(first, PRESETS["generic"])


def test_an_evaluation_reads_changed_voxels_again(tmp_path):
    for role in ("fixed", "moving"):
        write(tmp_path / "ann" / f"{role}.nhdr", len(role))
    (case,) = open_dataset(tmp_path).cases
    before = checksums(case)
    touch_voxels(tmp_path / "ann" / "moving.nhdr")
    after = checksums(case)
    assert before[0]["fixed"] == after[0]["fixed"]
    assert before[0]["moving"] != after[0]["moving"]


def test_a_folder_that_may_not_be_listed_is_a_sentence(tmp_path, monkeypatch):
    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(type(tmp_path), "iterdir", refused)
    with pytest.raises(InputError, match="cannot be read"):
        input_sha256(tmp_path)
