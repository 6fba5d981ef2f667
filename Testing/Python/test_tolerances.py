"""What is held against which limit, and what cannot be judged says why."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.landmarks import tre_spread
from RobustDIRLib.evaluation.run_figures import TRE_FIGURES, Figure, figures_of
from RobustDIRLib.evaluation.tolerances import CRITERIA, DEFAULTS, Tolerances, Verdict, summary

VOXEL_MM = 2.6
LIBRARY = Path(__file__).parents[2] / "RobustDIR"


def some_measures(**changes) -> dict:
    """As `run.json` holds them: every figure another one."""
    measures = {
        "folding_percent": 0.0,
        "sdlogj": 0.2,
        "inverse_residual_mm": {"mean": 0.3, "p95": 1.4, "max": 9.0},
        "tre": {
            "count": 3,
            "after_mean_mm": 2.4,
            "landmarks": [
                {"name": "apex", "before_mm": 9.0, "linear_mm": 5.0, "after_mm": 1.1},
                {"name": "dome", "before_mm": 3.0, "linear_mm": 4.0, "after_mm": 4.7},
                {"name": "hilum", "before_mm": 1.0, "linear_mm": 2.0, "after_mm": 1.4},
            ],
        },
        "dice": [
            {
                "labels": [
                    {"label": 2, "before": 0.5, "after": 0.93, "mda_mm": 1.1, "hd95_mm": 6.5},
                    {"label": 7, "before": 0.4, "after": 0.82, "mda_mm": 2.9, "hd95_mm": 4.2},
                ]
            }
        ],
    }
    return measures | changes


def labels(*rows: dict) -> dict:
    return {"dice": [{"labels": list(rows)}]}


def landmarks(*errors: float) -> dict:
    rows = [{"name": f"point {number}", "after_mm": error} for number, error in enumerate(errors)]
    return {"tre": {"count": len(rows), "landmarks": rows}}


def verdicts(measures: dict, tolerances: Tolerances = DEFAULTS, voxel_mm: float = VOXEL_MM) -> dict[str, Verdict]:
    return {j.criterion.name: j.verdict for j in tolerances.judge_all(figures_of(measures), voxel_mm)}


def test_figures_are_the_worst_and_say_where():
    figures = figures_of(some_measures())
    assert {name: (figure.value, figure.note) for name, figure in figures.items()} == {
        "tre_mean_mm": (pytest.approx(2.4), "3 landmarks"),
        "tre_median_mm": (1.4, "3 landmarks"),
        "tre_p95_mm": (pytest.approx(1.4 + 0.9 * 3.3), "3 landmarks"),
        "tre_max_mm": (4.7, "landmark dome"),
        "tre_near_percent": (pytest.approx(200 / 3), "3 landmarks"),
        "mda_mm": (2.9, "label 7"),
        "hd95_mm": (6.5, "label 2"),
        "dice": (0.82, "label 7"),
        "folding_percent": (0.0, ""),
        "sdlogj": (0.2, ""),
        "inverse_p95_mm": (1.4, ""),
    }
    assert list(figures) == [criterion.name for criterion in CRITERIA]


@pytest.mark.parametrize("count", [1, 2, 3, 20, 41])
def test_the_spread_of_errors_is_numpys(count):
    errors = np.random.default_rng(count).gamma(2.0, 1.2, count)
    near = 100 * np.mean(errors < 2)
    expected = errors.mean(), np.median(errors), np.percentile(errors, 95), errors.max(), near
    assert list(tre_spread(errors.tolist()).values()) == pytest.approx(expected)


JUDGED = {"tre_mean_mm", "tre_max_mm", "mda_mm", "dice", "folding_percent", "inverse_p95_mm"}


def test_by_default_what_has_a_published_limit_is_judged_and_the_rest_is_not():
    found = verdicts(some_measures())
    assert {name for name, verdict in found.items() if verdict == Verdict.WITHIN} == JUDGED
    assert {name for name, verdict in found.items() if verdict == Verdict.NOT_JUDGED} == set(found) - JUDGED


@pytest.mark.parametrize(
    ("criterion", "limit", "value"),
    [
        ("tre_median_mm", 1.3, 1.4),
        ("tre_p95_mm", 4, 4.37),
        ("tre_near_percent", 67, 66.667),
        ("hd95_mm", 6, 6.5),
        ("sdlogj", 0.1, 0.2),
    ],
)
def test_a_limit_of_ones_own_decides(criterion, limit, value):
    figure = figures_of(some_measures())[criterion]
    assert figure.value == pytest.approx(value, abs=1e-3)
    found = verdicts(some_measures(), Tolerances({criterion: limit}))
    assert {name for name, verdict in found.items() if verdict == Verdict.OUTSIDE} == {criterion}
    better = value - 1 if criterion == "tre_near_percent" else value + 1
    assert verdicts(some_measures(), Tolerances({criterion: better}))[criterion] == Verdict.WITHIN


@pytest.mark.parametrize(
    ("criterion", "change"),
    [
        ("tre_mean_mm", landmarks(2.61)),
        ("tre_max_mm", landmarks(5.01, 0.1)),
        ("mda_mm", labels({"label": 1, "after": 0.9, "mda_mm": 3.01})),
        ("dice", labels({"label": 1, "after": 0.79, "mda_mm": 1.0})),
        ("folding_percent", {"folding_percent": 1e-9}),
        ("inverse_p95_mm", {"inverse_residual_mm": {"p95": 2.61}}),
    ],
)
def test_each_default_limit_decides_alone(criterion, change):
    found = verdicts(some_measures(**change))
    assert found.pop(criterion) == Verdict.OUTSIDE
    assert {found[name] for name in JUDGED - {criterion}} == {Verdict.WITHIN}


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda criterion: criterion.name)
def test_a_limit_itself_is_within(criterion):
    tolerances = Tolerances({criterion.name: 0.5})
    worse = -1e-9 if criterion.at_least else 1e-9
    assert tolerances.judge(criterion.name, Figure(0.5), 1.0).verdict == Verdict.WITHIN
    assert tolerances.judge(criterion.name, Figure(0.5 + worse), 1.0).verdict == Verdict.OUTSIDE


def test_the_voxel_limit_is_the_given_side():
    judgement = DEFAULTS.judge("tre_mean_mm", Figure(0.2), 0.15)
    assert (judgement.verdict, judgement.limit) == (Verdict.OUTSIDE, 0.15)
    assert judgement.limit_text == "at most 0.15 mm (largest voxel side)"
    assert DEFAULTS.judge("dice", Figure(0.9), 0.15).limit_text == "at least 0.8"


@pytest.mark.parametrize(
    ("criterion", "change", "reason"),
    [
        ("tre_mean_mm", {"tre": None}, "no paired landmarks were given"),
        ("tre_max_mm", {"tre": None}, "no paired landmarks were given"),
        ("tre_near_percent", {"tre": None}, "no paired landmarks were given"),
        ("sdlogj", {"sdlogj": None}, "the run did not record it"),
        ("hd95_mm", labels({"label": 1, "after": 0.9, "mda_mm": 1.0}), "it was not measured"),
        ("dice", {"dice": []}, "no pair of label maps was given"),
        ("mda_mm", labels({"label": 1, "after": 0.9}), "it was not measured"),
        ("mda_mm", labels({"label": 1, "after": 0.9, "mda_mm": None}), "undefined for label 1"),
        ("dice", labels({"label": 1, "after": 0.0, "only_in": "fixed"}), "the label maps have no label in common"),
        ("folding_percent", {"folding_percent": None}, "the run did not record it"),
        ("inverse_p95_mm", {"inverse_residual_mm": None}, "the run did not record it"),
        ("inverse_p95_mm", {"inverse_residual_mm": {"p95": math.nan}}, "the figure is nan, not a finite number"),
    ],
)
def test_what_is_undefined_says_why(criterion, change, reason):
    measures = some_measures(**change)
    figure = figures_of(measures)[criterion]
    assert (figure.value, figure.note) == (None, reason)
    tolerances = Tolerances({criterion: 0.5})
    assert verdicts(measures, tolerances)[criterion] == Verdict.UNDEFINED


def test_a_landmark_that_is_no_number_is_not_passed_over():
    tre = some_measures()["tre"]
    tre["landmarks"][1]["after_mm"] = math.nan
    figures = figures_of(some_measures(tre=tre))
    assert {figures[name].value for name in TRE_FIGURES} == {None}
    assert "nan" in figures["tre_max_mm"].note


def test_a_structure_without_figure_leaves_the_worst_open_unless_another_is_outside_already():
    for distance, verdict in ((1.0, Verdict.UNDEFINED), (3.5, Verdict.OUTSIDE)):
        rows = ({"label": 1, "after": 0.9, "mda_mm": distance}, {"label": 4, "after": 0.9})
        assert verdicts(some_measures(**labels(*rows)))["mda_mm"] == verdict
    note = figures_of(some_measures(**labels(*rows)))["mda_mm"].note
    assert note == "label 1; undefined for label 4"


def test_labels_of_several_maps_are_told_apart():
    maps = [{"labels": [{"label": 3, "after": 0.9}]}, {"labels": [{"label": 3, "after": 0.6}]}]
    assert figures_of(some_measures(dice=maps))["dice"].note == "label 3 of map 2"


def test_a_limit_can_be_taken_away():
    tolerances = Tolerances.from_json({"dice": None, "tre_mean_mm": "off"})
    found = verdicts(some_measures(**labels({"label": 1, "after": 0.1, "mda_mm": 1.0})), tolerances)
    assert found["dice"] == found["tre_mean_mm"] == Verdict.NOT_JUDGED
    assert tolerances.judge("dice", Figure(0.1), 1.0).limit_text == "none set"


def test_settings_of_the_command_line_change_what_they_name_and_nothing_else():
    edited = Tolerances({"dice": 0.9, "tre_max_mm": 7.0}).edited(["tre_max_mm = 4", "inverse_p95_mm=off"])
    assert edited.to_json() == DEFAULTS.to_json() | {"dice": 0.9, "tre_max_mm": 4.0, "inverse_p95_mm": "off"}
    assert Tolerances.from_json(edited.to_json()) == edited


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dice", "write NAME=LIMIT"),
        ("tre=3", "there is no tolerance tre; known are tre_mean_mm"),
        ("dice=1.2", "dice cannot be; give a number from 0 to 1, or off"),
        ("dice=voxel", "dice cannot be"),
        ("tre_max_mm=-1", "tre_max_mm cannot be; give a number from 0 mm upwards, or voxel or off"),
        ("tre_max_mm=nan", "tre_max_mm cannot be"),
        ("tre_max_mm=inf", "tre_max_mm cannot be"),
        ("folding_percent=101", "folding_percent cannot be; give a number from 0 to 100 %, or off"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(InputError, match=message) as refused:
        DEFAULTS.edited([setting])
    assert str(refused.value).startswith("`tolerance`")


@pytest.mark.parametrize("values", [[], "voxel", {"dice": True}, {"dice": [0.8]}, {"dice": {"at least": 0.8}}])
def test_json_of_another_form_is_refused(values):
    with pytest.raises(InputError, match="^limits.json: "):
        Tolerances.from_json(values, "limits.json")


def test_summary_names_what_is_outside_and_what_is_undefined():
    def of(**changes) -> str:
        return summary(DEFAULTS.judge_all(figures_of(some_measures(**changes)), VOXEL_MM))

    assert of() == "All 6 judged figures within tolerance."
    assert of(folding_percent=0.1) == "1 of 6 judged figures outside tolerance."
    assert of(folding_percent=0.1, tre=None) == "1 of 4 judged figures outside tolerance; 2 undefined."
    unmeasured = "Accuracy was not measured: no landmarks and no structures; of the other figures"
    assert of(tre=None, dice=[]) == f"{unmeasured} 2 within tolerance."
    assert of(tre=None, dice=[], folding_percent=0.1) == f"{unmeasured} 1 outside tolerance, 1 within tolerance."
    assert summary(()) == "No figure could be judged."


def test_verdicts_are_told_apart_without_colour_and_never_call_anything_safe():
    assert len({verdict.symbol for verdict in Verdict}) == len(Verdict)
    assert not any("safe" in verdict.value for verdict in Verdict)


def test_neither_torch_nor_numpy_is_needed():
    code = f"""
import sys; sys.path.insert(0, {str(LIBRARY)!r})
import RobustDIRLib.evaluation.tolerances, RobustDIRLib.evaluation.run_figures
print(sorted(set(sys.modules) & {{"torch", "numpy"}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
