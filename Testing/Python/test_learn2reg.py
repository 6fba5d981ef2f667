"""Lists of Learn2Reg and the Decathlon in the forms they were published in."""

import nibabel as nib
import numpy as np
import pytest

from dataset_cases import (
    GRID,
    names,
    problems,
    untouched,
    voxels,
    write_json,
    write_label_map,
    write_scan,
    write_voxels,
)
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import swap_lps_ras


def image(case: str, scan: int = 0, folder: str = "images", ending: str = "nii.gz") -> str:
    return f"./{folder}Tr/{case}_{scan:04d}.{ending}"


def paired(case: str) -> dict[str, str]:
    return {"fixed": image(case, 0), "moving": image(case, 1)}


@pytest.fixture
def nlst(tmp_path):
    """Four people with two scans each, masks and keypoints; the last is for validation."""
    cases = [f"NLST_{k:04d}" for k in (1, 2, 3, 101)]
    listed = []
    for k, case in enumerate(cases):
        for scan in (0, 1):
            write_scan(tmp_path / image(case, scan), seed=10 * k + scan)
            write_label_map(tmp_path / image(case, scan, "masks"))
            write_voxels(tmp_path / image(case, scan, "keypoints", "csv"), voxels(20 + k, seed=10 * k + scan))
            listed.append(
                {
                    "image": image(case, scan),
                    "mask": image(case, scan, "masks"),
                    "keypoints": image(case, scan, "keypoints", "csv"),
                }
            )
    content = {
        "name": "NLST",
        "release": "1.1",
        "pairings": "paired",
        "provided_data": {"0": ["image", "mask", "keypoints"]},
        "registration_direction": {"fixed": 0, "moving": 1},
        "modality": {"0": "CT"},
        "tensorImageShape": {"0": [17, 14, 11]},
        "numTraining": 8,
        "training": listed,
        "test": [],
        "training_paired_images": [paired(case) for case in cases],  # those of validation among them, as published
        "test_paired_images": [],
        "registration_val": [paired("NLST_0101")],
        "registration_test": [],
    }
    write_json(tmp_path / "NLST_dataset.json", content)
    return tmp_path, content


# Paired


def test_validation_pairs_are_the_default(nlst):
    folder, _ = nlst
    before = untouched(folder)
    dataset = open_dataset(folder)
    assert dataset.kind == "learn2reg"
    assert names(dataset) == ["NLST_0101_0000-NLST_0101_0001"]
    (case,) = dataset.cases
    assert (case.subject, case.preset) == ("NLST_0101", "lung-ct")
    assert {role: path.relative_to(folder.resolve()).as_posix() for role, path in case.files().items()} == {
        "fixed": "imagesTr/NLST_0101_0000.nii.gz",
        "moving": "imagesTr/NLST_0101_0001.nii.gz",
        "fixed_mask": "masksTr/NLST_0101_0000.nii.gz",
        "moving_mask": "masksTr/NLST_0101_0001.nii.gz",
        "fixed_landmarks": "keypointsTr/NLST_0101_0000.csv",
        "moving_landmarks": "keypointsTr/NLST_0101_0001.csv",
    }
    assert untouched(folder) == before


def test_keypoints_are_voxels_from_0_of_their_own_image_along_its_own_axes(nlst):
    """Oracle: nibabel's affine takes indices i, j, k to RAS."""
    folder, _ = nlst
    data = open_dataset(folder).cases[0].load()
    for scan, landmarks in ((0, data.fixed_landmarks), (1, data.moving_landmarks)):
        affine = nib.load(folder / image("NLST_0101", scan)).affine
        indices = np.loadtxt(folder / image("NLST_0101", scan, "keypoints", "csv"), delimiter=",")
        ras = indices @ affine[:3, :3].T + affine[:3, 3]
        np.testing.assert_allclose(landmarks.points, swap_lps_ras(ras), atol=1e-3)


def test_splits_do_not_share_pairs(nlst):
    folder, _ = nlst
    training = names(open_dataset(folder, split="training"))
    assert training == [f"NLST_{k:04d}_0000-NLST_{k:04d}_0001" for k in (1, 2, 3)]
    assert names(open_dataset(folder, split="train")) == training
    assert names(open_dataset(folder, split="all")) == [*training, *names(open_dataset(folder, split="val"))]
    with pytest.raises(InputError, match="lists no pairs"):
        open_dataset(folder, split="test")
    with pytest.raises(InputError, match="has training, validation and test"):
        open_dataset(folder, split="holdout")


def test_a_file_of_the_list_opens_the_set_as_well(nlst):
    folder, content = nlst
    write_json(folder / "other_dataset.json", content | {"name": "other", "registration_val": [paired("NLST_0002")]})
    assert names(open_dataset(folder / "other_dataset.json")) == ["NLST_0002_0000-NLST_0002_0001"]
    problems(folder, "has NLST_dataset.json, other_dataset.json where one list is needed", count=1)


def test_what_is_not_listed_is_found_by_its_name(nlst):
    """Landmarks set by people go before keypoints."""
    folder, content = nlst
    write_json(folder / "NLST_dataset.json", content | {"training": [{"image": image("NLST_0101", s)} for s in (0, 1)]})
    for scan in (0, 1):
        write_voxels(folder / image("NLST_0101", scan, "landmarks", "csv"), voxels(6, seed=scan))
        write_label_map(folder / image("NLST_0101", scan, "labels"))
    (case,) = open_dataset(folder).cases
    assert set(case.files()) == {
        f"{role}{what}" for role in ("fixed", "moving") for what in ("", "_mask", "_labels", "_landmarks")
    }
    landmarks = case.load().fixed_landmarks
    assert landmarks is not None and len(landmarks) == 6


def test_keypoints_listed_with_the_extension_of_their_image_are_found(nlst):
    """As in the published list of ThoraxCBCT, which also has keypoints by task: those that both images have count."""
    folder, content = nlst
    listed = [{"image": image("NLST_0101", scan)} for scan in (0, 1)]
    for scan, task in ((0, "keypoints01"), (0, "keypoints02"), (1, "keypoints02")):
        listed[scan][task] = image("NLST_0101", scan, task)
        write_voxels(folder / image("NLST_0101", scan, task, "csv"), voxels(9, seed=scan))
    write_json(folder / "NLST_dataset.json", content | {"training": listed})
    files = open_dataset(folder).cases[0].files()
    assert files["fixed_landmarks"] == (folder / image("NLST_0101", 0, "keypoints02", "csv")).resolve()
    assert files["moving_landmarks"] == (folder / image("NLST_0101", 1, "keypoints02", "csv")).resolve()


def test_truth_that_was_not_published_is_left_out_with_a_note(nlst):
    folder, _ = nlst
    for scan in (0, 1):
        (folder / image("NLST_0101", scan, "keypoints", "csv")).unlink()
    dataset = open_dataset(folder)
    assert "fixed_landmarks" not in dataset.cases[0].files()
    assert dataset.notes == (
        "none of the 2 files listed as keypoints for validation is there; left out.",
        "the preset lung-ct was chosen by the data set's name; its settings can name another.",
    )


# What is wrong


def test_everything_that_is_wrong_is_told_at_once(nlst):
    folder, content = nlst
    (folder / image("NLST_0001", 1)).unlink()
    (folder / image("NLST_0002", 0, "masks")).unlink()
    write_voxels(folder / image("NLST_0003", 1, "keypoints", "csv"), voxels(7))
    content["training_paired_images"].append({"fixed": "../secret.nii.gz", "moving": "/etc/passwd"})
    write_json(folder / "NLST_dataset.json", content)
    problems(
        folder,
        "image of NLST_0001_0001: " + str((folder / image("NLST_0001", 1)).resolve()) + " is missing",
        "mask of NLST_0002_0000",
        "has 22 landmarks and",
        "../secret.nii.gz leads out of",
        "/etc/passwd leads out of",
        count=5,
        split="training",
    )


def test_keypoints_of_another_image_are_noticed(nlst):
    folder, _ = nlst
    write_voxels(folder / image("NLST_0101", 1, "keypoints", "csv"), voxels(23) * 3)
    problems(folder, "of 23 landmarks outside their image", count=1)


def test_a_few_keypoints_beyond_the_border_are_borne(nlst):
    folder, _ = nlst
    points = voxels(23)
    points[0] = np.array(GRID.size) + 1
    write_voxels(folder / image("NLST_0101", 1, "keypoints", "csv"), points)
    assert len(open_dataset(folder).cases) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2\n", "has 2 numbers where 3 are needed"),
        ("a,b,c\n", "is not three numbers"),
        ("", "is empty"),
        ("\n", "no landmarks"),
    ],
)
def test_a_broken_keypoint_file_is_named(nlst, text, said):
    folder, _ = nlst
    (folder / image("NLST_0101", 1, "keypoints", "csv")).write_text(text)
    problems(folder, said, count=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"registration_val": {"fixed": "a"}}, "registration_val is not a list"),
        ({"registration_val": [{"fixed": "a"}]}, "registration_val has an entry without fixed and moving"),
        ({"training": [{"label": "a"}]}, "an entry has no image"),
    ],
)
def test_a_list_of_another_form_is_refused(nlst, change, said):
    folder, content = nlst
    write_json(folder / "NLST_dataset.json", content | change)
    problems(folder, said, count=1)


def test_a_list_that_is_no_object_is_refused(nlst):
    folder, _ = nlst
    write_json(folder / "NLST_dataset.json", [1, 2])
    problems(folder, "holds no object with named lists", count=1)


# Unpaired


@pytest.fixture
def oasis(tmp_path):
    """Six people once each with labels; the last three are paired for validation."""
    people = [f"OASIS_{k:04d}" for k in (1, 2, 3, 395, 396, 397)]
    for k, person in enumerate(people):
        write_scan(tmp_path / image(person), seed=k)
        write_label_map(tmp_path / image(person, folder="labels"), seed=k)
    pairs = [("OASIS_0395", "OASIS_0396"), ("OASIS_0396", "OASIS_0397")]
    content = {
        "name": "OASIS",
        "pairings": "unpaired",
        "modality": {"0": "MR"},
        "training": [{"image": image(person), "label": image(person, folder="labels")} for person in people],
        "test": [],
        "registration_val": [{"fixed": image(fixed), "moving": image(moving)} for fixed, moving in pairs],
    }
    write_json(tmp_path / "OASIS_dataset.json", content)
    return tmp_path


def test_unpaired_images_have_listed_pairs_for_validation(oasis):
    dataset = open_dataset(oasis)
    assert names(dataset) == ["OASIS_0395_0000-OASIS_0396_0000", "OASIS_0396_0000-OASIS_0397_0000"]
    assert [case.subject for case in dataset.cases] == ["OASIS_0396", "OASIS_0397"]
    assert dataset.cases[0].preset == "brain-mri"
    assert dataset.cases[0].files()["moving_labels"].name == "OASIS_0396_0000.nii.gz"


def test_unpaired_images_of_training_are_paired_here_without_those_of_validation(oasis):
    dataset = open_dataset(oasis, split="training")
    pairs = ["OASIS_0001_0000-OASIS_0002_0000", "OASIS_0002_0000-OASIS_0003_0000"]  # the last, of an odd number, too
    assert names(dataset) == pairs
    assert dataset.notes == (
        "3 images are listed without pairs; paired as neighbours, 2 in all.",
        "the preset brain-mri was chosen by the data set's name; its settings can name another.",
    )
    write_json(oasis / "robustdir-dataset.json", {"split": "training", "pairing": "chain", "preset": "generic"})
    dataset = open_dataset(oasis)
    assert names(dataset) == ["OASIS_0001_0000-OASIS_0002_0000", "OASIS_0002_0000-OASIS_0003_0000"]
    assert {case.preset for case in dataset.cases} == {"generic"}


# The Decathlon


@pytest.mark.parametrize("channel", ["", "_0000"])
def test_a_decathlon_set_is_paired_neighbour_by_neighbour(tmp_path, channel):
    numbers = (1, 3, 4, 7)
    for k in numbers:
        write_scan(tmp_path / "imagesTr" / f"hippocampus_{k:03d}{channel}.nii.gz", seed=k)
        write_label_map(tmp_path / "labelsTr" / f"hippocampus_{k:03d}.nii.gz", seed=k)
    entries = [
        {"image": f"./imagesTr/hippocampus_{k:03d}.nii.gz", "label": f"./labelsTr/hippocampus_{k:03d}.nii.gz"}
        for k in reversed(numbers)
    ]
    content = {"name": "Hippocampus", "modality": {"0": "MRI"}, "numTraining": 4, "training": entries}
    write_json(tmp_path / "dataset.json", content | {"test": ["./imagesTs/hippocampus_002.nii.gz"]})
    dataset = open_dataset(tmp_path)
    assert [case.subject for case in dataset.cases] == ["hippocampus_003", "hippocampus_007"]
    assert dataset.cases[0].files()["fixed_labels"].name == "hippocampus_001.nii.gz"
    assert dataset.cases[0].load().fixed_labels is not None
