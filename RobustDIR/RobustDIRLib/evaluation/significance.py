"""The tests of section 2.4.3 on plain arrays, and the figures that a metric is summarised by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.geometry import Array

_RESAMPLES = 10_000


@dataclass(frozen=True)
class StatisticsSettings:
    """How to test.

    Attributes:
        alpha: Below it a p-value counts as significant.
        confidence: Of the bootstrap intervals.
        seed: Of the bootstrap: the same values and seed give the same intervals.
    Raises:
        InputError: If alpha or confidence is not between 0 and 1.
    """

    alpha: float = 0.05
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("alpha", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} must lie between 0 and 1, not be {getattr(self, name)}")


DEFAULTS = StatisticsSettings()


@dataclass(frozen=True)
class Summary:
    """One metric of one method over subjects.

    Attributes:
        subjects: How many have a value.
        mean: Mean.
        sd: Standard deviation of a sample.
        median: Median.
        q1: First quartile, linear between values.
        q3: Third quartile; `q1` to `q3` is the interquartile range (IQR).
        low: Lower end of the bootstrap interval of the median.
        high: Upper end.
    """

    subjects: int
    mean: Measurement
    sd: Measurement
    median: Measurement
    q1: Measurement
    q3: Measurement
    low: Measurement
    high: Measurement

    def plain(self) -> dict[str, Any]:
        """For JSON: undefined figures are null."""
        return {name: one.value if isinstance(one, Measurement) else one for name, one in vars(self).items()}


@dataclass(frozen=True)
class Anova:
    """Repeated-measures ANOVA of one metric.

    Attributes:
        f: Statistic; undefined as `NOT_FINITE` where methods differ by the same in every subject, and p then is 0.
        degrees: Of freedom, of the methods and of the error.
        p: That methods do not differ.
        epsilon: Greenhouse and Geisser's: 1 where the methods' differences vary alike (sphericity), less where not.
        p_corrected: With degrees of freedom times epsilon, for readers who doubt sphericity; the paper uses `p`.
    """

    f: Measurement
    degrees: tuple[int, int]
    p: Measurement
    epsilon: Measurement
    p_corrected: Measurement

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "f": self.f.value,
            "degrees": list(self.degrees),
            "p": self.p.value,
            "epsilon": self.epsilon.value,
            "p_greenhouse_geisser": self.p_corrected.value,
            "reason": None if self.p.reason is None else str(self.p.reason),
        }


@dataclass(frozen=True)
class PairTest:
    """Wilcoxon's signed-rank test of one metric between two methods.

    Attributes:
        first: A method.
        second: Another.
        subjects: How many are compared.
        median_difference: Median over subjects of first less second.
        low: Lower end of its bootstrap interval.
        high: Upper end.
        statistic: Smaller sum of signed ranks.
        p: Two-sided, before Bonferroni.
        p_corrected: After Bonferroni, at most 1.
        significant: Whether the ANOVA found a difference and `p_corrected` is below alpha.
    """

    first: str
    second: str
    subjects: int
    median_difference: Measurement
    low: Measurement
    high: Measurement
    statistic: Measurement
    p: Measurement
    p_corrected: Measurement
    significant: bool

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: one.value if isinstance(one, Measurement) else one for name, one in vars(self).items()}
        return {**plain, "reason": None if self.p.reason is None else str(self.p.reason)}


def summarise(values: Sequence[float] | Array, settings: StatisticsSettings = DEFAULTS) -> Summary:
    """Mean, spread, median, quartiles and the median's bootstrap interval of finite values."""
    numbers = np.asarray(values, dtype=np.float64)
    nobody, alone = (Measurement.undefined(Reason.TOO_FEW_SUBJECTS) if numbers.size < n else None for n in (1, 2))
    if nobody:
        return Summary(0, *[nobody] * 7)
    q1, median, q3 = map(Measurement.of, np.quantile(numbers, (0.25, 0.5, 0.75)))
    mean, sd = Measurement.of(numbers.mean()), alone or Measurement.of(numbers.std(ddof=1))
    return Summary(numbers.size, mean, sd, median, q1, q3, *median_interval(numbers, settings))


def median_interval(values: Array, settings: StatisticsSettings = DEFAULTS) -> tuple[Measurement, Measurement]:
    """Percentile bootstrap interval of the median: both ends; undefined for fewer than two values.

    Drawing n of n sorted values with replacement and taking the middle one is drawing n uniform numbers, taking their
    middle one, which is Beta distributed, and seeing which of n equal parts of [0, 1] it lies in. So a resample costs
    one draw, or two where n is even: the least of the numbers above the lower middle one is the upper.
    """
    if values.size < 2:
        nothing = Measurement.undefined(Reason.TOO_FEW_SUBJECTS)
        return nothing, nothing
    medians = np.sort(values)[_middle_places(values.size, settings.seed)].mean(axis=0)
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(medians, (tail, 1 - tail))
    return Measurement.of(low), Measurement.of(high)


@lru_cache(maxsize=64)
def _middle_places(n: int, seed: int) -> NDArray[np.int64]:
    """Which of n sorted values are the middle ones of each resample, `(1, resamples)`, or `(2, ...)` for even n."""
    random, rank = np.random.default_rng(seed), (n + 1) // 2
    middles = [random.beta(rank, n - rank + 1, _RESAMPLES)]
    if n % 2 == 0:
        middles.append(1 - (1 - middles[0]) * random.random(_RESAMPLES) ** (1 / (n - rank)))
    return np.minimum((np.array(middles) * n).astype(np.int64), n - 1)


def ranked_anova(values: Array) -> Anova:
    """Repeated-measures ANOVA on ranks, one factor.

    Args:
        values: Shape `(subjects, methods)`, finite; ranked all together (Conover and Iman 1981).
    """
    subjects, methods = values.shape
    degrees = (methods - 1, (subjects - 1) * (methods - 1))
    if methods < 2 or subjects < 2:
        return _no_anova(degrees, Reason.TOO_FEW_METHODS if methods < 2 else Reason.TOO_FEW_SUBJECTS)
    ranks = stats.rankdata(values).reshape(values.shape)
    centred = ranks - ranks.mean()
    between = subjects * (centred.mean(axis=0) ** 2).sum()
    error = ((centred - centred.mean(axis=0) - centred.mean(axis=1, keepdims=True)) ** 2).sum()
    negligible = 1e-12 * (centred**2).sum()
    if between <= negligible and error <= negligible:
        return _no_anova(degrees, Reason.NO_DIFFERENCES)
    epsilon = _greenhouse_geisser(ranks) if error > negligible else 1.0
    f = between / degrees[0] / (error / degrees[1]) if error > negligible else math.inf
    p, corrected = (float(stats.f.sf(f, *(part * d for d in degrees))) for part in (1, epsilon))
    return Anova(Measurement.of(f), degrees, *map(Measurement.of, (p, epsilon, corrected)))


def _no_anova(degrees: tuple[int, int], reason: Reason) -> Anova:
    nothing = Measurement.undefined(reason)
    return Anova(nothing, degrees, nothing, nothing, nothing)


def _greenhouse_geisser(ranks: Array) -> float:
    """How far the differences of methods are from varying alike: 1 (not at all) to 1 / (methods - 1)."""
    covariance = np.cov(ranks, rowvar=False)
    centred = covariance - covariance.mean(axis=0) - covariance.mean(axis=1, keepdims=True) + covariance.mean()
    return float(np.trace(centred) ** 2 / ((len(covariance) - 1) * (centred**2).sum()))


def pair_test(methods: tuple[str, str], differences: Array, factor: int, settings: StatisticsSettings) -> PairTest:
    """Wilcoxon's signed-rank test between two methods.

    Args:
        methods: Their names.
        differences: First less second, of each subject, shape `(subjects,)`.
        factor: Of Bonferroni.
        settings: How to test.
    """
    middle = Measurement.of(np.median(differences))
    ends = median_interval(differences, settings)
    if not differences.any():
        nothing = Measurement.undefined(Reason.NO_DIFFERENCES)
        return PairTest(*methods, differences.size, middle, *ends, nothing, nothing, nothing, False)
    found = stats.wilcoxon(differences)  # differences of 0 are left out, as Wilcoxon did
    corrected = min(1.0, float(found.pvalue) * factor)
    statistic, p, p_corrected = map(Measurement.of, (found.statistic, found.pvalue, corrected))
    significant = corrected < settings.alpha
    return PairTest(*methods, differences.size, middle, *ends, statistic, p, p_corrected, significant)
