"""Slicer's nodes as arrays, grids and points of the library, and back; with `panel` all that imports slicer and vtk.

Everything that leaves a node is in world coordinates, mm, LPS, whatever transforms stand above the node; everything put
into a node lies in the world, too. Nodes that are read stay as they are. NumPy is all this needs beside Slicer.
"""

from RobustDIRLib.mrml.labels import begin_labels, labels_from_segmentation, may_overlap, segments_of
from RobustDIRLib.mrml.patients import patient_of
from RobustDIRLib.mrml.plots import Line, Titles, ViewChart
from RobustDIRLib.mrml.points import markups_from_points, points_from_markups, show_point
from RobustDIRLib.mrml.tables import cumulative_chart, table_from_columns
from RobustDIRLib.mrml.transforms import (
    fill_grid_transform,
    interpolate_linearly,
    itk_parts,
    transform_from_parts,
    transform_points,
)
from RobustDIRLib.mrml.vectors import vectors_to_node
from RobustDIRLib.mrml.volumes import (
    begin_volume,
    empty_image,
    grid_of_volume,
    ijk_to_ras,
    volume_from_node,
    volume_to_node,
)
from RobustDIRLib.values import Image as Volume  # the names that scripts of an earlier version know
from RobustDIRLib.values import Landmarks as Points

__all__ = [
    "Points",
    "Volume",
    "Line",
    "Titles",
    "ViewChart",
    "begin_labels",
    "begin_volume",
    "cumulative_chart",
    "empty_image",
    "fill_grid_transform",
    "grid_of_volume",
    "ijk_to_ras",
    "interpolate_linearly",
    "itk_parts",
    "labels_from_segmentation",
    "markups_from_points",
    "may_overlap",
    "patient_of",
    "points_from_markups",
    "segments_of",
    "show_point",
    "table_from_columns",
    "transform_from_parts",
    "transform_points",
    "vectors_to_node",
    "volume_from_node",
    "volume_to_node",
]
