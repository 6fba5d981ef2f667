"""The studies by name, and the settings that each takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from RobustDIRLib.configuration import from_dict, read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.studies.evaluations import EvaluationSettings, dirlab, robustness
from RobustDIRLib.studies.finetuning import EfficiencySettings, SupervisionSettings, efficiency, supervision
from RobustDIRLib.studies.pretraining import PretrainingSettings, corruptions, intensities, label_maps, shapes
from RobustDIRLib.studies.study import Study


@dataclass(frozen=True)
class StudyEntry:
    """A study: where it stands in the paper, its settings, and what makes it of them.

    `of_people`: that is given the study's folder as well, which keeps who teaches and who is tested on.
    """

    summary: str
    settings: type
    make: Callable[..., Study]
    of_people: bool = False


STUDIES = {
    "shapes": StudyEntry("shapes and sizes of synthetic structures (Table 1)", PretrainingSettings, shapes),
    "intensities": StudyEntry("intensity models of synthetic images (Table 2)", PretrainingSettings, intensities),
    "efficiency": StudyEntry("convergence and data efficiency (Fig. 3)", EfficiencySettings, efficiency, True),
    "robustness": StudyEntry("models across data sets (Fig. 4, Table D.2)", EvaluationSettings, robustness),
    "corruptions": StudyEntry("corruptions of synthetic images (Fig. D.2)", PretrainingSettings, corruptions),
    "label-maps": StudyEntry("number of label maps (Fig. D.3)", PretrainingSettings, label_maps),
    "supervision": StudyEntry("fine-tuning without labels (Fig. D.5)", SupervisionSettings, supervision, True),
    "dirlab": StudyEntry("DIR-Lab case by case (Table D.3)", EvaluationSettings, dirlab),
}


def open_study(name: str, file: Path, folder: Path) -> Study:
    """A study by its name and a JSON file of its settings.

    Args:
        name: Of the study.
        file: Of its settings.
        folder: Where it is carried out, now or since an earlier go.

    Raises:
        InputError: If there is none of that name, or the settings are not fit for it.
    """
    if name not in STUDIES:
        raise InputError(f"{name} is no study; known are {', '.join(STUDIES)}.")
    entry = STUDIES[name]
    settings: Any = from_dict(entry.settings, read_json(file), str(file))
    return entry.make(settings, folder) if entry.of_people else entry.make(settings)
