"""`slicer.app.coreIOManager()`: nodes and scenes from and to files, by the real storage nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer


@dataclass(frozen=True)
class FileKind:
    """A type of file as `slicer.util` names it.

    Attributes:
        storage: Class of the storage node.
        node: Class of the nodes it makes; `written` is the base class of those it writes.
        extensions: Endings of file names.
    """

    storage: str
    node: str
    written: str
    extensions: tuple[str, ...]


KINDS = {
    "VolumeFile": FileKind(
        "vtkMRMLVolumeArchetypeStorageNode",
        "vtkMRMLScalarVolumeNode",
        "vtkMRMLVolumeNode",
        (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"),
    ),
    "TransformFile": FileKind(
        "vtkMRMLTransformStorageNode", "vtkMRMLTransformNode", "vtkMRMLTransformNode", (".h5", ".tfm", ".mat")
    ),
    "MarkupsFile": FileKind(
        "vtkMRMLMarkupsJsonStorageNode",
        "vtkMRMLMarkupsFiducialNode",
        "vtkMRMLMarkupsNode",
        (".mrk.json", ".json", ".fcsv"),
    ),
    "SegmentationFile": FileKind(
        "vtkMRMLSegmentationStorageNode", "vtkMRMLSegmentationNode", "vtkMRMLSegmentationNode", (".seg.nrrd",)
    ),
    "TableFile": FileKind("vtkMRMLTableStorageNode", "vtkMRMLTableNode", "vtkMRMLTableNode", (".tsv", ".csv")),
    "ModelFile": FileKind(
        "vtkMRMLModelStorageNode", "vtkMRMLModelNode", "vtkMRMLModelNode", (".vtk", ".vtp", ".stl", ".ply", ".obj")
    ),
    "TextFile": FileKind("vtkMRMLTextStorageNode", "vtkMRMLTextNode", "vtkMRMLTextNode", (".txt",)),
    "SceneFile": FileKind("", "", "vtkMRMLScene", (".mrml", ".mrb")),
}


class FileIO:
    """What `slicer.util.loadNodeFromFile`, `saveNode`, `loadScene` and `saveScene` call."""

    def fileType(self, path: Any) -> str:
        """The kind of file by the longest ending that fits."""
        name = str(path).lower()
        fitting = [(len(end), kind) for kind, k in KINDS.items() for end in k.extensions if name.endswith(end)]
        return max(fitting, default=(0, "NoFile"))[1]

    def fileWriterFileType(self, node: Any) -> str:
        return next((name for name, kind in KINDS.items() if node.IsA(kind.written)), "NoFile")

    def loadNodes(self, kind: str, properties: dict, loaded: Any, messages: Any = None) -> bool:
        """Loads a file into the scene; adds the nodes to the collection `loaded`; says whether it worked."""
        path = str(properties["fileName"])
        if not Path(path).is_file() or kind not in KINDS:
            return False
        if kind == "SceneFile":
            return _load_scene(path, bool(properties.get("clear")))
        node = _load_node(kind, path, properties, messages)
        if node is None:
            return False
        loaded.AddItem(node)
        return True

    def saveNodes(self, kind: str, properties: dict, messages: Any = None) -> bool:
        """Writes a node, or the whole scene, to a file; says whether it worked."""
        path, scene = str(properties["fileName"]), slicer.mrmlScene
        if kind == "SceneFile":
            if path.endswith(".mrb"):
                return bool(scene.WriteToMRB(path))
            scene.SetURL(path)
            return bool(scene.Commit(path))
        node = scene.GetNodeByID(properties["nodeID"])
        if not node.GetStorageNode():
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        written = bool(storage.WriteData(node))
        if not written and messages is not None:
            messages.AddMessages(storage.GetUserMessages())
        return written


def _load_scene(path: str, clear: bool) -> bool:
    scene = slicer.mrmlScene
    if path.endswith(".mrb"):
        return bool(scene.ReadFromMRB(path, clear))
    scene.SetURL(path)
    return bool(scene.Connect() if clear else scene.Import())


def _load_node(kind: str, path: str, properties: dict, messages: Any) -> Any:
    name = properties.get("name") or Path(path).name.split(".")[0]
    if kind == "VolumeFile" and not properties.get("labelmap"):
        return slicer.modules.volumes.logic().AddArchetypeVolume(path, name)  # picks scalar or vector itself
    storage, node_class = KINDS[kind].storage, KINDS[kind].node
    if kind == "VolumeFile":
        node_class = "vtkMRMLLabelMapVolumeNode"
    if kind == "MarkupsFile":
        if not path.endswith(".fcsv"):
            return _new(storage, path).AddNewMarkupsNodeFromFile(path, name, messages)
        storage = "vtkMRMLMarkupsFiducialStorageNode"
    return _read(_new(storage, path), node_class, name, messages)


def _new(storage_class: str, path: str) -> Any:
    storage = slicer.mrmlScene.CreateNodeByClass(storage_class)
    storage.UnRegister(None)  # the Python variable owns it now
    storage.SetFileName(path)
    return storage


def _read(storage: Any, node_class: str, name: str, messages: Any) -> Any:
    scene = slicer.mrmlScene
    node = scene.CreateNodeByClass(node_class)
    node.UnRegister(None)
    node.SetName(scene.GenerateUniqueName(name))
    scene.AddNode(storage)
    scene.AddNode(node)
    if not storage.ReadData(node):
        if messages is not None:
            messages.AddMessages(storage.GetUserMessages())
        scene.RemoveNode(node)
        scene.RemoveNode(storage)
        return None
    node.SetAndObserveStorageNodeID(storage.GetID())
    if node_class != "vtkMRMLTransformNode" and hasattr(node, "CreateDefaultDisplayNodes"):
        node.CreateDefaultDisplayNodes()
    return node
