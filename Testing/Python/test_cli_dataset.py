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
