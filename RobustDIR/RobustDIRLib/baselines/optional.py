"""Packages of rivals, which are optional, and rivals' failures in the user's words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import last_line

_ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


@lru_cache
def version(distribution: str) -> str | None:
    """The installed version of a package, by the name that pip knows; None if it is not installed.

    It is looked up once: every result of an evaluation records it.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def require(distribution: str, method: str) -> None:
    """Refuse a method whose package is not installed, without importing anything.

    Raises:
        InputError: If it is not installed.
    """
    if version(distribution) is None:
        raise InputError(
            f"`methods` {method}: it needs the package {distribution}, which is not installed; "
            f"pip install 'robustdir[baselines]' brings it."
        )


def package(distribution: str, method: str, module: str) -> Any:
    """A module of an optional package.

    Args:
        distribution: Name that pip knows.
        method: Whose package it is, for the message.
        module: To import.
    Raises:
        InputError: If the package is not installed or cannot be imported.
    """
    require(distribution, method)
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"`methods` {method}: its package {distribution} cannot be imported ({last_line(error)}); install it again "
            f"with pip install 'robustdir[baselines]'."
        ) from error


def settings(method: Any, distribution: str) -> dict[str, Any]:
    """What a rival (a dataclass) is set to and the version of its package: equal settings, equal results."""
    values = {key: value for key, value in asdict(method).items() if key != "name"}
    return {**values, distribution: version(distribution)}


def failure(method: str, error: Exception) -> InputError:
    """What to raise where a rival gives up on a pair: nothing of ours is wrong, and other pairs may do."""
    return InputError(f"{method} failed on this pair ({last_line(error)}); use another method for it.")


@contextmanager
def itk_threads(threads: int) -> Iterator[None]:
    """Threads of a package that has an ITK of its own and asks the environment, which it does once a process."""
    before = os.environ.get(_ITK_THREADS)
    os.environ[_ITK_THREADS] = str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ITK_THREADS]
        else:
            os.environ[_ITK_THREADS] = before
