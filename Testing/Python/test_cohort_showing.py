"""A case of an evaluation registered again to be looked at: the same terms, and what has changed is said."""

import numpy as np
import pytest

import cohort_cases as cases
from RobustDIRLib.cohort import run as running
from RobustDIRLib.cohort import showing
from RobustDIRLib.cohort.terms import Terms
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError


@pytest.fixture
def evaluation(tmp_path, monkeypatch):
    """Two cases by two methods, on a working grid of 4.5 mm."""
    cases.stand_in(monkeypatch)
    monkeypatch.setattr(running, "open_dataset", open_dataset)
    monkeypatch.setattr(showing, "find_method", cases.find_method)
    cases.write_dataset(tmp_path / "data", 2)
    request = running.Request(tmp_path / "data", ("fair", "still"), worst=0, threads=3, terms=Terms(spacing="4.5"))
    running.evaluate(request, tmp_path / "out", cases.Ear())
    return tmp_path / "out"


def test_it_is_the_case_and_the_method_that_were_asked_for(evaluation):
    shown = showing.register_again(evaluation, "case1", "fair")
    moved = np.array(shown.outcome.transform.TransformPoint((1.0, 2.0, 3.0))) - [1, 2, 3]
    np.testing.assert_allclose(moved, cases.shift_of(1) + [2.0, 0, 0])  # the method errs by 2 mm
    np.testing.assert_allclose(shown.data.moving.grid.origin, cases.moving_grid(1).origin, atol=1e-4)
    assert len(shown.data.fixed_landmarks.points) == len(cases.POINTS)
    assert shown.notes == ()


def test_terms_and_threads_are_the_evaluations(evaluation, monkeypatch):
    seen = []

    class Spy(cases.Still):
        def register(self, pair, threads):
            seen.append((pair.spacing, threads))
            return super().register(pair, threads)

    monkeypatch.setattr(showing, "find_method", lambda name: Spy(name))
    showing.register_again(evaluation, "case0", "still")
    assert seen == [(4.5, 3)]


def test_a_change_since_then_is_said(evaluation):
    path = evaluation.with_name("data") / "case1" / "moving.nii.gz"
    path.write_bytes((path.parent.with_name("case0") / "moving.nii.gz").read_bytes())
    assert "has changed since" in showing.register_again(evaluation, "case1", "still").notes[0]


def test_what_is_not_there_is_refused(evaluation, tmp_path):
    with pytest.raises(InputError, match="no results of best"):
        showing.register_again(evaluation, "case1", "best")
    with pytest.raises(InputError, match="no case case7 any more"):
        showing.register_again(evaluation, "case7", "still")
    with pytest.raises(InputError, match="holds no evaluation"):
        showing.register_again(tmp_path / "data", "case1", "still")
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="data"):
        showing.register_again(evaluation, "case1", "still")
