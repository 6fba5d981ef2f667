"""Settings of torch that a caller may have changed, set aside while a public function works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from RobustDIRLib.io.shared import SharedSetting

_KINDS = ("cpu", "cuda")


@contextmanager
def usual_torch() -> Iterator[None]:
    """Numbers of single precision, on the CPU and without autocasting where nothing else is said.

    Where torch is not loaded, nothing of it was changed, and it stays so.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(_SINGLE.changed())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in _KINDS:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def _set_single() -> Any:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    return before


def _restore(before: Any) -> None:
    import torch

    torch.set_default_dtype(before)


_SINGLE = SharedSetting(_set_single, _restore)
