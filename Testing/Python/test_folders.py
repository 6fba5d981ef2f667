import json
import os
import shutil

import numpy as np
import pytest

from dataset_cases import (
    GRID,
    names,
    problems,
    untouched,
    write_json,
    write_label_map,
    write_points,
    write_scan,
)
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import read_image
from RobustDIRLib.run_files import DATA_SET


@pytest.fixture
def by_case(tmp_path):
    """Two cases, each a folder; the second has images alone."""
    for role in ("fixed", "moving"):
        write_scan(tmp_path / "ann" / f"{role}.nii.gz", seed=len(role))
        write_points(tmp_path / "ann" / f"{role}_landmarks.csv", 5, seed=len(role))
        write_label_map(tmp_path / "ann" / f"{role}_labels.nrrd")
        write_label_map(tmp_path / "ann" / f"{role}_mask.nii")
        write_scan(tmp_path / "bob smith" / f"{role}.mha")
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("not a case")
    return tmp_path


# By convention


def test_a_folder_a_case(by_case):
    before = untouched(by_case)
    dataset = open_dataset(by_case)
    assert (dataset.name, dataset.kind, dataset.folder) == (by_case.name, "folders", by_case.resolve())
    assert names(dataset) == ["ann", "bob_smith"]
    assert [case.subject for case in dataset.cases] == ["ann", "bob smith"]
    assert [case.preset for case in dataset.cases] == ["generic", "generic"]
    assert len(dataset.cases[0].files()) == 8
    assert set(dataset.cases[1].files()) == {"fixed", "moving"}
    data = dataset.cases[0].load()
    np.testing.assert_array_equal(data.moving.array, read_image(by_case / "ann" / "moving.nii.gz").array)
    assert data.fixed_landmarks is not None and len(data.fixed_landmarks) == 5
    assert data.moving_labels is not None and data.moving_labels.grid.close_to(GRID)
    assert data.fixed_mask is not None
    assert untouched(by_case) == before


def test_a_folder_a_role(tmp_path):
    for name in ("c1", "c2"):
        for role in ("fixed", "moving"):
            write_scan(tmp_path / role / f"{name}.nii.gz")
            write_label_map(tmp_path / f"{role}_labels" / f"{name}.nii.gz")
    (tmp_path / "fixed" / ".hidden").write_text("")
    dataset = open_dataset(tmp_path)
    assert names(dataset) == ["c1", "c2"]
    assert dataset.cases[1].files()["moving_labels"] == tmp_path / "moving_labels" / "c2.nii.gz"


def test_everything_that_is_wrong_is_told_at_once(by_case):
    (by_case / "ann" / "moving_landmarks.csv").write_text("x,y,z\n1,2,3\n")
    write_scan(by_case / "ann" / "fixed.mha")
    (by_case / "bob smith" / "moving.mha").unlink()
    write_scan(by_case / "cy" / "moving.nii.gz")
    told = problems(
        by_case,
        "case ann: " + str(by_case / "ann") + " holds fixed.mha, fixed.nii.gz; keep one of them",
        "case bob smith, moving image: " + str(by_case / "bob smith" / "moving") + " is missing",
        "case cy, fixed image",
        "has 5 landmarks and",
        "has 1 of 1 landmarks outside their image",
    )
    assert len(told) == 5


def test_one_file_on_both_sides_is_noted_by_whatever_name(by_case):
    assert open_dataset(by_case).notes == ()
    (by_case / "ann" / "moving.nii.gz").unlink()
    os.link(by_case / "ann" / "fixed.nii.gz", by_case / "ann" / "moving.nii.gz")
    (note,) = open_dataset(by_case).notes
    assert "the fixed and the moving image of 1 cases (ann)" in note


def test_landmarks_of_one_image_alone_are_refused(by_case):
    (by_case / "ann" / "fixed_landmarks.csv").unlink()
    problems(by_case, "case ann has moving landmarks alone", count=1)


def test_landmarks_in_the_wrong_frame_are_noticed(by_case):
    """RAS taken for LPS turns x and y about: here far out of the image."""
    path = by_case / "ann" / "fixed_landmarks.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("x,y,z", "r,a,s"))
    problems(by_case, "5 of 5 landmarks outside their image", count=1)
    problems(by_case, "they would lie inside it with x and y changed in sign (RAS instead of LPS)", count=1)


# By patterns


@pytest.fixture
def breathing(tmp_path):
    """Phases of two people, exhale fixed, as a 4D scan is stored."""
    for person, phases in (("p1", ("cyc_1_6", "cyc_2")), ("p2", ("cyc_3",))):
        for phase in ("exhale", *phases):
            write_scan(tmp_path / "data" / person / f"{phase}.nii.gz", seed=len(phase))
            write_points(tmp_path / "data" / person / f"{phase}_liver.csv", 4, seed=len(phase))
    return tmp_path / "data"


PATTERN = {
    "fixed": "{subject}/exhale.nii.gz",
    "moving": "{subject}/{phase}.nii.gz",
    "fixed_landmarks": "{subject}/exhale_liver.csv",
    "moving_landmarks": "{subject}/{phase}_liver.csv",
}


@pytest.mark.parametrize("inside", [True, False])
def test_patterns_may_stand_in_the_folder_or_name_it(breathing, tmp_path, inside):
    place = breathing / "robustdir-dataset.json" if inside else tmp_path / "elsewhere" / "liver.json"
    settings = {"pattern": PATTERN, "preset": "brain-mri", "name": "liver"}
    write_json(place, settings if inside else settings | {"folder": str(breathing)})
    dataset = open_dataset(breathing if inside else place)
    assert dataset.name == "liver" and dataset.folder == breathing.resolve()
    assert names(dataset) == ["p1_cyc_1_6", "p1_cyc_2", "p2_cyc_3"]
    assert [case.subject for case in dataset.cases] == ["p1", "p1", "p2"]
    assert {case.preset for case in dataset.cases} == {"brain-mri"}
    assert dataset.cases[0].files()["moving_landmarks"] == breathing / "p1" / "cyc_1_6_liver.csv"
    assert dataset.cases[0].files()["fixed"] == breathing / "p1" / "exhale.nii.gz"


def test_patterns_do_not_reach_out_of_the_files_own_folder_by_default(breathing, tmp_path):
    write_json(tmp_path / "elsewhere" / "liver.json", {"pattern": PATTERN})
    problems(tmp_path / "elsewhere" / "liver.json", "no file in", count=1)


def test_a_star_in_a_pattern_must_fit_one_file(breathing):
    pattern = PATTERN | {"moving_landmarks": "{subject}/{phase}*.csv"}
    write_json(breathing / "robustdir-dataset.json", {"pattern": pattern})
    assert len(open_dataset(breathing).cases) == 3
    write_points(breathing / "p1" / "cyc_2_outside.csv")
    problems(breathing, "2 files in", '"p1/cyc_2*.csv"; make the pattern fit one alone', count=1)


def test_missing_counterparts_are_told_case_by_case(breathing):
    write_json(breathing / "robustdir-dataset.json", {"pattern": PATTERN})
    (breathing / "p1" / "cyc_2_liver.csv").unlink()
    (breathing / "p2" / "exhale.nii.gz").unlink()
    problems(breathing, "case p1_cyc_2, moving landmarks", "case p2_cyc_3, fixed image", count=2)


def test_a_placeholder_that_moving_lacks_is_refused(breathing):
    write_json(breathing / "robustdir-dataset.json", {"pattern": PATTERN | {"fixed": "{subject}/{rest}.nii.gz"}})
    problems(breathing, "has {rest}, which that of moving lacks", count=1)


# Scans that are paired with one another


@pytest.fixture
def mice(tmp_path):
    for k, name in enumerate(("m1", "m10", "m2", "m3", "m4")):
        write_scan(tmp_path / "images" / f"{name}.nii.gz", seed=k)
        write_label_map(tmp_path / "labels" / f"{name}_parcels.nii.gz", seed=k)
    return tmp_path


@pytest.mark.parametrize(
    ("pairing", "pairs"),
    [
        ("neighbours", ["m1-m10", "m2-m3", "m3-m4"]),
        ("chain", ["m1-m10", "m10-m2", "m2-m3", "m3-m4"]),
        ("first", ["m1-m10", "m1-m2", "m1-m3", "m1-m4"]),
        (None, ["m1-m10", "m1-m2", "m1-m3", "m1-m4", "m10-m2", "m10-m3", "m10-m4", "m2-m3", "m2-m4", "m3-m4"]),
    ],
)
def test_scans_are_paired_as_asked(mice, pairing, pairs):
    scans = {"image": "images/{scan}.nii.gz", "labels": "labels/{scan}_parcels.nii.gz"}
    write_json(mice / "robustdir-dataset.json", {"scans": scans} | ({"pairing": pairing} if pairing else {}))
    dataset = open_dataset(mice)
    assert names(dataset) == pairs
    first = dataset.cases[0].files()
    assert (first["fixed"].name, first["moving_labels"].name) == ("m1.nii.gz", "m10_parcels.nii.gz")
    assert dataset.cases[0].subject == "m10"


def test_a_limit_takes_the_first_cases(mice):
    write_json(mice / "robustdir-dataset.json", {"scans": {"image": "images/{scan}.nii.gz"}, "limit": 3})
    assert names(open_dataset(mice)) == ["m1-m10", "m1-m2", "m1-m3"]


# Cases one by one


def test_cases_may_be_listed(by_case):
    entry = {
        "name": "a/b",
        "fixed": "ann/fixed.nii.gz",
        "moving": "bob smith/moving.mha",
        "subject": "s",
        "preset": "lung-ct",
    }
    write_json(by_case / "robustdir-dataset.json", {"cases": [entry]})
    (case,) = open_dataset(by_case).cases
    assert (case.name, case.subject, case.preset) == ("a_b", "s", "lung-ct")


def test_cases_of_one_name_are_refused(by_case):
    entry = {"fixed": "ann/fixed.nii.gz", "moving": "ann/moving.nii.gz"}
    write_json(by_case / "robustdir-dataset.json", {"cases": [entry | {"name": "a b"}, entry | {"name": "A_b"}]})
    problems(by_case, "2 cases are called a_b", count=1)


# Paths that leave the folder


@pytest.mark.parametrize("name", ["../out.nii.gz", "ann/../../out.nii.gz", "{tmp}/out.nii.gz"])
def test_a_path_out_of_the_folder_is_refused(by_case, tmp_path_factory, name):
    outside = write_scan(tmp_path_factory.mktemp("out") / "out.nii.gz").parent
    entry = {"name": "a", "fixed": "ann/fixed.nii.gz", "moving": name.format(tmp=outside)}
    write_json(by_case / "robustdir-dataset.json", {"cases": [entry]})
    problems(by_case, "case a, moving image", "leads out of", count=1)


def test_a_pattern_out_of_the_folder_is_refused(by_case):
    pattern = {"fixed": "../{subject}/fixed.nii.gz", "moving": "../{subject}/moving.nii.gz"}
    write_json(by_case / "robustdir-dataset.json", {"pattern": pattern})
    problems(by_case, "leads out of", count=1)


def test_a_link_out_of_the_folder_is_followed_only_if_allowed(by_case, tmp_path_factory):
    outside = write_scan(tmp_path_factory.mktemp("out") / "out.nii.gz")
    link = by_case / "bob smith" / "moving.mha"
    link.unlink()
    link = link.with_suffix(".nii.gz")
    link.symlink_to(outside)
    problems(by_case, "is a link out of", count=1)
    write_json(by_case / "robustdir-dataset.json", {"links": True})
    assert open_dataset(by_case).cases[1].load().moving.grid.close_to(GRID)


# Hidden files, and stars beside placeholders

APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


def litter(folder):
    """What macOS leaves beside every file, and in every folder; and a snapshot of the whole."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(APPLE)
    for place in [folder, *[path for path in folder.rglob("*") if path.is_dir()]]:
        (place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    for hidden in (".snapshot", "__MACOSX"):
        shutil.copytree(folder, folder / hidden, ignore=shutil.ignore_patterns(".snapshot", "__MACOSX"))


@pytest.mark.parametrize(
    "settings",
    [
        {"scans": {"image": "images/{scan}.nii.gz"}},
        {"scans": {"image": "*/{scan}.nii.gz"}},
        {"scans": {"image": "images/{scan}*"}},
        {"scans": {"image": "images/*{scan}.nii.gz"}},
    ],
    ids=["folder", "star folder", "star end", "star beside a letter"],
)
def test_hidden_files_are_no_scans(tmp_path, settings):
    for name in ("a", "b"):
        write_scan(tmp_path / "images" / f"{name}.nii.gz")
    litter(tmp_path)
    if "{scan}*" in settings["scans"]["image"]:
        with pytest.raises(InputError, match="leaves open"):
            plain(tmp_path, settings)
    else:
        assert names(plain(tmp_path, settings)) == ["a-b"]


def test_hidden_files_are_no_cases_by_convention(by_case):
    before = names(open_dataset(by_case))
    litter(by_case)
    assert names(open_dataset(by_case)) == before


def plain(folder, settings):
    (folder / DATA_SET).write_text(json.dumps(settings))
    return open_dataset(folder)


@pytest.mark.parametrize(
    ("name", "pattern", "scans"),
    [
        ("old_sub{}.nii.gz", "*{scan}.nii.gz", None),
        ("sub{}_old.nii.gz", "{scan}*.nii.gz", None),
        ("old_sub{}.nii.gz", "*_{scan}.nii.gz", "sub1-sub2"),
        ("a_b_sub{}.nii.gz", "*_{scan}.nii.gz", None),
        ("sub{}_old/image.nii.gz", "{scan}*/image.nii.gz", None),
        ("sub{}_old/image.nii.gz", "{scan}_*/image.nii.gz", "sub1-sub2"),
        ("site/sub{}.nii.gz", "*/{scan}.nii.gz", "sub1-sub2"),
    ],
)
def test_a_star_leaves_a_name_whole_or_is_refused(tmp_path, name, pattern, scans):
    for k in (1, 2):
        write_scan(tmp_path / name.format(k))
    settings = {"scans": {"image": pattern}}
    if scans is None:
        with pytest.raises(InputError, match=r"leaves open whether \{scan\}"):
            plain(tmp_path, settings)
    else:
        assert names(plain(tmp_path, settings)) == [scans]


@pytest.mark.parametrize("pattern", ["", "./", "{1}.nii.gz", "{}.nii.gz"])
def test_patterns_that_name_no_file_are_refused_by_a_sentence(tmp_path, pattern):
    write_scan(tmp_path / "a.nii.gz")
    write_scan(tmp_path / "b.nii.gz", seed=1)
    with pytest.raises(InputError, match="pattern|fewer than two"):
        plain(tmp_path, {"scans": {"image": pattern}})


def test_scans_of_one_name_are_refused(tmp_path):
    """Placeholders are joined by underscores, so that `a/s_1` and `a_s/1` come to one name."""
    for name in ("a/s_1", "a_s/1"):
        write_scan(tmp_path / f"{name}.nii.gz")
    with pytest.raises(InputError, match="2 scans of .* are called a_s_1"):
        plain(tmp_path, {"scans": {"image": "{site}/{scan}.nii.gz"}})


def test_names_that_no_file_can_have_are_refused(by_case):
    entry = {"fixed": "ann/fixed.nii.gz", "moving": "ann/moving.nii.gz"}
    with pytest.raises(InputError, match="at most 150 letters"):
        plain(by_case, {"cases": [{"name": "x" * 200, **entry}]})


@pytest.mark.parametrize("kind", ["nonsense", "ixi"])
def test_a_kind_beside_patterns_is_refused_by_a_sentence(by_case, kind):
    (by_case / DATA_SET).write_text(json.dumps({"pattern": {"fixed": "a", "moving": "b"}}))
    with pytest.raises(InputError, match=f"`kind` {kind}"):
        open_dataset(by_case, kind)


@pytest.mark.parametrize("text", ['{"limit": 1, "limit": 2}', '{"scans": {"image": "a", "image": "b"}}'])
def test_settings_given_twice_are_refused(by_case, text):
    (by_case / DATA_SET).write_text(text)
    with pytest.raises(InputError, match="comes twice"):
        open_dataset(by_case)
