"""Whether methods differ, as section 2.4.3 of the paper tests it, and how much.

1. What is measured several times of a subject (landmarks, labels, pairs) is averaged first: a subject counts once.
2. Repeated-measures ANOVA on ranks: all values of a metric are ranked together, equal ones sharing their mean rank.
3. Where it finds a difference, Wilcoxon's signed-rank test for every pair of methods.
4. Bonferroni: p-values of pairs are multiplied by the number of metrics times the number of pairs of methods.

Tests take the methods that have any value of a metric, and of the subjects those that all these methods have a value
of; the others are listed. Summaries take all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.significance import (
    DEFAULTS,
    Anova,
    PairTest,
    StatisticsSettings,
    Summary,
    pair_test,
    ranked_anova,
    summarise,
)

Record = Mapping[str, Any]
Averages = dict[str, dict[str, dict[str, float]]]
_Values = dict[str, dict[str, dict[str, list[float]]]]


@dataclass(frozen=True)
class MetricComparison:
    """All methods by one metric.

    Attributes:
        summaries: By method, of the averages of all its subjects.
        pooled: By method, of all values as they are, every landmark counting alike, as the paper's tables show the TRE;
            without an interval where a subject has several, as these are not independent.
        subjects: That every method has a value of, on which the tests rest.
        left_out: Subjects that some method lacks.
        anova: Over the methods.
        pairs: Every pair of methods; empty where the ANOVA found no difference.
    """

    summaries: dict[str, Summary]
    pooled: dict[str, Summary]
    subjects: tuple[str, ...]
    left_out: tuple[str, ...]
    anova: Anova
    pairs: tuple[PairTest, ...]

    def differ(self, first: str, second: str) -> bool:
        """Whether two methods differ significantly."""
        return any(pair.significant and {pair.first, pair.second} == {first, second} for pair in self.pairs)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "summaries": {method: summary.plain() for method, summary in self.summaries.items()},
            "pooled": {method: summary.plain() for method, summary in self.pooled.items()},
            "subjects": list(self.subjects),
            "left_out": list(self.left_out),
            "anova": self.anova.plain(),
            "pairs": [pair.plain() for pair in self.pairs],
        }


@dataclass(frozen=True)
class Comparison:
    """All methods by all metrics.

    Attributes:
        methods: In order.
        metrics: By name, in order.
        factor: Of Bonferroni: metrics times pairs of methods.
        settings: How it was tested.
    """

    methods: tuple[str, ...]
    metrics: dict[str, MetricComparison]
    factor: int
    settings: StatisticsSettings

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "methods": list(self.methods),
            "bonferroni_factor": self.factor,
            "alpha": self.settings.alpha,
            "confidence": self.settings.confidence,
            "seed": self.settings.seed,
            "metrics": {name: metric.plain() for name, metric in self.metrics.items()},
        }


def compare_methods(
    records: Iterable[Record],
    *,
    methods: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    settings: StatisticsSettings = DEFAULTS,
) -> Comparison:
    """Summarise and test methods by metrics.

    Args:
        records: `subject`, `method`, `metric` and `value` of each; several of one subject are averaged. A value that
            is None, NaN or an undefined `Measurement` does not count.
        methods: Which ones, in order; all, in the order of the records, if not given.
        metrics: Which ones, in order; likewise. Bonferroni counts these.
        settings: How to test.
    Raises:
        InputError: If a record lacks a key.
    """
    values = _collected(records)
    names = tuple(metrics) if metrics is not None else tuple(values)
    found = dict.fromkeys(method for by_method in values.values() for method in by_method)
    chosen = tuple(methods) if methods is not None else tuple(found)
    factor = len(names) * math.comb(len(chosen), 2)
    compared = {
        name: _compare({m: values.get(name, {}).get(m, {}) for m in chosen}, factor, settings) for name in names
    }
    return Comparison(chosen, compared, factor, settings)


def average_per_subject(records: Iterable[Record]) -> Averages:
    """Mean of a subject's defined values: by metric, method and subject, each in the order of the records.

    Raises:
        InputError: If a record lacks a key.
    """
    return {
        metric: {method: _averages(by_subject) for method, by_subject in by_method.items()}
        for metric, by_method in _collected(records).items()
    }


def _averages(by_subject: dict[str, list[float]]) -> dict[str, float]:
    return {subject: math.fsum(several) / len(several) for subject, several in by_subject.items()}


def _collected(records: Iterable[Record]) -> _Values:
    """The defined values of each subject, by metric and method."""
    values: _Values = {}
    for record in records:
        if missing := {"subject", "method", "metric", "value"} - record.keys():
            raise InputError(f"a record lacks {', '.join(sorted(missing))}: {dict(record)}")
        by_subject = values.setdefault(str(record["metric"]), {}).setdefault(str(record["method"]), {})
        number = _number(record["value"])
        if number is not None:
            by_subject.setdefault(str(record["subject"]), []).append(number)
    return values


def _number(value: Any) -> float | None:
    if isinstance(value, Measurement):
        return value.value
    return None if value is None else Measurement.of(value).value


def _compare(values: dict[str, dict[str, list[float]]], factor: int, settings: StatisticsSettings) -> MetricComparison:
    averages = {method: _averages(by_subject) for method, by_subject in values.items()}
    tested = {method: by_subject for method, by_subject in averages.items() if by_subject}
    everyone = dict.fromkeys(subject for by_subject in tested.values() for subject in by_subject)
    complete = tuple(s for s in everyone if all(s in by_subject for by_subject in tested.values()))
    table = np.array([[by_subject[s] for by_subject in tested.values()] for s in complete])
    table = table.reshape(len(complete), len(tested))
    anova = ranked_anova(table)
    differ = anova.p.value is not None and anova.p.value < settings.alpha
    pairs = [
        pair_test((first, second), table[:, i] - table[:, j], factor, settings)
        for (i, first), (j, second) in combinations(enumerate(tested), 2)
        if differ
    ]
    return MetricComparison(
        summaries={method: summarise(list(one.values()), settings) for method, one in averages.items()},
        pooled={method: _pooled(by_subject, settings) for method, by_subject in values.items()},
        subjects=complete,
        left_out=tuple(s for s in everyone if s not in complete),
        anova=anova,
        pairs=tuple(pairs),
    )


def _pooled(by_subject: dict[str, list[float]], settings: StatisticsSettings) -> Summary:
    summary = summarise([value for several in by_subject.values() for value in several], settings)
    if summary.subjects == len(by_subject):
        return summary
    nothing = Measurement.undefined(Reason.NOT_INDEPENDENT)
    return replace(summary, subjects=len(by_subject), low=nothing, high=nothing)
