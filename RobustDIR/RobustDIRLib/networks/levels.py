"""What a level of the correlation pyramid is made of: the features of an image, and the velocity that two ask for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from RobustDIRLib.networks.blocks import activate, convolve, convolved_dtype, halve, instance_norm, join, unwritten
from RobustDIRLib.networks.correlation import correlation_slabs, local_correlation, offsets


class EncoderLevel(nn.Module):
    """Halve the resolution, then two convolutions; gives normalised features before their nonlinearity.

    Features of zero mean let the correlation tell likeness from unlikeness, with zero in between, also past the border.
    """

    def __init__(self, inputs: int, channels: int, first: bool, extra: int = 0) -> None:
        super().__init__()
        # Kernel 4 with stride 2 keeps cells aligned, as average pooling does; a 3 would shift them by half a voxel.
        self.reduce = nn.Conv3d(inputs, channels, 4, 2, 1) if first else nn.Conv3d(inputs, channels, 3, 1, 1)
        self.features = nn.Conv3d(channels + extra, channels, 3, 1, 1)
        self.first = first

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """Features of this level from the image or the finer level's; `extra` is joined to them on the way."""
        x = x if self.first else halve(x)
        x = activate(instance_norm(convolve(self.reduce, x)))
        x = x if extra is None else join([x, extra.to(x.dtype)])
        return instance_norm(convolve(self.features, x))


class Decoder(nn.Module):
    """A velocity from the correlation of two feature maps at one level, antisymmetric in its two inputs."""

    steps: Tensor

    def __init__(self, features: int, hidden: int, depth: int, radius: int) -> None:
        super().__init__()
        steps = offsets(radius)
        inputs = len(steps) + features + 3
        self.hidden = nn.ModuleList(nn.Conv3d(inputs if i == 0 else hidden, hidden, 3, padding=1) for i in range(depth))
        self.out = nn.Conv3d(hidden, 4, 3, padding=1)
        nn.init.normal_(self.out.weight, 0.0, 1e-4)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        self.radius = radius
        self.register_buffer("steps", steps, persistent=False)

    def _expectation(self, correlation: Tensor) -> Tensor:
        """The offset to expect by a correlation `(..., K, N)`: shape `(..., 3, N)`, voxels, components z, y, x."""
        weights = torch.softmax(correlation * self.sharpness.exp(), -2)
        with torch.autocast(correlation.device.type, enabled=False):
            return torch.matmul(self.steps.T, weights)

    def _seen(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """Correlation, features and guess, joined for the convolutions; and the guess `(B, 3, D, H, W)`."""
        if torch.is_grad_enabled():
            a, b = both.chunk(2)
            correlation = torch.cat(local_correlation(a, b, self.radius))
            guess = self._expectation(correlation.flatten(2)).unflatten(2, both.shape[2:])
            return join([correlation, both, guess]), guess
        parts = (len(self.steps), both.shape[1], 3)
        seen, (correlations, features, guesses) = unwritten(both, parts, convolved_dtype(both))
        guess = both.new_empty(len(both), 3, *both.shape[2:])
        features.copy_(both)
        with torch.autocast(both.device.type, enabled=False):
            for slab in correlation_slabs(both, self.radius):
                where = (slab.sample, slice(None), slab.planes)
                guess[where] = self._expectation(slab.values).view_as(guess[where])
                # Turned by itself first: far faster than turned, cast and spread in one.
                turned = slab.values.T.contiguous()
                into = correlations[where].permute(1, 2, 3, 0)
                into.copy_(turned.view_as(into))
        guesses.copy_(guess)
        return seen, guess

    def forward(self, both: Tensor) -> Tensor:
        """Velocity that leads from points of a batch's first half to matching points of its second, level's voxels."""
        x, guess = self._seen(both)
        for layer in self.hidden.children():
            x = activate(instance_norm(convolve(layer, x)))  # type: ignore[arg-type]
        out = convolve(self.out, x).float()
        # The gate lets the decoder drop a guess that it takes for noise; at first it is 1.
        ab, ba = (2 * torch.sigmoid(out[:, 3:]) * guess + out[:, :3]).chunk(2)
        return (ab - ba) / 2
