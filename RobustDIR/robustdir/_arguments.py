"""Arguments of public functions against their annotations, so that a mistake is answered by a sentence."""

from __future__ import annotations

import functools
import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike

from robustdir._images import ImageLike, LandmarksLike
from robustdir._surroundings import usual_torch
from RobustDIRLib.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
# What the functions themselves look at: they say how arrays get a frame, and what is no array of numbers.
_OF_THEIR_OWN = (ImageLike, LandmarksLike, ArrayLike)
_WORDS = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    os.PathLike: "a name or path",
    sitk.Transform: "a 3D transform of SimpleITK",
}
_SEVERAL = (Sequence, Collection, Iterable)
_LONGEST = 40  # letters of what was given that a message repeats


def checked(function: F, home: str = "") -> F:
    """The function, which refuses arguments that are not of the kind its annotations say, and heeds no torch defaults.

    Arrays are made of what can be one. Annotations that only type checkers can see, and those without a check here, let
    all pass. What Python itself says of arguments that are missing or unknown stays as it is.

    Args:
        function: With annotations.
        home: The module in which it is public, where other processes find it again.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def refusing(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        hints = _hints(function)
        for name, value in bound.arguments.items():
            if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {key: _fitted(key, one, hints.get(key, Any)) for key, one in value.items()}
            else:
                bound.arguments[name] = _fitted(name, value, hints.get(name, Any))
        with usual_torch():
            return function(*bound.args, **bound.kwargs)

    refusing.__module__ = home or function.__module__
    return typing.cast(F, refusing)


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """What each argument is annotated with, the settings of a `TypedDict` by their own names."""
    names = vars(inspect.getmodule(function))
    found = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        settings = re.fullmatch(r"Unpack\[(\w+)\]", str(annotation))
        if settings:
            found.update(typing.get_type_hints(names[settings[1]]))
        elif name != "return":
            try:
                found[name] = eval(annotation, names) if isinstance(annotation, str) else annotation
            except NameError:  # imported for type checkers alone
                continue
    return found


def _fitted(name: str, value: Any, wanted: Any) -> Any:
    """The value as the function takes it.

    Raises:
        InputError: If it is of another kind.
    """
    choices = _choices(wanted)
    if Any in choices or any(set(_choices(own)) <= set(choices) for own in _OF_THEIR_OWN):
        return value
    if any(_is(value, choice) for choice in choices):
        return value.item() if isinstance(value, np.generic) else value
    if any(typing.get_origin(choice) is np.ndarray for choice in choices):
        return _array(name, value)
    raise InputError(f"`{name}` is {_shown(value)}; give {_in_words(choices)}.")


def _choices(wanted: Any) -> tuple[Any, ...]:
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return tuple(inner for one in typing.get_args(wanted) for inner in _choices(one))
    return (type(None) if wanted is None else wanted,)


def _is(value: Any, wanted: Any) -> bool:
    """Whether a value is of a kind; arrays never are: they are made."""
    kind = typing.get_origin(wanted) or wanted
    if kind is typing.Literal:
        return isinstance(value, str) and value in typing.get_args(wanted)
    if kind is float:
        return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if kind is bool:
        return isinstance(value, (bool, np.bool_))
    if kind is sitk.Transform:
        return isinstance(value, kind) and value.GetDimension() == 3
    if kind is tuple:
        parts = typing.get_args(wanted)
        alike = isinstance(value, (tuple, list)) and len(value) == len(parts)
        return alike and all(_is(one, part) for one, part in zip(value, parts, strict=True))
    if kind in _SEVERAL:
        return _are(value, kind, typing.get_args(wanted))
    if _is_function(kind):
        return callable(value)
    return isinstance(kind, type) and kind is not np.ndarray and isinstance(value, kind)


def _is_function(kind: Any) -> bool:
    """Whether a kind is that of functions: `Callable`, or a protocol of how one is called."""
    protocol = getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False)
    return kind is Callable or protocol


def _are(value: Any, kind: Any, parts: tuple[Any, ...]) -> bool:
    """Whether a value holds several of a kind; what can be gone through only once is not looked into."""
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes, Mapping)):
        return False
    if not isinstance(value, Collection):
        return kind is Iterable
    ordered = isinstance(value, (Sequence, np.ndarray)) or kind is not Sequence
    return ordered and all(any(_is(one, choice) for choice in _choices(parts[0])) for one in value)


def _array(name: str, value: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"`{name}` is {_shown(value)}, which makes no array of numbers; give one.") from error
    if array.dtype.kind not in "buif" or not array.ndim:
        raise InputError(f"`{name}` is {_shown(value)}; give an array of real numbers.")
    return array


def _in_words(choices: tuple[Any, ...]) -> str:
    """What may be given, in words."""
    kinds = {typing.get_origin(choice) or choice: choice for choice in choices}
    if os.PathLike in kinds:
        kinds.pop(str, None)
    kinds.pop(type(None), None)
    return " or ".join(_word(kind, choice) for kind, choice in kinds.items())


def _word(kind: Any, wanted: Any) -> str:
    parts = typing.get_args(wanted)
    if kind is typing.Literal:
        return f"one of {', '.join(parts)}"
    if kind in _SEVERAL:
        return f"a list, of which each is {_in_words(_choices(parts[0]))}"
    if kind is tuple:
        return f"{len(parts)} of these: {', '.join(_in_words((part,)) for part in parts)}"
    if _is_function(kind):
        return "a function"
    return _WORDS.get(kind, f"what is of the type {getattr(kind, '__name__', kind)}")


def _shown(value: Any) -> str:
    """A value that is short as Python writes it, another by its type."""
    text = repr(value) if isinstance(value, (str, bytes, int, float, type(None))) else ""
    return text if 0 < len(text) <= _LONGEST else f"of the type {type(value).__name__}"
