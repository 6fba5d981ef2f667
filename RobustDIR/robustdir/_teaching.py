"""Synthetic pairs, and fine-tuning that runs to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from RobustDIRLib.configuration import from_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.loop import finetune as records_of
from RobustDIRLib.finetuning.run import kept_settings
from RobustDIRLib.finetuning.summary import conclude
from RobustDIRLib.io.files import PathLike, refuse_inputs
from RobustDIRLib.model_file import LoadedModel
from RobustDIRLib.model_store import load_model
from RobustDIRLib.run_files import CONFIG, MODEL, RECORDS
from RobustDIRLib.synthesis.files import PairImages, SynthesisSettings, make_pair, pair_images, read_settings
from RobustDIRLib.training.checkpoints import NAME
from RobustDIRLib.training.processes import Process


def synthesize(seed: int = 0, index: int = 0, *, side: int | None = None, config: PathLike | None = None) -> PairImages:
    """A synthetic pair with the exact displacement between its images, as `robustdir synthesize` makes it.

    Args:
        seed: Equal seeds, numbers and settings give equal pairs.
        index: Number of the pair under its seed.
        side: Voxels a side; 192 if nothing else is said.
        config: JSON file with any of the settings `labels` and `pairs`.
    Returns:
        Images, label maps, displacement and inverse on a grid of 1 mm.
    Raises:
        InputError: If the file or a number is unfit.

    >>> pair = synthesize(side=24)
    >>> pair.fixed.array.shape, pair.displacement.array.shape
    ((24, 24, 24), (24, 24, 24, 3))
    """
    settings: SynthesisSettings = read_settings(Path(config) if config is not None else None, side, 1)
    return pair_images(make_pair(settings, seed, index))


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tuning run came to.

    Attributes:
        model: Of the best epoch, ready for `register`.
        folder: Of the run: model, records, split, summary.
        records: Every event of the run, in order: start, steps, epochs, end.
        summary: What was gained on the test pairs and lost on synthetic ones: means of each measure by `linear`,
            `before` (but for a start from random weights) and `after`; `refinement`, whether refining helps on the
            validation pairs, as the model's card has it; None if the run was stopped before its end.
    """

    model: LoadedModel
    folder: Path
    records: tuple[dict[str, Any], ...]
    summary: dict[str, Any] | None


def finetune(
    dataset: PathLike | None,
    folder: PathLike,
    *,
    resume: bool = False,
    progress: Callable[[dict[str, Any]], object] | None = None,
    **settings: Any,
) -> FineTuned:
    """Adapt a model to a data set, or teach one from scratch on it, as `robustdir finetune` does.

    Args:
        dataset: Folder of a data set, or its `robustdir-dataset.json`; None on resuming takes the run's own.
        folder: Of the run; a file `stop` in it ends the run after the step, `pause` holds it.
        resume: Go on from the folder's checkpoint, with its settings.
        progress: Told of every record as it comes.
        **settings: Fields of `FinetuneConfig`, plain values as in its JSON file: `initial="generic"`, `epochs=5`,
            `loss={"dice": 1.0, "gradient": 0.1}`, `split={"limit": 3}`.
    Raises:
        InputError: If a setting is unknown or unfit, the data set cannot be read, or the folder holds another run.
    """
    folder = Path(folder).absolute()
    given = {**settings, **({} if dataset is None else {"dataset": str(Path(dataset).absolute())})}
    if resume:
        given = {**kept_settings(folder), **given}
    if "dataset" not in given:
        raise InputError("`dataset` is missing; name the folder of a data set.")
    config = from_dict(FinetuneConfig, given, "finetune()")
    if not resume:
        read = [config.dataset, *([config.initial] if config.initial else [])]
        refuse_inputs([folder / name for name in (CONFIG, NAME, MODEL, RECORDS)], read)
    records = []
    for record in records_of(config, folder, resume=resume):
        records.append(record)
        if progress:
            progress(record)
    ended = bool(records) and records[-1]["kind"] == "end"
    summary = conclude(config, folder, Process.alone()) if ended else None
    return FineTuned(load_model(folder / MODEL), folder, tuple(records), summary)
