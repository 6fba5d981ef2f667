"""What the figures of the Check section are called there, and what they mean."""

from __future__ import annotations

from RobustDIRLib.evaluation.run_figures import NEAR_MM

# Short enough for the panel's width; the full title is the tooltip.
TITLES = {
    "tre_max_mm": "TRE, worst",
    "tre_p95_mm": "TRE, 95 %",
    "tre_near_percent": f"TRE < {NEAR_MM:g} mm",
    "mda_mm": "Distance",
    "hd95_mm": "HD95",
    "dice": "Dice",
    "folding_percent": "Folding",
    "inverse_p95_mm": "Inverse",
}
MEANINGS = {
    "tre_mean_mm": "mean distance between where the transform takes the fixed landmarks and the moving ones.",
    "tre_median_mm": "half of the landmarks lie closer than this to their counterparts.",
    "tre_p95_mm": "95 of 100 landmarks lie closer than this to their counterparts.",
    "tre_max_mm": "distance of the landmark that lies farthest from its counterpart.",
    "tre_near_percent": f"share of the landmarks that lie closer than {NEAR_MM:g} mm to their counterparts.",
    "mda_mm": "mean distance between the surfaces of a structure, of the structure where it is largest.",
    "hd95_mm": "95 % of a structure's surface lies closer than this to the other one; of the worst structure.",
    "dice": "overlap of a structure with its counterpart, 1 for all and 0 for none; of the worst structure.",
    "folding_percent": "share of the fixed volume that the transform turns inside out.",
    "sdlogj": "spread of the local change of volume: 0 where it is the same everywhere.",
    "inverse_p95_mm": "there and back by transform and inverse ends closer than this to the start, in 95 % of voxels.",
}
COLUMN_TIPS = {
    "Measure": "What is measured; each row says what it means.",
    "Before": "As the volumes lie.",
    "After": "With the registration.",
    "Limit": "Double-click to change it: a number, “voxel” for the largest voxel side, or “off”.",
    "Verdict": "Whether the figure keeps to its limit; not whether the registration may be used.",
    "Name": "Of the landmark; click a row to move the slices there.",
    "Before, mm": "Distance between both landmarks as the volumes lie.",
    "After, mm": "Distance after the registration.",
    "Improvement, mm": "How much smaller the distance has become; negative if it has grown.",
    "Structure": "Segments of the same name in both segmentations.",
    "Dice": "Overlap, 1 for all and 0 for none: before → after.",
    "HD95, mm": "95 % of the surface lies closer than this to the other one: before → after.",
    "Distance, mm": "Mean distance between the surfaces: before → after.",
}
