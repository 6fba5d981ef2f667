import json
from pathlib import Path

import numpy as np
import pytest

from dataset_cases import GRID, untouched, write_label_map, write_points, write_scan
from RobustDIRLib.cli import main
from RobustDIRLib.datasets.checking import check_dataset
from RobustDIRLib.datasets.opening import KINDS, open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image, write_image


@pytest.fixture
def a_set(tmp_path):
    """Two cases; the moving labels of the first lie on another grid."""
    for name in ("ann", "bob"):
        for role in ("fixed", "moving"):
            write_scan(tmp_path / name / f"{role}.nii.gz")
    for role, grid in (("fixed", GRID), ("moving", GRID.resized((11, 14, 16)))):
        write_points(tmp_path / "ann" / f"{role}_landmarks.csv", 12)
        write_label_map(tmp_path / "ann" / f"{role}_labels.nii.gz", grid=grid)
    write_label_map(tmp_path / "bob" / "fixed_mask.nii.gz")
    return tmp_path


@pytest.mark.parametrize("read", [[], ["--read"]])
def test_check_tells_what_it_found(a_set, capsys, read):
    before = untouched(a_set)
    assert main(["dataset", "check", str(a_set), *read]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{a_set.name}: folders, 2 cases, 2 subjects, {a_set.resolve()}"
    assert lines[2].split() == ["case", "subject", "preset", "fixed", "moving", "comes", "with"]
    size = "17 x 14 x 11, 1.3 x 0.9 x 2.1 mm"
    assert " ".join(lines[3].split()) == f"ann ann generic {size} {size} 12 landmarks, labels"
    assert lines[4].endswith("fixed mask")
    assert "moving_labels.nii.gz lies on another grid than its image." in lines[-2]
    assert lines[-1] == "no problems found"
    assert untouched(a_set) == before


def test_check_tells_all_problems_and_ends_with_2(a_set, capsys):
    (a_set / "ann" / "moving.nii.gz").unlink()
    (a_set / "bob" / "fixed.nii.gz").unlink()
    assert main(["dataset", "check", str(a_set)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == f"robustdir: {a_set} has 2 problems, and is not used:"
    assert len(lines) == 3 and all(line.startswith("- case ") for line in lines[1:])


def test_list_tells_every_kind(capsys):
    assert main(["dataset", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(KINDS)


def test_headers_of_all_files_are_looked_at_together(a_set):
    dataset = open_dataset(a_set)
    (a_set / "bob" / "fixed.nii.gz").write_bytes(b"broken")
    (a_set / "ann" / "fixed_labels.nii.gz").write_bytes(b"broken")
    with pytest.raises(InputError) as caught:
        check_dataset(dataset)
    assert str(caught.value).count("is damaged") == 2


def test_voxels_are_looked_at_only_if_asked(a_set):
    image = Image(open_dataset(a_set).cases[1].load().fixed.array * float("nan"), GRID)
    write_image(a_set / "bob" / "fixed.nii.gz", image)
    dataset, done = open_dataset(a_set), []
    assert len(check_dataset(dataset, progress=done.append)) == 2
    assert done == [1, 2]
    with pytest.raises(InputError, match="no voxel that is a number"):
        check_dataset(dataset, read=True)


def test_without_reading_voxels_the_check_says_what_it_cannot_know(a_set, capsys):
    """With it, of one case each volume that is bad is named: the first does not hide the second."""
    image = open_dataset(a_set).cases[1].load().fixed
    for role, value in (("fixed", np.inf), ("moving", np.nan)):
        array = image.array.copy()
        array[5, 6, 7] = value
        write_image(a_set / "bob" / f"{role}.nii.gz", Image(array, GRID))
    write_image(a_set / "ann" / "moving.nii.gz", Image(np.full_like(image.array, 3), GRID))
    assert main(["dataset", "check", str(a_set)]) == 0
    assert "--read tells of NaN, infinite and constant volumes" in capsys.readouterr().out
    assert main(["dataset", "check", str(a_set), "--read"]) == 2
    said = capsys.readouterr().err
    assert "has 3 problems" in said
    for name, what in (("bob/fixed", "are infinite"), ("bob/moving", "NaN"), ("ann/moving", "is constant")):
        [line] = [line for line in said.splitlines() if str(Path(name)) in line]
        assert what in line
    for role in ("fixed", "moving"):
        write_scan(a_set / "bob" / f"{role}.nii.gz")
    write_scan(a_set / "ann" / "moving.nii.gz")
    assert main(["dataset", "check", str(a_set), "--read"]) == 0
    assert "--read" not in capsys.readouterr().out


def events(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_check_tells_a_program_the_same(a_set, tmp_path, capsys):
    folder = tmp_path.with_name(f"{tmp_path.name}-pictures")
    assert main(["dataset", "check", str(a_set), "--progress", "json", "--thumbnails", str(folder)]) == 0
    told = events(capsys)
    assert [each["event"] for each in told].count("progress") == 2
    [dataset], cases = ([e for e in told if e["event"] == kind] for kind in ("dataset", "case"))
    assert dataset["folder"] == str(a_set.resolve()) and "another grid" in dataset["notes"][0]
    ann, bob = cases
    assert (ann["subjects"], ann["landmarks"], bob["landmarks"]) == (["ann", "ann"], 12, 0)
    assert ann["fixed"]["size"] == [17, 14, 11] and ann["fixed"]["spacing"] == pytest.approx([1.3, 0.9, 2.1])
    assert ann["working_voxels"] > 17 * 14 * 11 / 8 and set(bob["files"]) == {"fixed", "moving", "fixed_mask"}
    pictures = [e for e in told if e["event"] == "thumbnail"]
    assert [e["case"] for e in pictures] == ["ann", "bob"] and all(Path(e["file"]).is_file() for e in pictures)


def test_check_tells_a_program_all_problems(a_set, capsys):
    (a_set / "ann" / "moving.nii.gz").unlink()
    (a_set / "bob" / "fixed.nii.gz").unlink()
    assert main(["dataset", "check", str(a_set), "--progress", "json"]) == 2
    assert [each["event"] for each in events(capsys)] == ["problem", "problem"]


@pytest.fixture
def six_people(tmp_path):
    for seed, name in enumerate("abcdef"):
        for role in ("fixed", "moving"):
            write_scan(tmp_path / "set" / name / f"{role}.nii.gz", 2 * seed + (role == "moving"))
    return tmp_path / "set"


def test_split_shares_all_subjects_out_and_finetune_takes_it(six_people, tmp_path, capsys):
    file = tmp_path / "split.json"
    words = ["dataset", "split", str(six_people), "--shares", "0.5", "0.3", "0.2", "--seed", "3", "-o", str(file)]
    assert main([*words, "--progress", "json"]) == 0
    [told] = events(capsys)
    parts = [told[name] for name in ("train", "validation", "test")]
    assert sorted(sum(parts, [])) == list("abcdef") and all(parts)
    assert json.loads(file.read_text(encoding="utf-8")) == dict(
        zip(("train", "validation", "test"), parts, strict=True)
    )
    assert main(["dataset", "split", str(six_people), "--subjects", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["train", str(len(parts[0]))]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"train": ["a", "b"], "test": ["b"]}, "b is in train and in test"),
        ({"train": ["a"], "validation": ["z"]}, "no subject z"),
        ({"train": ["a"], "test": ["f"]}, "are the same scan, one in train and one in test"),
    ],
)
def test_split_refuses_who_is_on_two_sides(six_people, tmp_path, capsys, parts, said):
    (six_people / "f" / "moving.nii.gz").write_bytes((six_people / "a" / "fixed.nii.gz").read_bytes())
    file = tmp_path / "split.json"
    file.write_text(json.dumps(parts))
    assert main(["dataset", "split", str(six_people), "--subjects", str(file)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.out == ""


def test_split_is_not_written_into_the_data_set(six_people, capsys):
    assert main(["dataset", "split", str(six_people), "-o", str(six_people / "split.json")]) == 2
    assert not (six_people / "split.json").exists()
