"""Pictures of the worst cases: drawn while a pair is at hand, and only where the pair may be among the worst.

A pair that ends among a method's worst few was among the worst of every part of the pairs that held it. It is therefore
drawn if fewer than that few of those done so far are worse, and no pair has to be registered again for its picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from RobustDIRLib.cohort.layout import RANKING
from RobustDIRLib.cohort.results import Key, read_result
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import BY_NAME

if TYPE_CHECKING:
    from RobustDIRLib.cohort.measuring import Reading
    from RobustDIRLib.datasets.cases import CaseData


def ranking_measure(values: Mapping[str, float]) -> str | None:
    """The measure by which a pair is ranked: the first of `layout.RANKING` that it has."""
    return next((name for name in RANKING if name in values), None)


def badness(values: Mapping[str, float], measure: str) -> float:
    """Larger is worse."""
    return values[measure] if BY_NAME[measure].better == "low" else -values[measure]


def keep_picture(
    folder: Path, key: Key, count: int, data: CaseData, reading: Reading, values: Mapping[str, float]
) -> list[str]:
    """Draw a pair if it is among the worst so far; a picture from an earlier result is taken away.

    Args:
        folder: Of the evaluation.
        key: Of the result.
        count: How many worst cases have pictures.
        data: The case.
        reading: What was measured of it.
        values: Its measures.
    Returns:
        Notes: why there is no picture, where there should be one.
    """
    path = key.picture(folder)
    path.unlink(missing_ok=True)
    measure = ranking_measure(values)
    if count < 1 or measure is None or _worse(path.parent, folder, key, measure, badness(values, measure)) >= count:
        return []
    try:
        _draw(path, key, data, reading, values, measure)
    except InputError as error:
        return [f"no picture: {error}"]
    return []


def _worse(pictures: Path, folder: Path, key: Key, measure: str, own: float) -> int:
    """How many of the pairs with pictures are worse than one."""
    results = key.path(folder).parent
    count = 0
    for picture in pictures.glob("*.png"):
        path = results / f"{picture.stem}.json"
        if picture.name.startswith(".") or not path.is_file():
            continue
        try:
            values = read_result(path).values
        except InputError:  # damaged: it will be made again, and drawn again
            continue
        count += measure in values and badness(values, measure) > own
    return count


def _draw(path: Path, key: Key, data: CaseData, reading: Reading, values: Mapping[str, float], measure: str) -> None:
    from RobustDIRLib.evaluation.pictures import draw_registration

    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{key.case}: {key.method}, {in_words(values, measure)}"
    draw_registration(path, data.fixed, data.moving, reading.warped, reading.field, title=title)


def in_words(values: Mapping[str, float], measure: str) -> str:
    """A measure after and before, for people: `TRE, mean 8.31 mm (12.06 before)`."""
    kind = BY_NAME[measure]
    before = f" ({values[kind.before]:.3g} before)" if kind.before in values else ""
    return f"{kind.title} {values[measure]:.3g} {kind.unit}".rstrip() + before
