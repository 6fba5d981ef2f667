"""The scene, the module logics and `slicer.app`, as `slicer.util` and scripted modules expect them; no Qt needed."""

from __future__ import annotations

import os
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer
import vtk

from SlicerHeadless import folders
from SlicerHeadless.file_io import FileIO
from SlicerHeadless.layout import LayoutManager

SLICER_PYTHON = Path(__file__).with_name("slicer_python")

# Name of a module in Slicer, and the class of its logic. All of them are needed: a scene without the colour and the
# segmentation logics ends the whole process when it saves segmentations.
_LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Units": "vtkSlicerUnitsLogic",
}


class Module:
    """What `slicer.modules.<name>` is: a name, a logic and, of scripted modules, a file and a panel."""

    def __init__(self, name: str, logic: Any = None, path: str = "") -> None:
        self.name = self.title = name
        self.path = path
        self.widget: Any = None
        self._logic = logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        return self.widget


class Signals:
    """Connections by signature string, of objects that are no QObject here: `connect("name(type)", slot)`."""

    def __init__(self) -> None:
        self._slots: dict[str, list[Callable[..., Any]]] = {}

    def connect(self, signature: str, slot: Callable[..., Any]) -> bool:
        self._slots.setdefault(signature.split("(")[0], []).append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        slots = self._slots.get(signature.split("(")[0], [])
        if slot in slots:
            slots.remove(slot)
        return True

    def emit(self, name: str, *values: Any) -> None:
        """Calls every slot of a signal; tests use it to say, for instance, that the application is about to quit."""
        for slot in list(self._slots.get(name, [])):
            slot(*values)


class ModuleManager(Signals):
    """`slicer.app.moduleManager()`."""

    def modulesNames(self) -> list[str]:
        return list(vars(slicer.moduleNames))

    loadedModuleNames = modulesNames

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)

    def factoryManager(self) -> ModuleManager:
        return self

    def isLoaded(self, name: str) -> bool:
        return self.module(name) is not None


class Settings(dict):
    """`slicer.app.settings()` without Qt: kept for the session, never written."""

    def value(self, key: str, default: Any = None) -> Any:
        return self.get(key, default)

    def setValue(self, key: str, value: Any) -> None:
        self[key] = value

    def contains(self, key: str) -> bool:
        return key in self

    def remove(self, key: str) -> None:
        self.pop(key, None)


class Application(Signals):
    """`slicer.app`. With Qt (see `desktop`) it has windows and an event loop; without, those calls do nothing.

    `majorVersion` and `minorVersion` are plain attributes: a test sets them to play another Slicer.
    """

    applicationName = "Slicer"
    majorVersion, minorVersion, revision = 5, 12, "0"
    applicationVersion = "5.12.0"
    os = "linux"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    def __init__(self, scene: Any, logic: Any) -> None:
        super().__init__()
        self._scene, self._logic = scene, logic
        self._settings = Settings({"Developer/DeveloperMode": False})
        self._modules, self._io = ModuleManager(), FileIO()
        self._layout = LayoutManager(scene, logic)
        self._testing = False
        self.temporaryPath = self.slicerHome = self.extensionsInstallPath = tempfile.gettempdir()

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._logic

    def settings(self) -> Settings:
        return self._settings

    userSettings = revisionUserSettings = settings

    def coreIOManager(self) -> FileIO:
        return self._io

    ioManager = coreIOManager

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def extensionsManagerModel(self) -> Any:
        """No extension manager, as in a Slicer that was built without one."""
        return None

    def moduleLogic(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower()).logic()

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def testingEnabled(self) -> bool:
        """False unless a self-test runs, so that message boxes are shown (and recorded by `dialogs`)."""
        return self._testing

    def setTestingEnabled(self, enabled: bool) -> None:
        self._testing = enabled

    def processEvents(self, *_: Any) -> None:
        """Runs what waits in Qt's event loop, where Qt is loaded."""
        widgets = sys.modules.get("PySide6.QtWidgets")
        if widgets is not None and widgets.QApplication.instance():
            widgets.QApplication.instance().processEvents()

    def topLevelWidgets(self) -> list[Any]:
        widgets = sys.modules.get("PySide6.QtWidgets")
        return widgets.QApplication.topLevelWidgets() if widgets is not None else []

    def startupEnvironment(self) -> dict[str, str]:
        return os.environ.copy()

    def translate(self, _context: str, text: str) -> str:
        return text

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def setOverrideCursor(self, *_: Any) -> None: ...

    def restoreOverrideCursor(self) -> None: ...

    def pauseRender(self) -> None: ...

    def resumeRender(self) -> None: ...

    def restart(self) -> None:
        raise RuntimeError("the module under test restarted the application")


def start() -> Any:
    """Makes the one scene of this process with its logics, and `slicer.app`; later calls give the same scene.

    Sets `slicer.mrmlScene`, `slicer.app`, `slicer.modules` and `slicer.moduleNames`, and makes what Slicer's own
    Python has and the wheel lacks (`slicer.ScriptedLoadableModule`, ...) importable.
    """
    if getattr(slicer, "mrmlScene", None) is not None:
        return slicer.mrmlScene
    slicer.__path__.append(str(SLICER_PYTHON))
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    logic = _application_logic(scene)
    remote_io = _remote_io(scene)
    for name in ("modules", "moduleNames"):
        setattr(slicer, name, types.ModuleType(f"slicer.{name}"))
        sys.modules[f"slicer.{name}"] = getattr(slicer, name)
    add_module(Module("Colors", logic.GetColorLogic()))
    logic.SetModuleLogic("Colors", logic.GetColorLogic())
    for name, logic_class in _LOGICS.items():
        add_module(Module(name, _module_logic(logic_class, name, scene, logic)))
    slicer.app = Application(scene, logic)
    slicer.app.remote_io = remote_io  # lives as long as the application
    return scene


def add_module(module: Module) -> None:
    """Makes a module known as `slicer.modules.<name>`."""
    setattr(slicer.modules, module.name.lower(), module)
    setattr(slicer.moduleNames, module.name, module.name)


def remove_module(name: str) -> None:
    """Makes the application forget a module, as if its extension were not installed."""
    for holder, attribute in ((slicer.modules, name.lower()), (slicer.moduleNames, name)):
        if hasattr(holder, attribute):
            delattr(holder, attribute)


def _application_logic(scene: Any) -> Any:
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    for factory in (
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
        slicer.vtkMRMLSliceViewDisplayableManagerFactory,
    ):
        factory.GetInstance().SetMRMLApplicationLogic(logic)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return logic


def _remote_io(scene: Any) -> Any:
    """The cache in which scenes packed into one file (.mrb) are unpacked."""
    remote_io = slicer.vtkMRMLRemoteIOLogic()
    cache = folders.own() / "cache"
    cache.mkdir()
    remote_io.GetCacheManager().SetRemoteCacheDirectory(str(cache))
    remote_io.SetMRMLScene(scene)
    remote_io.AddDataIOToScene()
    return remote_io


def _module_logic(logic_class: str, name: str, scene: Any, application_logic: Any) -> Any:
    logic = getattr(slicer, logic_class)()
    if hasattr(logic, "SetModuleShareDirectory"):
        logic.SetModuleShareDirectory(tempfile.gettempdir())
    logic.SetMRMLScene(scene)
    if hasattr(logic, "SetMRMLApplicationLogic"):
        logic.SetMRMLApplicationLogic(application_logic)
    application_logic.SetModuleLogic(name, logic)
    return logic
