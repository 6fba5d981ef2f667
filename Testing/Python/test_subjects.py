"""Pairs of some people of a data set alone."""

import json
from pathlib import Path

import pytest

from finetuning_cases import decathlon, paired
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import of_subjects, read_subjects
from RobustDIRLib.errors import InputError


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("organs"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paired(tmp_path_factory.mktemp("pairs"))


def test_each_scan_of_the_people_is_fixed_once_and_moving_once(organs: Path) -> None:
    dataset = open_dataset(organs)
    people = [case.subject for case in dataset.cases][:2] + [dataset.cases[2].fixed_subject]
    kept = of_subjects(dataset, people)
    fixed, moving = ([case.subjects[k] for case in kept.cases] for k in (0, 1))
    assert sorted(fixed) == sorted(moving) == sorted(people)
    assert all(a != b for a, b in zip(fixed, moving, strict=True))
    assert len({case.name for case in kept.cases}) == len(people)


def test_a_scan_keeps_its_own_label_map(organs: Path) -> None:
    dataset = open_dataset(organs)
    people = {case.subject for case in dataset.cases}
    for case in of_subjects(dataset, people).cases:
        files = case.files()
        assert files["fixed"].name == files["fixed_labels"].name
        assert files["moving"].name == files["moving_labels"].name


def test_listed_pairs_of_the_people_stay_as_they_are(pairs: Path) -> None:
    dataset = open_dataset(pairs)
    chosen = [dataset.cases[2].subject, dataset.cases[0].subject]
    assert of_subjects(dataset, chosen).cases == (dataset.cases[0], dataset.cases[2])


@pytest.mark.parametrize("people", [["nobody"], []])
def test_unknown_people_or_none_are_refused_by_name(organs: Path, people: list[str]) -> None:
    with pytest.raises(InputError, match="nobody" if people else "no pair"):
        of_subjects(open_dataset(organs), people)


def test_one_person_makes_no_pair_of_two(organs: Path) -> None:
    dataset = open_dataset(organs)
    with pytest.raises(InputError, match="make no pair"):
        of_subjects(dataset, [dataset.cases[0].subject])


@pytest.mark.parametrize(
    ("content", "part", "named"),
    [
        (["b", "a"], "test", ("b", "a")),
        ({"train": ["x"], "validation": [], "test": ["b"]}, "test", ("b",)),
        ({"train": ["x", "y"], "test": ["b"]}, "train", ("x", "y")),
    ],
)
def test_a_file_names_people_as_a_list_or_as_a_split(tmp_path: Path, content: object, part: str, named: tuple) -> None:
    file = tmp_path / "split.json"
    file.write_text(json.dumps(content))
    assert read_subjects(file, part) == named


@pytest.mark.parametrize("content", ["[]", '{"train": ["x"]}', '"a"', "[1, 2]", '{"test": "ab"}'])
def test_a_file_that_names_nobody_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "people.json"
    file.write_text(content)
    with pytest.raises(InputError, match="people.json"):
        read_subjects(file)
