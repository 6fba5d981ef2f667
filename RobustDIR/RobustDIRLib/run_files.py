"""Names of the files in the folders of runs and data sets: the one description that writers and readers share.

Of a registration they are `RECORD`, `TRANSFORM`, `INVERSE`, `DISPLACEMENT`, `WARPED`, `JACOBIAN` and a file a pair of
label maps (`labels_name`). What the panel reads instead, in a folder of its own: `TRANSFORM_FIELD`, `INVERSE_FIELD`,
`WARPED_VOXELS`, `JACOBIAN_VOXELS`. It needs neither torch nor NumPy.
"""

from __future__ import annotations

RECORD = "run.json"
TRANSFORM, INVERSE = "transform.h5", "inverse.h5"
DISPLACEMENT, WARPED, JACOBIAN = "displacement.nii.gz", "warped.nii.gz", "jacobian.nii.gz"
REGISTRATION = (RECORD, TRANSFORM, INVERSE, DISPLACEMENT, WARPED, JACOBIAN)
LABELS = "warped_labels*.nii.gz"  # pattern of `labels_name`; those of an earlier run may lie beside this one's

TRANSFORM_FIELD, INVERSE_FIELD = "transform_field.mha", "inverse_field.mha"
WARPED_VOXELS, JACOBIAN_VOXELS = "warped.mha", "jacobian.mha"

# Of a run that learns: its settings, a line a step, what it goes on from, what it taught, the subjects of each part.
CONFIG, RECORDS, CHECKPOINT, MODEL, SPLIT = "run.json", "records.jsonl", "checkpoint.pt", "weights.pt", "split.json"
# Of an evaluation what it is of, and of it and of a fine-tuning what came out; the rest is in `cohort.files`.
EVALUATION, SUMMARY = "evaluation.json", "summary.json"
DEFORMATION_MODEL = "deformation_model.npz"
DATA_SET = "robustdir-dataset.json"  # what a user writes to say where a data set lies: `datasets.settings`


def labels_name(index: int) -> str:
    """File of the warped label map of an index: `warped_labels.nii.gz`, then `warped_labels_2.nii.gz` and so on."""
    return LABELS.replace("*", "" if index == 0 else f"_{index + 1}")
