"""What the rest of the library may ask of a network: a protocol to register with, and a class to teach and save."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from RobustDIRLib.networks.deformation import Deformation


@runtime_checkable
class Network(Protocol):
    """What can register: two images `(1, 1, D, H, W)` in [-1, 1] to a displacement and its inverse, in voxels.

    `isinstance` tells whether an object has both members. A registration asks for no more, so that a network of any
    make can be tried; one that learns and is saved is a `LearningNetwork`.
    """

    @property
    def bytes_per_voxel(self) -> float:
        """Peak memory of a pass, both directions, bytes a voxel of the images, beyond what is held before it."""

    def __call__(self, fixed: Tensor, moving: Tensor) -> Deformation:
        """Both displacements `(1, 3, D, H, W)`, from fixed to moving and back."""


@runtime_checkable
class LargeMotionNetwork(Network, Protocol):
    """A network that has a way of its own for large motion between like contrasts, and says so."""

    bears_large_motion: bool

    def __call__(self, fixed: Tensor, moving: Tensor, *, large_motion: bool = False) -> Deformation:
        """Both displacements `(1, 3, D, H, W)`; with `large_motion` by that way."""


@runtime_checkable
class DraftingNetwork(Network, Protocol):
    """A network that can leave fine detail to a refinement that follows, and says so."""

    drafts: bool

    def __call__(self, fixed: Tensor, moving: Tensor, *, large_motion: bool = False, draft: int = -1) -> Deformation:
        """Both displacements `(1, 3, D, H, W)`; from 0 on, `draft` says how many of the finest levels to leave out."""


class LearningNetwork(nn.Module, ABC):
    """All that teaching, saving, memory and registration need of a network; one that lacks a part cannot be made.

    Attributes:
        config: A frozen dataclass that makes the same architecture again; see `build`.
    """

    config: Any

    @property
    @abstractmethod
    def bytes_per_voxel(self) -> float:
        """Peak memory of a pass, both directions, bytes a voxel of the images."""

    @property
    @abstractmethod
    def multiple(self) -> int:
        """Sides of the images that `levels` takes are divisible by this; `forward` takes any."""

    @abstractmethod
    def levels(self, fixed: Tensor, moving: Tensor, count: int | None = None) -> list[Deformation]:
        """The deformations that teaching supervises, coarse to fine, each in voxels of its own grid.

        Grids of several resolutions share the images' outer border.

        Args:
            fixed: Shape `(B, 1, D, H, W)`, intensities in [-1, 1].
            moving: The same shape.
            count: Stop after this many levels; all if not given.
        """

    @abstractmethod
    def forward(self, fixed: Tensor, moving: Tensor) -> Deformation:
        """Both displacements `(B, 3, D, H, W)` of images `(B, 1, D, H, W)` of any size."""


def drafts(network: Network) -> bool:
    """Whether a network can leave fine detail to refinement."""
    return isinstance(network, DraftingNetwork) and network.drafts


def ways(network: Network, *, large_motion: bool = False, draft: int = -1) -> dict[str, Any]:
    """What to call a network with, of what it knows; `DraftingNetwork` says what is meant."""
    known: dict[str, Any] = {}
    if large_motion and isinstance(network, LargeMotionNetwork):
        known["large_motion"] = network.bears_large_motion
    if draft >= 0 and drafts(network):
        known["draft"] = draft
    return known
