"""A result's file is whole, its own and of the settings asked for, or it does not count."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from RobustDIRLib.cohort.plan import checksums
from RobustDIRLib.cohort.results import (
    Condition,
    Key,
    LabelRow,
    LandmarkTable,
    Result,
    State,
    differences,
    look,
    read_result,
    safe_name,
    write_result,
)
from RobustDIRLib.errors import InputError

KEY = Key("case 7/ü", "elastix", Condition("low-dose", 2.5))
MADE_WITH = {"input": {"fixed": "ab" * 32}, "method": {"iterations": 100, "grid": [80, 40]}, "robustdir": "1"}


@pytest.fixture
def a_result() -> Result:
    landmarks = LandmarkTable(("carina", "2"), (1.5, -2.0), (0.25, 3.0), (4.0, 5.0), (9.0, 8.0), (0.5, 0.75))
    rows = (LabelRow(3, 10, 12, {"dice": 0.5, "hd95_mm": 2.25}), LabelRow(7, 4, 0, reason="in the fixed map alone"))
    return Result(
        KEY, "person 7", MADE_WITH, {"fixed": [1, 2**40, 3]}, values={"dice": 0.5}, undefined={"tre_mean_mm": "no"},
        landmarks=landmarks, labels=rows, notes=("resampled",), threads=3, seconds=1.25, versions={"numpy": "2"},
    )  # fmt: skip


def test_what_is_written_is_read(a_result, tmp_path):
    path = write_result(tmp_path, a_result)
    assert path == KEY.path(tmp_path)
    assert read_result(path) == a_result
    assert look(tmp_path, KEY, MADE_WITH).state is State.DONE


def test_failed_result_keeps_its_reason(a_result, tmp_path):
    write_result(tmp_path, replace(a_result, reason="memory ran out", values={}))
    found = look(tmp_path, KEY, MADE_WITH)
    assert found.state is State.FAILED
    assert found.result.reason == "memory ran out"


def test_nothing_there_is_missing(tmp_path):
    assert look(tmp_path, KEY).state is State.MISSING


@pytest.mark.parametrize("kept", [0, 1, 40, 0.5, -2])
def test_a_file_cut_short_is_damaged(a_result, tmp_path, kept):
    path = write_result(tmp_path, a_result)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    found = look(tmp_path, KEY)
    assert found.state is State.DAMAGED
    assert str(path) in found.problem


def test_every_changed_character_is_noticed(a_result, tmp_path):
    path = write_result(tmp_path, a_result)
    text = path.read_text(encoding="utf-8")
    for place in range(0, len(text) - 1, 7):
        path.write_text(text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :])
        assert look(tmp_path, KEY).state is State.DAMAGED, text[place : place + 20]


@pytest.mark.parametrize("content", ['{"a": 1}', "[]", "null", '"text"', '{"format": "robustdir-result-1"}'])
def test_foreign_json_is_damaged(a_result, tmp_path, content):
    path = write_result(tmp_path, a_result)
    path.write_text(content)
    assert look(tmp_path, KEY).state is State.DAMAGED


def test_result_of_another_pair_does_not_count(a_result, tmp_path):
    path = write_result(tmp_path, a_result)
    elsewhere = replace(KEY, case="other").path(tmp_path)
    path.rename(elsewhere)
    found = look(tmp_path, replace(KEY, case="other"))
    assert found.state is State.DAMAGED
    assert "another pair" in found.problem


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"method": {"iterations": 250, "grid": [80, 40]}}, "method.iterations: 100 -> 250"),
        ({"method": {"iterations": 100, "grid": [80]}}, "method.grid: [80, 40] -> [80]"),
        ({"input": {"fixed": "cd" * 32}}, "input.fixed: abababababab... -> cdcdcdcdcdcd..."),
        ({"input": {"fixed": "ab" * 32, "moving": "0"}}, "input.moving: nothing -> 0"),
        ({"robustdir": "2"}, "robustdir: 1 -> 2"),
    ],
)
def test_other_settings_are_told_apart(a_result, tmp_path, changed, words):
    write_result(tmp_path, a_result)
    found = look(tmp_path, KEY, {**MADE_WITH, **changed})
    assert found.state is State.OTHER
    assert found.problem == words


def test_tuples_and_lists_are_the_same_settings(a_result, tmp_path):
    write_result(tmp_path, replace(a_result, made_with={"window": (1.0, 2.0)}))
    assert differences(look(tmp_path, KEY).result.made_with, {"window": [1.0, 2.0]}) == []


def test_no_number_that_json_lacks_is_written(a_result, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path, replace(a_result, values={"dice": float("nan")}))
    assert look(tmp_path, KEY).state is State.MISSING
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_written_to_is_named(a_result, tmp_path):
    (tmp_path / "results").write_text("in the way")
    with pytest.raises((InputError, OSError)):
        write_result(tmp_path, a_result)


class TestSafeName:
    @pytest.mark.parametrize("name", ["case1", "IXI002-Guys", "a.b_c+d"])
    def test_plain_names_stay(self, name):
        assert safe_name(name) == name

    @pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "a b", "ü", "x" * 300, "CON.", "a\\b", "~/w", "-o"])
    def test_others_become_plain_and_stay_apart(self, name):
        made = safe_name(name)
        assert made != name
        assert safe_name(made) == made
        assert "/" not in made
        assert not made.startswith((".", "-"))
        assert len(made) < 90

    def test_unlike_names_never_meet(self):
        names = ["a/b", "a_b", "a b", "a\\b", "a:b", "a__b"]
        assert len({safe_name(name) for name in names}) == len(names)


def test_places_differ_by_case_method_kind_and_strength(tmp_path):
    keys = [
        *(Key("a", "m"), Key("b", "m"), Key("a", "n"), Key("a", "m", Condition("y", 1))),
        *(Key("a", "m", Condition("x", strength)) for strength in (1, 1.5, 1.25e-6)),
    ]
    assert len({key.path(tmp_path) for key in keys}) == len({key.picture(tmp_path) for key in keys}) == len(keys)


def test_file_says_its_format(a_result, tmp_path):
    assert json.loads(write_result(tmp_path, a_result).read_text(encoding="utf-8"))["format"] == "robustdir-result-1"


@pytest.mark.parametrize("change", ["exchange", "older"])
def test_a_folder_of_slices_is_read_again_though_its_size_and_latest_change_stay(a_result, tmp_path, change):
    files = [tmp_path / name for name in ("1.dcm", "2.dcm", "3.dcm")]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 9)
        os.utime(file, (1000 + number, 1000 + number))
    case = SimpleNamespace(files=lambda: {"fixed": tmp_path})
    sums, stamps = checksums(case)
    known = replace(a_result, made_with={"input": sums}, stamps=stamps)
    assert checksums(case, known) == (sums, stamps)
    if change == "exchange":
        for source, target in ((files[0], tmp_path / "x"), (files[1], files[0]), (tmp_path / "x", files[1])):
            source.rename(target)
    else:
        files[1].write_bytes(b"9" * 9)
        os.utime(files[1], (900, 900))
    assert checksums(case, known)[0] != sums
