"""Whose a node is, as the subject hierarchy has it from DICOM."""

from __future__ import annotations

import slicer

from RobustDIRLib.mrml.nodes import Node

_NAME, _ID = "DICOM.PatientName", "DICOM.PatientID"


def patient_of(node: Node | None) -> str:
    """Name and number of a node's patient; empty if they are not known."""
    # Not by the hierarchy's own function, which would make one: asking changes nothing in the scene.
    hierarchy = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None and node is not None else 0
    patient = hierarchy.GetItemAncestorAtLevel(item, "Patient") if item else 0
    if not patient:
        return ""
    name = hierarchy.GetItemAttribute(patient, _NAME) or hierarchy.GetItemName(patient)
    number = hierarchy.GetItemAttribute(patient, _ID)
    return " ".join(f"{name.replace('^', ' ').strip()} {f'({number})' if number else ''}".split())
