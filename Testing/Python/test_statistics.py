"""The tests of section 2.4.3 against statsmodels, SciPy and hand-worked cases; what is left out is said."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.linalg import helmert
from statsmodels.stats.anova import AnovaRM

from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.significance import StatisticsSettings, median_interval, ranked_anova, summarise
from RobustDIRLib.evaluation.statistics import average_per_subject, compare_methods

METHODS = ("ours", "elastix", "ants", "none")


@pytest.fixture
def table() -> np.ndarray:
    """TRE of 13 subjects by 4 methods, mm: subjects differ, the last two methods are worse, spreads are unlike."""
    rng = np.random.default_rng(11)
    subjects = rng.gamma(3, 1, (13, 1))
    return subjects + rng.gamma(2, [0.2, 0.3, 0.5, 0.9], (13, 4)) + [0, 0.1, 0.9, 2.5]


def records(table: np.ndarray, metric: str = "tre") -> list[dict[str, Any]]:
    return [
        {"subject": f"s{i}", "method": method, "metric": metric, "value": value}
        for i, row in enumerate(table)
        for method, value in zip(METHODS, row, strict=False)
    ]


# --- ANOVA ------------------------------------------------------------------------------------------------------------


def test_anova_agrees_with_statsmodels_on_ranks(table: np.ndarray) -> None:
    table[2, 1] = table[5, 3]  # a tie
    long = pd.DataFrame(records(table))
    long["rank"] = stats.rankdata(long["value"])
    oracle = AnovaRM(long, "rank", "subject", ["method"]).fit().anova_table.loc["method"]
    found = ranked_anova(table)
    assert found.f.value == pytest.approx(oracle["F Value"])
    assert found.p.value == pytest.approx(oracle["Pr > F"])
    assert found.degrees == (oracle["Num DF"], oracle["Den DF"])


def test_anova_of_a_hand_worked_case() -> None:
    """Ranks 1 3 4, 2 6 5: methods' sums of squares 12.0, subjects' 4.17, in all 17.5, so 1.33 for the error."""
    found = ranked_anova(np.array([[10.0, 30, 40], [20, 60, 50]]))
    total, methods, subjects = 17.5, 2 * (2.0**2 + 1.0**2 + 1.0**2), 3 * 2 * (5 / 6) ** 2
    assert found.f.value == pytest.approx((methods / 2) / ((total - methods - subjects) / 2))


def test_only_ranks_count(table: np.ndarray) -> None:
    assert ranked_anova(np.exp(table)) == ranked_anova(table)


def test_subjects_are_paired(table: np.ndarray) -> None:
    """Shuffling each method's values over the subjects loses what they have in common."""
    rng = np.random.default_rng(0)
    small = table[:, :2]
    shuffled = np.stack([rng.permutation(column) for column in small.T], axis=1)
    paired, unpaired = ranked_anova(small), ranked_anova(shuffled)
    assert paired.p.value is not None and unpaired.p.value is not None
    assert paired.p.value < unpaired.p.value


def test_epsilon_is_that_of_the_contrasts_eigenvalues(table: np.ndarray) -> None:
    """Greenhouse and Geisser 1959, by orthonormal contrasts."""
    contrasts = helmert(4)
    spread = np.linalg.eigvalsh(contrasts @ np.cov(stats.rankdata(table).reshape(table.shape).T) @ contrasts.T)
    found = ranked_anova(table)
    epsilon = spread.sum() ** 2 / (3 * (spread**2).sum())
    assert found.epsilon.value == pytest.approx(epsilon)
    assert found.p_corrected.value == pytest.approx(stats.f.sf(found.f.value, 3 * epsilon, 36 * epsilon))
    assert ranked_anova(table[:, :2]).epsilon.value == pytest.approx(1)


def test_methods_that_differ_by_the_same_everywhere() -> None:
    found = ranked_anova(np.arange(12.0).reshape(2, 6).T)
    assert (found.p.value, found.f.reason) == (0.0, Reason.NOT_FINITE)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((0, 3), Reason.TOO_FEW_SUBJECTS), ((1, 3), Reason.TOO_FEW_SUBJECTS), ((9, 1), Reason.TOO_FEW_METHODS)],
)
def test_too_few_for_a_test(shape: tuple[int, int], reason: Reason) -> None:
    assert ranked_anova(np.zeros(shape)).p.reason is reason


def test_equal_values_everywhere_are_no_difference() -> None:
    """As of folding, which often is 0 for all."""
    found = ranked_anova(np.zeros((10, 3)))
    assert found.p.reason is found.f.reason is Reason.NO_DIFFERENCES


def test_equal_methods_on_unlike_subjects_are_no_difference() -> None:
    found = ranked_anova(np.repeat(np.arange(8.0)[:, None], 3, axis=1))
    assert found.p.reason is Reason.NO_DIFFERENCES


def test_false_alarms_are_as_many_as_alpha_says() -> None:
    rng = np.random.default_rng(1)
    p = [ranked_anova(rng.gamma(2, 1, (12, 3)) + rng.gamma(2, 2, (12, 1))).p.value for _ in range(400)]
    assert 0.02 < np.mean(np.array(p, dtype=float) < 0.05) < 0.08


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_pairs_agree_with_scipy_and_are_corrected_for_metrics_and_pairs(table: np.ndarray) -> None:
    both = records(table) + records(np.flip(table, axis=0) * 2, "assd")
    found = compare_methods(both)
    assert found.factor == 2 * 6
    pairs = found.metrics["tre"].pairs
    assert [(p.first, p.second) for p in pairs] == [
        ("ours", "elastix"), ("ours", "ants"), ("ours", "none"), ("elastix", "ants"), ("elastix", "none"),
        ("ants", "none"),
    ]  # fmt: skip
    for pair in pairs:
        values = table[:, METHODS.index(pair.first)], table[:, METHODS.index(pair.second)]
        oracle = stats.wilcoxon(*values)
        assert (pair.statistic.value, pair.p.value) == pytest.approx((oracle.statistic, oracle.pvalue))
        assert pair.p_corrected.value == pytest.approx(min(1, 12 * oracle.pvalue))
        assert pair.significant == (12 * oracle.pvalue < 0.05)
        assert pair.median_difference.value == pytest.approx(np.median(values[0] - values[1]))
        assert pair.low.value <= pair.median_difference.value <= pair.high.value
    assert {p.significant for p in pairs} == {True, False}


def test_bonferroni_counts_the_metrics_that_are_asked_for(table: np.ndarray) -> None:
    both = records(table) + records(table, "assd")
    assert compare_methods(both, metrics=["assd"]).factor == 6
    assert compare_methods(both, methods=METHODS[:3]).factor == 2 * 3
    alone = compare_methods(both, methods=METHODS[:1])
    assert alone.factor == 0 and alone.metrics["tre"].anova.p.reason is Reason.TOO_FEW_METHODS


def test_no_pair_is_tested_where_the_anova_finds_nothing() -> None:
    rng = np.random.default_rng(5)
    found = compare_methods(records(rng.normal(size=(10, 3)))).metrics["tre"]
    assert found.anova.p.value is not None and found.anova.p.value > 0.05
    assert found.pairs == () and not found.differ("ours", "elastix")


def test_a_stricter_alpha_finds_less(table: np.ndarray) -> None:
    strict = compare_methods(records(table), settings=StatisticsSettings(alpha=1e-20)).metrics["tre"]
    assert not strict.pairs
    loose = compare_methods(records(table), settings=StatisticsSettings(alpha=0.9)).metrics["tre"]
    assert all(pair.significant for pair in loose.pairs if pair.p_corrected.value < 0.9)


def test_a_pair_of_equal_methods_is_no_difference(table: np.ndarray) -> None:
    table[:, 1] = table[:, 0]
    first = compare_methods(records(table)).metrics["tre"].pairs[0]
    assert (first.p.reason, first.significant, first.median_difference.value) == (Reason.NO_DIFFERENCES, False, 0.0)


# --- averages and what is left out ------------------------------------------------------------------------------------


def test_a_subject_counts_once_however_many_landmarks_it_has(table: np.ndarray) -> None:
    """Section 2.4.3: values are first averaged across all landmarks of a subject."""
    rng = np.random.default_rng(2)
    landmarks = []
    for record in records(table):
        offsets = rng.normal(size=int(rng.integers(2, 40)))
        landmarks += [{**record, "value": record["value"] + o} for o in offsets - offsets.mean()]
    rng.shuffle(landmarks)
    found = compare_methods(landmarks, methods=METHODS).metrics["tre"]
    expected = compare_methods(records(table)).metrics["tre"]
    assert len(found.subjects) == 13
    assert found.anova.p.value == pytest.approx(expected.anova.p.value)
    assert found.summaries["ants"].median.value == pytest.approx(expected.summaries["ants"].median.value)


def test_pooled_figures_count_every_landmark_alike() -> None:
    """As the paper's tables show the TRE: a subject with more landmarks weighs more."""
    values = {"s1": [1.0, 1.0, 1.0, 1.0, 2.0], "s2": [9.0], "s3": [5.0]}
    some = [
        {"subject": s, "method": "a", "metric": "tre", "value": v} for s, several in values.items() for v in several
    ]
    found = compare_methods(some).metrics["tre"]
    pooled, averaged = found.pooled["a"], found.summaries["a"]
    assert (pooled.median.value, pooled.mean.value, pooled.subjects) == (1.0, 20 / 7, 3)
    assert (averaged.median.value, averaged.mean.value, averaged.subjects) == (5.0, 15.2 / 3, 3)
    assert pooled.low.reason is Reason.NOT_INDEPENDENT and averaged.low.defined


def test_what_is_undefined_does_not_count() -> None:
    values = [1.0, None, math.nan, Measurement.undefined(Reason.VANISHED), Measurement.of(4), 4]
    several = [{"subject": 7, "method": "a", "metric": "hd95", "value": value} for value in values]
    assert average_per_subject(several) == {"hd95": {"a": {"7": 3.0}}}
    assert average_per_subject(several[1:4]) == {"hd95": {"a": {}}}


def test_tests_take_complete_subjects_and_summaries_all(table: np.ndarray) -> None:
    some = [r for r in records(table) if (r["subject"], r["method"]) not in {("s3", "ants"), ("s8", "none")}]
    found = compare_methods(some).metrics["tre"]
    assert found.left_out == ("s3", "s8") and len(found.subjects) == 11
    assert found.anova == ranked_anova(np.delete(table, [3, 8], axis=0))
    assert [found.summaries[m].subjects for m in METHODS] == [13, 13, 12, 12]


def test_a_method_without_a_metric_does_not_stop_the_others(table: np.ndarray) -> None:
    """As of the inverse's residual of a method that gives no inverse."""
    some = [r if r["method"] != "ants" else {**r, "value": None} for r in records(table)]
    found = compare_methods(some)
    assert found.methods == METHODS and found.factor == 6
    metric = found.metrics["tre"]
    assert metric.summaries["ants"].median.reason is Reason.TOO_FEW_SUBJECTS
    assert metric.anova == ranked_anova(table[:, [0, 1, 3]])
    assert len(metric.pairs) == 3 and not metric.left_out


def test_a_metric_nobody_has(table: np.ndarray) -> None:
    found = compare_methods(records(table), metrics=["tre", "dice"]).metrics["dice"]
    assert found.subjects == () and found.anova.p.reason is Reason.TOO_FEW_METHODS


def test_the_order_of_records_does_not_matter(table: np.ndarray) -> None:
    shuffled = np.random.default_rng(3).permutation(records(table)).tolist()
    found = compare_methods(shuffled, methods=METHODS).metrics["tre"]
    expected = compare_methods(records(table)).metrics["tre"]
    assert found.anova.p.value == pytest.approx(expected.anova.p.value)
    assert [p.p for p in found.pairs] == [p.p for p in expected.pairs]
    assert found.summaries["ours"].low == expected.summaries["ours"].low


def test_a_record_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="metric"):
        average_per_subject([{"subject": 1, "method": "a", "value": 2.0}])


# --- summaries --------------------------------------------------------------------------------------------------------


def test_summary_agrees_with_numpy(table: np.ndarray) -> None:
    values = table[:, 2]
    found = summarise(values)
    figures = [found.mean, found.sd, found.median, found.q1, found.q3]
    expected = [values.mean(), values.std(ddof=1), np.median(values), *np.percentile(values, [25, 75])]
    assert [one.value for one in figures] == pytest.approx(expected)


@pytest.mark.parametrize("size", [2, 3, 12, 13, 60])
def test_median_interval_agrees_with_scipy(size: int) -> None:
    """Of odd and even size, where the median is a value or lies between two."""
    values = np.random.default_rng(size).gamma(2, 1, size)
    oracle = stats.bootstrap((values,), np.median, n_resamples=20_000, method="percentile").confidence_interval
    low, high = (one.value for one in median_interval(values))
    gaps = np.diff(np.sort(values)).max()
    assert (low, high) == pytest.approx(tuple(oracle), abs=0.05 * gaps if size > 12 else 1e-9)


@pytest.mark.parametrize("size", [9, 10])
def test_resampled_medians_are_distributed_as_drawn_ones(size: int) -> None:
    """The whole distribution, not only its ends, is that of drawing with replacement."""
    values = np.sort(np.random.default_rng(size).gamma(2, 1, size))
    rng = np.random.default_rng(0)
    drawn = np.median(values[rng.integers(size, size=(20_000, size))], axis=1)
    for confidence in (0.2, 0.5, 0.8, 0.9):
        low, high = (one.value for one in median_interval(values, StatisticsSettings(confidence=confidence)))
        expected = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
        assert [low, high] == pytest.approx(expected.tolist(), abs=0.02)


def test_interval_repeats_with_its_seed(table: np.ndarray) -> None:
    values = np.random.default_rng(0).gamma(2, 1, 200)
    first, again, other = (median_interval(values, StatisticsSettings(seed=s)) for s in (4, 4, 5))
    assert first == again != other
    narrow = median_interval(values, StatisticsSettings(confidence=0.5))
    assert first[0].value < narrow[0].value < narrow[1].value < first[1].value


def test_few_subjects_have_reasons() -> None:
    assert summarise([]).mean.reason is Reason.TOO_FEW_SUBJECTS
    one = summarise([3.0])
    assert (one.subjects, one.median.value, one.sd.reason) == (1, 3.0, Reason.TOO_FEW_SUBJECTS)
    assert one.low.reason is Reason.TOO_FEW_SUBJECTS


@pytest.mark.parametrize("setting", [{"alpha": 0}, {"confidence": 1.0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between"):
        StatisticsSettings(**setting)  # type: ignore[arg-type]


def test_json_holds_everything(table: np.ndarray) -> None:
    both = records(table) + records(np.zeros_like(table), "folding")
    plain = json.loads(json.dumps(compare_methods(both).plain(), allow_nan=False))
    assert plain["bonferroni_factor"] == 12
    assert plain["metrics"]["tre"]["pairs"][0]["first"] == "ours"
    assert plain["metrics"]["folding"]["anova"]["reason"] == "no_differences"
    assert plain["metrics"]["tre"]["summaries"]["ours"]["subjects"] == 13
