import numpy as np
import pytest

from dataset_cases import names, problems, write_json, write_label_map, write_scan
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError


@pytest.fixture
def ixi(tmp_path):
    """Three people at Guy's, two at HH, one at IOP, in the folders of the published archives; T2 of three of them."""
    people = ("IXI012-HH-1211", "IXI014-HH-1236", "IXI002-Guys-0828", "IXI016-Guys-0697", "IXI017-Guys-0698")
    for k, person in enumerate((*people, "IXI035-IOP-0873")):
        write_scan(tmp_path / "IXI-T1" / f"{person}-T1.nii.gz", seed=k)
    for k, person in enumerate(people[1:4]):
        write_scan(tmp_path / "IXI-T2" / f"{person}-T2.nii.gz", seed=20 + k)
    write_label_map(tmp_path / "labels" / "IXI002-Guys-0828-T1_aseg.nii.gz")
    write_label_map(tmp_path / "IXI-T1" / "IXI016-Guys-0697-T1_labels.nii.gz")
    write_label_map(tmp_path / "IXI-T1" / "IXI016-Guys-0697-T1_brainmask.nii.gz")
    return tmp_path


def test_within_each_hospital_the_first_scan_is_fixed(ixi):
    dataset = open_dataset(ixi)
    assert dataset.kind == "ixi"
    assert names(dataset) == ["IXI002_T1-IXI016_T1", "IXI002_T1-IXI017_T1", "IXI012_T1-IXI014_T1"]
    assert [case.subject for case in dataset.cases] == ["IXI016", "IXI017", "IXI014"]
    assert {case.preset for case in dataset.cases} == {"brain-mri"}
    assert {role: path.name for role, path in dataset.cases[0].files().items()} == {
        "fixed": "IXI002-Guys-0828-T1.nii.gz",
        "moving": "IXI016-Guys-0697-T1.nii.gz",
        "moving_mask": "IXI016-Guys-0697-T1_brainmask.nii.gz",
        "fixed_labels": "IXI002-Guys-0828-T1_aseg.nii.gz",
        "moving_labels": "IXI016-Guys-0697-T1_labels.nii.gz",
    }
    assert dataset.cases[0].load().fixed_labels is not None


def test_contrasts_are_the_split(ixi):
    """Only people of whom both contrasts are there."""
    dataset = open_dataset(ixi, split="t1-t2")
    assert names(dataset) == ["IXI002_T1-IXI016_T2"]
    assert dataset.cases[0].files()["moving"].parent.name == "IXI-T2"
    with pytest.raises(InputError, match="`split` t1: give the contrasts of fixed and moving"):
        open_dataset(ixi, split="t1")


def test_hospitals_may_be_cut_to_their_first_scans(ixi):
    write_json(ixi / "robustdir-dataset.json", {"per_site": 2})
    assert names(open_dataset(ixi)) == ["IXI002_T1-IXI016_T1", "IXI012_T1-IXI014_T1"]


def test_two_files_of_one_scan_and_labels_without_image_are_refused(ixi):
    write_scan(ixi / "copy" / "IXI012-HH-1211-T1.nii.gz")
    write_label_map(ixi / "labels" / "IXI050-Guys-0711-T1_seg.nii.gz")
    problems(ixi, "are the same image of one scan", "IXI050 has labels but no image of contrast T1", count=2)


@pytest.fixture
def paired3t(tmp_path):
    """Four people at 3 tesla (session 1) and 7 tesla (session 2)."""
    for person in range(1, 5):
        for session in (1, 2):
            for contrast in ("T1w", "T2w"):
                name = f"sub-{person:02d}_ses-{session}_{contrast}_defaced"
                write_scan(tmp_path / f"sub-{person:02d}" / f"ses-{session}" / "anat" / f"{name}.nii.gz", seed=person)
    write_label_map(tmp_path / "sub-02" / "ses-1" / "anat" / "sub-02_ses-1_T1w_defaced_dseg.nii.gz")
    return tmp_path


def test_every_two_people_once_at_3_tesla(paired3t):
    dataset = open_dataset(paired3t)
    assert dataset.kind == "paired3t" and len(dataset.cases) == 6
    assert names(dataset)[:2] == ["sub-01_T1-sub-02_T1", "sub-01_T1-sub-03_T1"]
    assert all("ses-1" in path.name for case in dataset.cases for path in case.files().values())
    assert dataset.cases[0].files()["moving_labels"].name == "sub-02_ses-1_T1w_defaced_dseg.nii.gz"


def test_t1_to_t2(paired3t):
    case = open_dataset(paired3t, split="t1-t2").cases[-1]
    assert (case.files()["fixed"].name, case.files()["moving"].name) == (
        "sub-03_ses-1_T1w_defaced.nii.gz",
        "sub-04_ses-1_T2w_defaced.nii.gz",
    )
    data = case.load()
    assert not np.array_equal(data.fixed.array, data.moving.array)
