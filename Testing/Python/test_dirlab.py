"""DIR-Lab's raw volumes and landmarks, in full size where one case is enough to tell."""

import numpy as np
import pytest

from dataset_cases import names, problems, untouched
from RobustDIRLib.datasets import dirlab
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError

LANDMARKS = np.array([[1, 1, 1], [256, 1, 2], [3, 256, 90], [40, 50, 94], [117, 203, 31]])  # x y z, from 1


def write_raw(path, size, marks=(), fill=24):
    """Raw int16, x fastest; `marks` are ((x, y, z) from 0, value)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, z = size
    array = np.full((z, y, x), fill, "<i2")
    for (i, j, k), value in marks:
        array[k, j, i] = value
    array.tofile(path)


def write_landmarks(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{x}\t{y}\t{z}\n" for x, y, z in rows))


def write_case(folder, case, size, image="case{}_{}_s.img", points="Case{}_300_{}_xyz.txt", nested=""):
    pack = folder / f"Case{case}Pack" / nested
    marks = [(tuple(row - 1), 1024 + 100 + k) for k, row in enumerate(LANDMARKS)]
    for phase in ("T00", "T50"):
        write_raw(pack / "Images" / image.format(case, phase), size, marks)
        write_landmarks(pack / "ExtremePhases" / points.format(case, phase), LANDMARKS)
    write_raw(pack / "Images" / image.format(case, "T10"), (2, 2, 2))  # other phases are passed over
    write_landmarks(pack / "Sampled4D" / f"case{case}_4D-75_T00.txt", LANDMARKS[:3])


@pytest.fixture(scope="module")
def one_case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("4DCT")
    write_case(folder, 1, (256, 256, 94))
    return folder


@pytest.fixture
def small(monkeypatch):
    """The sets with 20 x 16 x 12 voxels of 0.9, 1.1, 2.5 mm in every case, so that ten of them are quick."""
    layout = ((20, 16, 12), (0.9, 1.1, 2.5))
    for raw_set in (dirlab.BREATHING, dirlab.BREATH_HOLD):
        for case in range(1, 11):
            monkeypatch.setitem(raw_set.sizes, case, layout)
    return layout


# One case in full


def test_exhale_is_fixed_and_inhale_moving(one_case):
    before = untouched(one_case)
    dataset = open_dataset(one_case)
    assert dataset.kind == "dirlab-4dct"
    (case,) = dataset.cases
    assert (case.name, case.subject, case.preset) == ("case1", "case1", "lung-ct")
    assert {role: path.name for role, path in case.files().items()} == {
        "fixed": "case1_T50_s.img",
        "moving": "case1_T00_s.img",
        "fixed_landmarks": "Case1_300_T50_xyz.txt",
        "moving_landmarks": "Case1_300_T00_xyz.txt",
    }
    assert untouched(one_case) == before
    assert "without case2, case3" in dataset.notes[0]


def test_landmarks_lie_on_the_voxels_they_name_and_voxels_are_in_hu(one_case):
    data = open_dataset(one_case).cases[0].load()
    for image, landmarks in ((data.fixed, data.fixed_landmarks), (data.moving, data.moving_landmarks)):
        z, y, x = np.rint(image.grid.voxels_from_points(landmarks.points)).astype(int).T
        np.testing.assert_array_equal(image.array[z, y, x], [100, 101, 102, 103, 104])
        assert np.median(image.array) == -1000


def test_slices_run_from_head_to_feet(one_case):
    grid = open_dataset(one_case).cases[0].fixed.grid()
    assert grid.size == (256, 256, 94) and grid.spacing == (0.97, 0.97, 2.5)
    first, second = grid.points_from_voxels([[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(second - first, [0.97, 0.97, -2.5])  # to the left, to the back, towards the feet


# Both sets, small


@pytest.mark.parametrize(
    ("image", "points", "nested"),
    [
        ("case{}_{}_s.img", "Case{}_300_{}_xyz.txt", ""),
        ("case{}_{}-ssm.img", "Case{}_300_{}_xyz.txt", "CasePack"),
        ("case{}_{}.img", "case{}_dirLab300_{}_xyz.txt", ""),
    ],
)
def test_files_are_told_by_their_published_names_wherever_they_lie(tmp_path, small, image, points, nested, monkeypatch):
    monkeypatch.setattr("test_dirlab.LANDMARKS", np.array([[1, 2, 3], [20, 16, 12]]))
    for case in (10, 2):
        write_case(tmp_path, case, small[0], image, points, nested)
    assert names(open_dataset(tmp_path)) == ["case2", "case10"]


def write_copd(folder, case, size, rows=((1, 2, 3), (20, 16, 12)), nested="copd"):
    for phase in ("e", "i"):
        write_raw(folder / nested / f"copd{case}_{phase}BHCT.img", size, [((4, 5, 6), 1024)], fill=-2000)
        write_landmarks(folder / nested / f"copd{case}_300_{phase}BH_xyz_r1.txt", rows)


def test_copdgene(tmp_path, small):
    write_copd(tmp_path, 3, small[0])
    write_copd(tmp_path, 10, small[0], nested="copd10/copd10")
    dataset = open_dataset(tmp_path)
    assert dataset.kind == "dirlab-copdgene" and names(dataset) == ["copd3", "copd10"]
    assert dataset.cases[0].files()["fixed"].name == "copd3_eBHCT.img"
    data = dataset.cases[0].load()
    assert data.fixed.array[6, 5, 4] == 0 and data.fixed.array[0, 0, 0] == -1024  # padding as air


def test_broken_voxels_are_clipped(tmp_path, small):
    write_copd(tmp_path, 1, small[0])
    write_raw(tmp_path / "copd" / "copd1_iBHCT.img", small[0], [((0, 0, 0), 13400), ((1, 0, 0), -32768)])
    moving = open_dataset(tmp_path).cases[0].load().moving
    assert (moving.array.min(), moving.array.max()) == (-1024, 3071)


@pytest.mark.parametrize(
    ("raw_set", "planes", "slices"),
    [(dirlab.BREATHING, (0.97, 1.16), (94, 136)), (dirlab.BREATH_HOLD, (0.586, 0.742), (102, 135))],
)
def test_sizes_and_spacings_keep_to_table_b1(raw_set, planes, slices):
    sizes, spacings = zip(*raw_set.sizes.values(), strict=True)
    assert sorted(raw_set.sizes) == list(range(1, 11))
    assert (min(size[2] for size in sizes), max(size[2] for size in sizes)) == slices
    assert (min(spacing[0] for spacing in spacings), max(spacing[0] for spacing in spacings)) == planes
    assert all(x == y and dx == dy and dz == 2.5 for (x, y, _), (dx, dy, dz) in raw_set.sizes.values())


# What is wrong


def test_everything_that_is_wrong_is_told_at_once(tmp_path, small):
    for case in (1, 2, 4, 11):
        write_copd(tmp_path, case, small[0])
    (tmp_path / "copd" / "copd1_iBHCT.img").unlink()
    (tmp_path / "copd" / "copd1_300_eBH_xyz_r1.txt").unlink()
    write_raw(tmp_path / "copd" / "copd2_eBHCT.img", (20, 16, 11))
    write_landmarks(tmp_path / "copd" / "copd4_300_iBH_xyz_r1.txt", [(1, 2, 3)])
    write_raw(tmp_path / "again" / "copd4_iBHCT.img", small[0])
    problems(
        tmp_path,
        "copd1: the landmarks EBH and the image IBH are not in",
        "copd2_eBHCT.img has 7040 bytes where 7680 are needed for 20 x 16 x 12 voxels",
        "has 2 landmarks and",
        "are the same scan of one case; keep one of them",
        "copd11: the set has no such case",
        count=5,
    )


def test_landmarks_outside_the_volume_are_refused(tmp_path, small):
    write_copd(tmp_path, 1, small[0], rows=((1, 2, 3), (20, 16, 13)))
    problems(tmp_path, 'line 2: voxel "20', "is not in its image of 20 x 16 x 12 voxels")


def test_an_empty_volume_is_refused(tmp_path, small):
    write_copd(tmp_path, 1, small[0])
    write_raw(tmp_path / "copd" / "copd1_iBHCT.img", small[0])
    with pytest.raises(InputError, match="copd1_iBHCT.img is constant"):
        open_dataset(tmp_path).cases[0].load()
