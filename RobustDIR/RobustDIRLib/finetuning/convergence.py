"""When a run has converged: the paper's rule (section 2.2.3)."""

from __future__ import annotations

from collections.abc import Sequence

from RobustDIRLib.finetuning.config import ConvergenceConfig


def running_averages(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and those before it, of at most `window` together."""
    return [sum(values[max(0, i - window + 1) : i + 1]) / min(window, i + 1) for i in range(len(values))]


def converged_at(values: Sequence[float], config: ConvergenceConfig) -> int | None:
    """The epoch (from 1) at which the validation measure had converged, or None.

    The running average over `window` epochs changed by less than `change` for `patience` epochs in a row; only averages
    over whole windows are compared.

    Args:
        values: The measure of each epoch, in order.
        config: The rule.
    """
    averages = running_averages(values, config.window)[config.window - 1 :]
    quiet = 0
    for number, (before, after) in enumerate(zip(averages, averages[1:], strict=False), start=config.window + 1):
        quiet = quiet + 1 if abs(after - before) < config.change else 0
        if quiet == config.patience:
            return number
    return None
