"""Local correlation of two feature maps, in both directions at the price of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Voxels at a time, long enough to amortise a call, short enough that some 16 channels stay in a core's own cache.
_CHUNK = 1 << 12
_ROWS = 1 << 13
# Up to so many voxels, products of all with all cost less than a pass over the features for every offset. A graphics
# card multiplies for next to nothing, and starting a pass is what costs there.
_FEW_VOXELS, _FEW_ON_CARD = 400, 6000


def offsets(radius: int) -> Tensor:
    """All steps of up to `radius` voxels along each axis, shape `((2 radius + 1)**3, 3)`, components z, y, x."""
    return torch.tensor(list(product(range(-radius, radius + 1), repeat=3)), dtype=torch.float32)


class _Padded:
    """Flat view of volumes padded with zeros by the radius, in which every offset is one shift of the flat index."""

    def __init__(self, shape: torch.Size, radius: int) -> None:
        self.radius, self.shape = radius, tuple(shape[2:])
        self.full = tuple(n + 2 * radius for n in self.shape)
        _, height, width = self.full
        self.shifts = [int((i * height + j) * width + k) for i, j, k in offsets(radius).tolist()]
        self.plane = height * width
        self.first = max(self.shifts)
        self.length = self.full[0] * height * width - 2 * self.first

    def pad(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.radius,) * 6).flatten(2)

    def crop(self, x: Tensor) -> Tensor:
        depth, height, width = (slice(self.radius, self.radius + n) for n in self.shape)
        found: Tensor = x.unflatten(2, self.full)[:, :, depth, height, width]
        return found

    def rows(self, x: Tensor) -> Tensor:
        """The same with channels innermost: shape `(B, N, C)`."""
        return F.pad(x.permute(0, 2, 3, 4, 1), (0, 0) + (self.radius,) * 6).flatten(1, 3)

    def neighbours(self, device: torch.device) -> Tensor:
        """Flat indices in the padded volume of every voxel's neighbours, shape `(D H W, K)`."""
        every = torch.arange(self.full[0] * self.full[1] * self.full[2], device=device)
        return self.crop(every[None, None]).reshape(-1, 1) + torch.tensor(self.shifts, device=device)

    def chunks(self, device: torch.device, size: int = _CHUNK) -> list[slice]:
        """Parts of the flat index; a graphics card has no use for small ones."""
        stop = self.first + self.length
        size = size if device.type == "cpu" else self.length
        return [slice(n, min(n + size, stop)) for n in range(self.first, stop, size)]

    def opposite(self, ab: Tensor, inner: slice) -> Tensor:
        """Part of a correlation `(..., K, N)` the other way round: b(x) . a(x + o) is a(y) . b(y - o), y = x + o."""
        # The offset opposite to number k is number -1 - k.
        rows = [ab[..., -1 - k, _moved(inner, shift)] for k, shift in enumerate(self.shifts)]
        return torch.stack(rows, -2)


def _moved(chunk: slice, shift: int) -> slice:
    return slice(chunk.start + shift, chunk.stop + shift)


class _Correlation(torch.autograd.Function):
    """The backward pass is written out: the generic one keeps and refills a full tensor for every offset."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, radius: int) -> tuple[Tensor, Tensor]:
        padded = _Padded(a.shape, radius)
        a_flat, b_flat = padded.pad(a), padded.pad(b)
        count, scale = len(padded.shifts), 1 / a.shape[1]
        ab = a_flat.new_zeros(len(a), count, a_flat.shape[2])
        for chunk in padded.chunks(a.device):
            left = a_flat[..., chunk] * scale
            for k, shift in enumerate(padded.shifts):
                torch.sum(left * b_flat[..., _moved(chunk, shift)], 1, out=ab[:, k, chunk])
        ba = torch.zeros_like(ab)
        inner = slice(padded.first, padded.first + padded.length)
        ba[..., inner] = padded.opposite(ab, inner)
        ctx.save_for_backward(a_flat, b_flat)
        ctx.padded = padded
        return padded.crop(ab), padded.crop(ba)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        padded: _Padded = ctx.padded
        a_flat, b_flat = ctx.saved_tensors
        grad_ab, grad_ba = (padded.pad(g) for g in gradients)
        grad_a, grad_b = torch.zeros_like(a_flat), torch.zeros_like(b_flat)
        count, scale = len(padded.shifts), 1 / a_flat.shape[1]
        for chunk in padded.chunks(a_flat.device):
            for k, shift in enumerate(padded.shifts):
                moved = _moved(chunk, shift)
                both = (grad_ab[:, k, chunk] + grad_ba[:, count - 1 - k, moved])[:, None] * scale
                grad_a[..., chunk].addcmul_(both, b_flat[..., moved])
                grad_b[..., moved].addcmul_(both, a_flat[..., chunk])
        return padded.crop(grad_a), padded.crop(grad_b), None


@dataclass(frozen=True)
class Slab:
    """What `correlation_slabs` gives: some planes of one sample of `both`.

    Attributes:
        sample: Its number.
        planes: Which planes.
        values: Their correlation, shape `(K, planes * H * W)`, offsets as `offsets(radius)` orders them.
    """

    sample: int
    planes: slice
    values: Tensor


def correlation_slabs(both: Tensor, radius: int) -> Iterator[Slab]:
    """`local_correlation` of the halves of a batch, `ab` then `ba`, without gradients and a few planes at a time.

    Products of rows, channels innermost, and their means as a matrix times a vector. What is made of a few planes at
    once, such as a softmax over the offsets, finds them in the cache: over whole volumes it takes ten times as long.

    Args:
        both: Features, shape `(2 B, C, D, H, W)`.
        radius: As `local_correlation` has it.
    """
    padded = _Padded(both.shape, radius)
    depth, height, width = padded.shape
    count = depth if both.device.type != "cpu" else max(1, _ROWS // padded.plane)
    for number, (a, b) in enumerate(zip(*padded.rows(both).chunk(2), strict=True)):
        ab = _correlated(a, b, padded)
        for start in range(0, depth, count):
            planes = slice(start, min(start + count, depth))
            inner = slice(*(padded.first + n * padded.plane for n in (planes.start, planes.stop)))
            for sample, values in ((number, ab[:, inner]), (number + len(both) // 2, padded.opposite(ab, inner))):
                values = values.unflatten(1, (-1, *padded.full[1:]))[:, :, :height, :width]
                yield Slab(sample, planes, values.flatten(1))


def _correlated(a: Tensor, b: Tensor, padded: _Padded) -> Tensor:
    """Correlation `(K, N)` of rows of features, shape `(N, C)`, of two padded volumes; 0 on the padding."""
    voxels, channels = a.shape
    # Room behind the end: the opposite of the last planes is looked for there.
    ab = a.new_empty(len(padded.shifts), voxels + padded.first)
    mean = a.new_full((channels,), 1 / channels)
    chunks = padded.chunks(a.device, _ROWS)
    ab[:, : padded.first] = 0
    ab[:, chunks[-1].stop :] = 0
    buffer = a.new_empty(chunks[0].stop - chunks[0].start, channels)
    for chunk in chunks:
        left, products = a[chunk], buffer[: chunk.stop - chunk.start]
        for k, shift in enumerate(padded.shifts):
            torch.mul(left, b[_moved(chunk, shift)], out=products)
            torch.mv(products, mean, out=ab[k, chunk])
    return ab


def _correlate_few(a: Tensor, b: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """With gradients, for small levels: every voxel times every other, of which each keeps its neighbours'."""
    padded = _Padded(a.shape, radius)
    index = padded.neighbours(a.device).expand(len(a), -1, -1)
    return _neighbours_of(a, b, padded, index), _neighbours_of(b, a, padded, index)


def _neighbours_of(a: Tensor, b: Tensor, padded: _Padded, index: Tensor) -> Tensor:
    rows = a.flatten(2).transpose(1, 2) / a.shape[1]
    with torch.autocast(a.device.type, enabled=False):
        products = torch.bmm(rows, padded.pad(b))
    found: Tensor = products.gather(2, index).transpose(1, 2).unflatten(2, padded.shape)
    return found


def local_correlation(a: Tensor, b: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Mean product of features over neighbours: `ab[k](x) = mean_c a_c(x) b_c(x + o_k)` and `ba` with a and b swapped.

    Args:
        a: Features, shape `(B, C, D, H, W)`.
        b: Features of the same shape.
        radius: Neighbours reach this many voxels along each axis; features beyond the border count as zero.
    Returns:
        `(ab, ba)`, each `(B, K, D, H, W)` with `K = (2 radius + 1)**3`, ordered as `offsets(radius)`.

    For where gradients are wanted; without them `correlation_slabs` is faster.
    """
    if a.shape[2:].numel() <= (_FEW_VOXELS if a.device.type == "cpu" else _FEW_ON_CARD):
        return _correlate_few(a, b, radius)
    ab, ba = _Correlation.apply(a, b, radius)  # type: ignore[no-untyped-call]
    return ab, ba
