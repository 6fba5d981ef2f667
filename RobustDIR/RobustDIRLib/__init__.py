"""Deformable registration of 3D images with cascaded networks: the library behind RobustDIR. Imports no torch."""

__version__ = "0.1.0"
