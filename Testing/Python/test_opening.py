import pickle

import pytest

from dataset_cases import problems, write_json, write_scan
from RobustDIRLib.datasets.opening import KINDS, open_dataset
from RobustDIRLib.datasets.settings import Settings
from RobustDIRLib.errors import InputError


@pytest.fixture
def a_set(tmp_path):
    for role in ("fixed", "moving"):
        write_scan(tmp_path / "a" / f"{role}.nii.gz")
    return tmp_path


def test_a_data_set_can_be_sent_to_another_process(a_set):
    dataset = open_dataset(a_set)
    again = pickle.loads(pickle.dumps(dataset))
    assert again == dataset
    assert again.cases[0].load().fixed.grid == dataset.cases[0].load().fixed.grid


def test_opening_twice_gives_the_same(a_set):
    assert open_dataset(a_set) == open_dataset(str(a_set))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"colour": 1}, "has no setting colour: known are folder, kind"),
        ({"preset": "knee"}, 'no preset "knee"'),
        ({"pairing": "random"}, 'no pairing "random"; choose one of neighbours'),
        ({"limit": 0}, "leaves no case"),
        ({"per_site": 1}, "leaves no pair"),
        ({"pattern": {"fixed": "a"}}, "lacks the setting moving"),
        ({"pattern": {"fixed": "a", "moving": "b"}, "scans": {"image": "c"}}, "exclude one another"),
        ({"pattern": {"fixed": "a", "moving": "b"}, "pairing": "all"}, "pairing is for scans"),
        ({"cases": [], "kind": "ixi"}, 'are for the kind "folders", not "ixi"'),
        ({"folder": "gone"}, "does not exist; correct the setting folder"),
        ({"limit": "3"}, "must be of type int"),
    ],
)
def test_wrong_settings_are_named_with_their_file(a_set, settings, said):
    path = write_json(a_set / "robustdir-dataset.json", settings)
    with pytest.raises(InputError) as caught:
        open_dataset(a_set)
    assert str(path) in str(caught.value) and said in str(caught.value)


def test_a_file_that_is_no_json_is_refused(a_set):
    (a_set / "robustdir-dataset.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        open_dataset(a_set)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "lungs"}, "`kind` lungs: there is no such kind"),
        ({"split": "validation"}, "`split` validation: data sets of the kind folders have no parts"),
    ],
)
def test_unfit_options_are_refused(a_set, options, said):
    with pytest.raises(InputError, match=said):
        open_dataset(a_set, **options)


def test_per_site_is_for_hospitals(a_set):
    write_json(a_set / "robustdir-dataset.json", {"per_site": 5})
    with pytest.raises(InputError, match="setting of the kind ixi alone"):
        open_dataset(a_set)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_folder_is_refused_by_every_kind(tmp_path, kind):
    with pytest.raises(InputError, match=str(tmp_path)):
        open_dataset(tmp_path, kind)


def test_a_folder_of_no_known_kind_is_refused_with_a_way_out(tmp_path):
    write_scan(tmp_path / "one.nii.gz")
    problems(tmp_path, "robustdir dataset list", "robustdir-dataset.json", count=1)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; check the path"):
        open_dataset(tmp_path / "gone")


def test_a_long_list_of_problems_is_cut(tmp_path):
    for k in range(60):
        write_scan(tmp_path / f"case{k}" / "fixed.nii.gz")
    told = problems(tmp_path)
    assert len(told) == 51 and told[-1] == "- and 10 more"


def test_a_damaged_header_is_a_problem_where_landmarks_need_it(a_set):
    (a_set / "a" / "fixed.nii.gz").write_bytes(b"no image")
    for role in ("fixed", "moving"):
        (a_set / "a" / f"{role}_landmarks.csv").write_text("x,y,z\n1,2,3\n")
    problems(a_set, "fixed.nii.gz is damaged", count=1)


def test_settings_without_anything_are_the_defaults():
    assert not Settings().plain
