"""A table like the paper's Table D.2: methods by metrics, the best in bold, significant cells starred.

Several blocks, such as data sets, can stand below each other; each is tested by itself. `table_text` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from RobustDIRLib.evaluation.significance import DEFAULTS, StatisticsSettings, Summary
from RobustDIRLib.evaluation.statistics import Comparison, MetricComparison, Record, compare_methods

MEDIAN_IQR, MEAN_SD = "median_iqr", "mean_sd"


@dataclass(frozen=True)
class Column:
    """A metric as the table shows it.

    Attributes:
        name: Of the metric in the records.
        title: For people.
        unit: `mm`, `%` or nothing.
        better: `low` or `high`: which end is good.
        digits: After the decimal point.
        pooled: Whether figures are over all values, as the paper shows the TRE of all landmarks, and not over subjects'
            averages, on which the tests rest in either case.
    Raises:
        ValueError: If `better` is another word.
    """

    name: str
    title: str
    unit: str = ""
    better: str = "low"
    digits: int = 2
    pooled: bool = False

    def __post_init__(self) -> None:
        if self.better not in ("low", "high"):
            raise ValueError(f"{self.name} must be better low or high, not {self.better}")

    def of(self, compared: MetricComparison) -> dict[str, Summary]:
        """What the cells show, by method."""
        return compared.pooled if self.pooled else compared.summaries

    @property
    def heading(self) -> str:
        """Title, unit and which way is good."""
        return f"{self.title}{f' ({self.unit})' if self.unit else ''} {'↓' if self.better == 'low' else '↑'}"


@dataclass(frozen=True)
class TableStyle:
    """What cells show.

    Attributes:
        figures: `median_iqr` as in the paper, or `mean_sd`.
        reference: Method that others are compared with: a star then marks a significant difference from it. If not
            given, stars mark the best method and those that do not differ significantly from it, provided that some
            method does.
        titles: Of methods, for people; their names if not given.
        remark: What stands below the table before all else.
    Raises:
        ValueError: If `figures` is another word.
    """

    figures: str = MEDIAN_IQR
    reference: str | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""

    def __post_init__(self) -> None:
        if self.figures not in (MEDIAN_IQR, MEAN_SD):
            raise ValueError(f"cells show {MEDIAN_IQR} or {MEAN_SD}, not {self.figures}")

    def centre(self, summary: Summary) -> float | None:
        """The figure that decides which method is best."""
        return (summary.median if self.figures == MEDIAN_IQR else summary.mean).value

    def text(self, summary: Summary, digits: int) -> str:
        """A cell without its marks; a dash where nothing is defined."""
        centre = self.centre(summary)
        if centre is None:
            return "–"
        if self.figures == MEDIAN_IQR:
            return f"{centre:.{digits}f} ({summary.q1.value:.{digits}f}–{summary.q3.value:.{digits}f})"
        return f"{centre:.{digits}f}" + ("" if summary.sd.value is None else f" ± {summary.sd.value:.{digits}f}")


@dataclass(frozen=True)
class Cell:
    """One method by one metric.

    Attributes:
        text: Figures without marks.
        best: Whether no method is better and some is worse.
        starred: As `TableStyle.reference` says.
    """

    text: str
    best: bool
    starred: bool


@dataclass(frozen=True)
class Block:
    """Rows that are tested together.

    Attributes:
        title: Above them; may be empty.
        comparison: What was tested.
        cells: By method and name of the column.
    """

    title: str
    comparison: Comparison
    cells: dict[str, dict[str, Cell]]


@dataclass(frozen=True)
class Table:
    """Methods by metrics, in one or more blocks.

    Attributes:
        columns: In order.
        blocks: From top to bottom, at least one.
        style: What cells show.
    """

    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    style: TableStyle

    def title_of(self, method: str) -> str:
        """A method's name for people."""
        return self.style.titles.get(method, method)

    def notes(self) -> list[str]:
        """What the figures, the marks and the tests are, and what was left out, a sentence each."""
        figures = "median (interquartile range)" if self.style.figures == MEDIAN_IQR else "mean ± standard deviation"
        return [
            *([self.style.remark] if self.style.remark else []),
            f"Figures are {figures} over subjects{self._pooled_titles()}.",
            "Bold: best.",
            self._meaning_of_star(),
            *_notes_of(self.blocks, self.columns),
        ]

    def _pooled_titles(self) -> str:
        titles = [column.title for column in self.columns if column.pooled]
        return f", of {' and '.join(titles)} over all values of all subjects" if titles else ""

    def _meaning_of_star(self) -> str:
        compared = [block.comparison for block in self.blocks]
        alphas, factors = {one.settings.alpha for one in compared}, {one.factor for one in compared}
        tests = (
            f"p < {_either(alphas)}: repeated-measures ANOVA on ranks, then Wilcoxon signed-rank tests with Bonferroni "
            f"correction by {_either(factors)}, the number of metrics times pairs of methods"
        )
        if self.style.reference is not None:
            return f"*: significantly different from {self.title_of(self.style.reference)} ({tests})."
        return f"*: the best and what does not differ from it significantly, where some method does ({tests})."


def _either(numbers: set[float] | set[int]) -> str:
    return " or ".join(f"{number:g}" for number in sorted(numbers))


def make_table(
    blocks: Iterable[Record] | Mapping[str, Iterable[Record]],
    columns: Sequence[Column],
    *,
    methods: Sequence[str] | None = None,
    style: TableStyle | None = None,
    settings: StatisticsSettings = DEFAULTS,
) -> Table:
    """Summarise and test records, and lay them out.

    Args:
        blocks: Records `{subject, method, metric, value}` as of `statistics.compare_methods`, or several lots by title.
        columns: Which metrics, in order; Bonferroni counts these.
        methods: Which ones, in order; all, in the order of the records, if not given.
        style: What cells show.
        settings: How to test.
    Raises:
        ValueError: If a record lacks a key, or there is neither a block nor a column.
    """
    style = style or TableStyle()
    lots: dict[str, Iterable[Record]] = dict(blocks) if isinstance(blocks, Mapping) else {"": blocks}
    if not lots or not columns:
        raise ValueError("a table needs at least one block of records and one column")
    names = [column.name for column in columns]
    compared = {
        title: compare_methods(records, methods=methods, metrics=names, settings=settings)
        for title, records in lots.items()
    }
    return table_of(compared, columns, style)


def table_of(
    comparisons: Mapping[str, Comparison], columns: Sequence[Column], style: TableStyle | None = None
) -> Table:
    """Lay out what is compared already, by the blocks' titles."""
    style = style or TableStyle()
    return Table(tuple(columns), tuple(_block(t, c, columns, style) for t, c in comparisons.items()), style)


def _block(title: str, comparison: Comparison, columns: Sequence[Column], style: TableStyle) -> Block:
    by_column = {column.name: _cells(comparison.metrics[column.name], column, style) for column in columns}
    cells = {method: {name: column[method] for name, column in by_column.items()} for method in comparison.methods}
    return Block(title, comparison, cells)


def _cells(compared: MetricComparison, column: Column, style: TableStyle) -> dict[str, Cell]:
    """The cells of one column, by method."""
    summaries = column.of(compared)
    centres = {method: style.centre(summary) for method, summary in summaries.items()}
    defined = {method: centre for method, centre in centres.items() if centre is not None}
    best = (min if column.better == "low" else max)(defined.values(), default=None)
    starred = _starred(compared, [method for method, centre in defined.items() if centre == best], style)
    bold = len(set(defined.values())) > 1
    return {
        method: Cell(style.text(summary, column.digits), bold and centres[method] == best, method in starred)
        for method, summary in summaries.items()
    }


def _starred(compared: MetricComparison, best: list[str], style: TableStyle) -> set[str]:
    if style.reference is not None:
        return {method for method in compared.summaries if compared.differ(style.reference, method)}
    tested = {method for pair in compared.pairs for method in (pair.first, pair.second)}
    worse = {method for method in tested if best and compared.differ(best[0], method)}
    return tested - worse if worse else set()


def _notes_of(blocks: Sequence[Block], columns: Sequence[Column]) -> list[str]:
    """What was left out of the tests, or why there are none; what is true of several columns or blocks is said once."""
    places: dict[tuple[str, str], list[str]] = {}
    for block in blocks:
        titles: dict[str, list[str]] = {}
        for column in columns:
            for sentence in _remarks(block.comparison, column.name):
                titles.setdefault(sentence, []).append(column.title)
        for sentence, names in titles.items():
            places.setdefault((", ".join(names), sentence), []).append(block.title)
    return [
        f"{names}{f' in {where}' if (where := ', '.join(filter(None, held))) else ''}: {sentence}."
        for (names, sentence), held in places.items()
    ]


def _remarks(comparison: Comparison, name: str) -> Iterator[str]:
    compared = comparison.metrics[name]
    counts = sorted({summary.subjects for summary in compared.summaries.values()})
    if len(counts) > 1:
        yield f"{counts[0]} to {counts[-1]} subjects a method"
    if count := len(compared.left_out):
        yield f"{count} subject{'s' if count > 1 else ''} left out of the tests"
    if compared.pairs and 2 ** (1 - len(compared.subjects)) * comparison.factor >= comparison.settings.alpha:
        yield "too few subjects for any pair of methods to reach significance"
    if compared.anova.p.reason is not None:
        yield f"no test, as {compared.anova.p.reason.words}"
