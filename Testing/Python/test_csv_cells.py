"""Cells that no spreadsheet computes, and that are the same text when they are read again."""

import csv
import io

import numpy as np
import pytest

from RobustDIRLib.io.csv_cells import CellWriter, as_cell, from_cell
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks, write_landmarks

FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")', " =1", "-a")
PLAIN = ("apex", "", "-", "a=b", "-12.5", "+1e-3", "-inf", "O'Neil", "'quoted'")


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text_and_come_back(text):
    assert as_cell(text) == "'" + text
    assert from_cell(as_cell(text)) == text


@pytest.mark.parametrize("value", [*PLAIN, -1.5, 3, None, np.float64(-2.5), True])
def test_numbers_and_plain_text_stay(value):
    assert as_cell(value) is value
    if isinstance(value, str):
        assert from_cell(value) == value


@pytest.mark.parametrize("text", ["'=1", "''=1", "' =1"])
def test_a_quote_of_the_text_itself_comes_back(text):
    assert from_cell(as_cell(text)) == text


def test_rows_are_written_with_numbers_as_they_are():
    file = io.StringIO()
    CellWriter(file).writerows([["=1", -2.5, "-2.5", None], ["a", 1, "x", "@y"]])
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [["'=1", "-2.5", "-2.5", ""], ["a", "1", "x", "'@y"]]


def test_landmarks_keep_their_names(tmp_path):
    names = tuple(name for name in FORMULAS if name == name.strip())
    points = -np.arange(3.0 * len(names)).reshape(-1, 3)
    write_landmarks(tmp_path / "a.csv", Landmarks(points, names))
    rows = list(csv.reader((tmp_path / "a.csv").open(newline="")))[1:]
    assert all(row[3].startswith("'") for row in rows)
    back = read_landmarks(tmp_path / "a.csv")
    assert back.names == names
    np.testing.assert_array_equal(back.points, points)
