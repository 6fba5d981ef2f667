"""Exponential moving average of a network's weights: smoother than the last step's, and usually better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Shadow weights `w <- d w + (1 - d) weights`, with a shorter memory during the first steps."""

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
