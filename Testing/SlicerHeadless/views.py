"""Slice and 3D views rendered off screen by Slicer's own displayable managers, and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk
from vtkmodules.vtkInteractionStyle import vtkInteractorStyleUser
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkImageMapper

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLColorLegendDisplayableManager",
)


class OffscreenView:
    """A render window without a screen, with the displayable managers of one view node."""

    def __init__(self, node: Any, factory: Any, managers: tuple[str, ...], size: tuple[int, int]) -> None:
        self.node = node
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetShowWindow(False)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        self.interactor.SetInteractorStyle(vtkInteractorStyleUser())
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for manager in managers:
            if hasattr(slicer, manager) and not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.SetRenderer(self.renderer)
        self.managers.Initialize(factory, self.renderer)

    def render(self) -> None:
        """Draws what the scene holds now."""
        self.window.Render()

    def write_png(self, path: Any) -> Path:
        """Renders and writes what the view shows."""
        self.render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputConnection(grabber.GetOutputPort())
        writer.Write()
        return Path(path)


class OffscreenSliceView(OffscreenView):
    """What a slice view shows: the layers that its logic blends, with grids, outlines and markups on top."""

    def __init__(self, logic: Any, size: tuple[int, int] = (500, 500)) -> None:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(logic.GetSliceNode(), factory, SLICE_MANAGERS, size)
        self.logic = logic
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._mapper, self._actor = vtkImageMapper(), vtkActor2D()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self.managers.SetMRMLDisplayableNode(self.node)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(logic)
        self._style.SetDisplayableManagers(self.managers)
        self._style.SetInteractor(self.interactor)
        logic.ResizeSliceNode(*size)

    def render(self) -> None:
        self.logic.UpdatePipeline()
        image = self.logic.GetImageDataConnection()
        if image:
            self._mapper.SetInputConnection(image)
            if not self.renderer.HasViewProp(self._actor):
                self.renderer.AddViewProp(self._actor)
        self._actor.SetVisibility(bool(image))
        super().render()


class OffscreenThreeDView(OffscreenView):
    """What a 3D view shows: models, segmentations, markups and transforms."""

    def __init__(self, node: Any, size: tuple[int, int] = (500, 500)) -> None:
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(node, factory, THREE_D_MANAGERS, size)
        self.managers.SetMRMLDisplayableNode(node)

    def reset_camera(self) -> None:
        """Moves the camera so that all that is visible fits."""
        self.renderer.ResetCamera()
