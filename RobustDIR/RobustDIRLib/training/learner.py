"""What learns: a network, its optimiser, the average of its weights, and how often it has stepped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.build import network_config
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.networks.precision import uses_fp16
from RobustDIRLib.training.config import OptimizerConfig


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Rate of step `step` (from 0): linear warm-up, constant, linear decay at the end."""
    rise = min(1.0, (step + 1) / max(config.warmup, 1))
    left = min(1.0, (steps - step) / max(config.decay_steps, 1))
    return config.learning_rate * rise * (config.final_share + (1 - config.final_share) * left)


class WeightAverage:
    """Exponential moving average of a network's weights, smoother than the last step's, and usually better.

    Shadow weights `w <- d w + (1 - d) weights`, with a shorter memory during the first steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights: dict[str, Tensor] = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step's weights into the average."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        for key, value in network.state_dict().items():
            self.weights[key].lerp_(value, 1 - decay)

    @contextmanager
    def used_by(self, network: nn.Module) -> Iterator[None]:
        """Let the network have the averaged weights inside the `with` block."""
        own = {k: v.detach().clone() for k, v in network.state_dict().items()}
        network.load_state_dict(self.weights)
        try:
            yield
        finally:
            network.load_state_dict(own)


class Learner:
    """The state of a run that a checkpoint holds, and one step down the gradient."""

    def __init__(self, network: LearningNetwork, config: OptimizerConfig, precision: str, device: torch.device) -> None:
        """Parameters that need no gradient stay as they are.

        Args:
            network: On the device.
            config: Of the optimiser.
            precision: One of `training.config.PRECISIONS`.
            device: Where the network computes.
        """
        self.network, self.rates, self.device = network, config, device
        self.step = self.skipped = 0
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, config.learning_rate, weight_decay=config.weight_decay)
        self.average = WeightAverage(network, config.average)
        self.scaler = torch.amp.GradScaler(device.type, enabled=uses_fp16(precision, device))

    def descend(self, loss: Tensor, steps: int) -> None:
        """One optimiser step of a run of so many; one whose gradient is not finite is left out and counted."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, steps, self.rates)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.rates.clip or float("inf"))
        # A single bad pair must not destroy hours of learning.
        if torch.isfinite(norm):
            self.scaler.step(self.optimizer)
            self.average.update(self.network)
        else:
            self.skipped += 1
        self.scaler.update()
        self.step += 1

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "network": network_config(self.network),
            "step": self.step,
            "skipped": self.skipped,
            "weights": self.network.state_dict(),
            "average": self.average.weights,
            "average_updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's state.

        Raises:
            InputError: If the checkpoint is of another network, or what it holds does not fit its network.
        """
        if state["network"] != network_config(self.network):
            raise InputError("the run's checkpoint holds another network than its configuration: use another folder")
        try:
            self.network.load_state_dict(state["average"])
            self.network.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:  # torch checks little
            raise InputError("the run's checkpoint does not fit its network: use the one that the run wrote") from error
        self.average.weights = {k: v.to(self.device) for k, v in state["average"].items()}
        self.average.updates = state["average_updates"]
        self.step, self.skipped = state["step"], state["skipped"]
