"""Networks whose weights are not drawn, for their shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch.overrides import TorchFunctionMode

_DRAWS = frozenset({"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_"})


class Undrawn(TorchFunctionMode):
    """Within it random initialisation leaves tensors as they are.

    On the device `meta`, where there is nothing to draw, torch imports its compiler for it: as long as a registration
    of small images takes.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Torch's hook for whatever function is called."""
        given = dict(kwargs or {})
        if getattr(function, "__name__", "") in _DRAWS:
            return given["tensor"] if "tensor" in given else args[0]
        return function(*args, **given)
