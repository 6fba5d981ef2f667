"""Random grey values for label maps (section 2.3.1, step 3), and corruptions of the images made from them (D.1).

`sample_*` draws parameters, `apply_*` uses them; images are `(1, 1, D, H, W)`, finally scaled to [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from RobustDIRLib.configuration import refuse_improbable
from RobustDIRLib.synthesis.labels import BACKGROUND
from RobustDIRLib.synthesis.random import chance, integer, smooth_noise, uniform, upsample
from RobustDIRLib.synthesis.thorax import ct_values

_VALUES = 256  # a value for every uint8 label
_SAMPLES = 32_768  # voxels that percentiles are taken from
_JITTER = 0.02  # spread of the labels that share a grey value


@dataclass(frozen=True)
class IntensityConfig:
    """How labels turn into grey values.

    Attributes:
        contrast: `"static"`: both images share the draw; `"dynamic"`: separate draws; `"mixed"`: static, a blend of
            both, or dynamic, by the probabilities below.
        mean: Range of each label's mean.
        sigma: Range of each label's standard deviation; the paper's dynamic* has (0.05, 0.2).
        static_probability: In `"mixed"`, how often the contrast is the same.
        blend_probability: In `"mixed"`, how often the moving contrast lies between the fixed one and a new one.
        flat_background_probability: How often one label, the same in both images, is made nearly black and noiseless.
        texture_probability: How often labels carry a smooth texture that moves with the tissue (0 in the paper).
        palette_probability: How often an image has only 2 to 6 grey values that its labels share, so that neighbours
            merge and large parts show no edge (0 in the paper).
        dark_probability: How often means may fall to 0, so that tissue merges with an empty surrounding (0 in the
            paper).
        chest_probability: How often a chest is painted as a CT shows it, both images alike.
    """

    contrast: str = "dynamic"
    mean: tuple[float, float] = (0.1, 1.0)
    sigma: tuple[float, float] = (0.02, 0.1)
    static_probability: float = 0.35
    blend_probability: float = 0.25
    flat_background_probability: float = 0.0
    texture_probability: float = 0.0
    palette_probability: float = 0.0
    dark_probability: float = 0.0
    chest_probability: float = 0.0

    def __post_init__(self) -> None:
        if self.contrast not in ("static", "dynamic", "mixed"):
            raise ValueError(f"contrast must be static, dynamic or mixed, not {self.contrast!r}")
        if self.mean[0] > self.mean[1] or not 0 <= self.sigma[0] <= self.sigma[1]:
            raise ValueError("mean and sigma hold a lower and an upper bound, and sigma is not negative")
        refuse_improbable(self)


@dataclass(frozen=True)
class Contrast:
    """Mean and standard deviation of the grey value of every label, each shape `(256,)`, and the texture's gain."""

    mean: Tensor
    sigma: Tensor
    texture: Tensor


def _draw(config: IntensityConfig, g: Generator) -> Contrast:
    low, high = config.mean
    low = 0.0 if chance(config.dark_probability, g) else low
    mean = low + (high - low) * torch.rand(_VALUES, generator=g)
    if chance(config.palette_probability, g):
        colours = integer(2, 6, g)
        mean = mean[torch.randint(colours, (_VALUES,), generator=g)] + _JITTER * torch.randn(_VALUES, generator=g)
    sigma = config.sigma[0] + (config.sigma[1] - config.sigma[0]) * torch.rand(_VALUES, generator=g)
    mean[BACKGROUND], sigma[BACKGROUND] = uniform(0, 0.05, g), uniform(0, 0.01, g)
    texture = torch.zeros(_VALUES)
    if chance(config.texture_probability, g):
        texture = 0.15 * uniform(0, 1, g) * torch.randn(_VALUES, generator=g)
        texture[BACKGROUND] = 0
    return Contrast(mean, sigma, texture)


def _blend(a: Contrast, b: Contrast, share: float) -> Contrast:
    return Contrast(*(torch.lerp(x, y, share) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)))


def _share_of_new_contrast(config: IntensityConfig, g: Generator) -> float:
    if config.contrast != "mixed":
        return 0.0 if config.contrast == "static" else 1.0
    draw = uniform(0, 1, g)
    if draw < config.static_probability:
        return 0.0
    return uniform(0, 0.5, g) if draw < config.static_probability + config.blend_probability else 1.0


def _chest(g: Generator) -> Contrast:
    mean, sigma = ct_values(_VALUES, g)
    return Contrast(mean, sigma, torch.full((_VALUES,), uniform(0.0, 0.02, g)))


def sample_contrasts(
    config: IntensityConfig, labels: int, g: Generator, *, chest: bool = False
) -> tuple[Contrast, Contrast]:
    """Draw the grey values of a fixed and a moving image; `labels` is the number of labels J."""
    if chest and chance(config.chest_probability, g):
        fixed = _chest(g)
        return fixed, _blend(fixed, _chest(g), uniform(0, 0.1, g))
    fixed = _draw(config, g)
    moving = _blend(fixed, _draw(config, g), _share_of_new_contrast(config, g))
    if chance(config.flat_background_probability, g):
        label = integer(0, labels - 1, g)
        for contrast in (fixed, moving):
            contrast.mean[label], contrast.sigma[label] = 0.0, 0.005
    return fixed, moving


def apply_contrast(labels: Tensor, contrast: Contrast, g: Generator, texture: Tensor | None = None) -> Tensor:
    """Grey values of a label map: N(mean, sigma) by label, plus the texture where there is one.

    Args:
        labels: Shape `(D, H, W)`, `uint8`.
        contrast: Values by label.
        g: Source of the noise.
        texture: Standard-normal-like volume `(1, 1, D, H, W)` deformed like the labels.
    """
    index = labels.long()
    image = contrast.mean[index] + contrast.sigma[index] * torch.randn(labels.shape, generator=g)
    if texture is not None:
        image = image + contrast.texture[index] * texture[0, 0]
    return image[None, None]


@dataclass(frozen=True)
class CorruptionConfig:
    """Probability of each corruption, drawn for each image apart; all off in the paper (appendix D.1).

    Attributes:
        partial_volume: Smoothing of the noise-free borders, by one or two box means of 3 voxels.
        bias_field: Multiplication by a smooth positive field.
        contrast: Power law of the grey value (gamma).
        noise: White noise on top, up to a twentieth of the range of grey values.
        strong_noise: Noise of a twentieth to three tenths of the range, white or of a grain of about 3 voxels, as in
            scans of low dose or low field.
        low_resolution: Thick slices along one axis, interpolated back.
        missing: A blob of other tissue that is not in the other image.
        field_of_view: All beyond a random plane near the border is empty, as where a scan ends.
        clip: The darkest and brightest voxels, up to 2 % each, are clipped, as presets do.
    """

    partial_volume: float = 0.0
    bias_field: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0
    strong_noise: float = 0.0
    low_resolution: float = 0.0
    missing: float = 0.0
    field_of_view: float = 0.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        refuse_improbable(self, *vars(self))


def box_mean(image: Tensor, times: int) -> Tensor:
    """Mean over 3x3x3 neighbours, repeated; border values continue outside."""
    for _ in range(times):
        image = F.avg_pool3d(F.pad(image, (1,) * 6, mode="replicate"), 3, 1)
    return image


def rescale(image: Tensor) -> Tensor:
    """Linear scaling of an image's range to [-1, 1]."""
    low, high = image.amin(), image.amax()
    return (image - low) / (high - low).clamp_min(1e-6) * 2 - 1


def _add_blob(image: Tensor, g: Generator) -> Tensor:
    shape = image.shape[2:]
    axes = [(torch.arange(n) - uniform(0, n, g)) / (uniform(0.05, 0.2, g) * n) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    inside = z.square() + y.square() + x.square() + 0.3 * smooth_noise(shape, 8, g)[0, 0] < 1
    tissue = uniform(0.1, 1.0, g) + uniform(0.02, 0.1, g) * torch.randn(tuple(shape), generator=g)
    return torch.where(inside, tissue, image)


def _strong_noise(shape: Sequence[int], g: Generator) -> Tensor:
    """White or, half the time, grained noise of a standard deviation of 0.05 to 0.3, small ones more often."""
    noise = box_mean(torch.randn(tuple(shape), generator=g), integer(0, 1, g))
    return noise / noise.std() * 0.05 * 6 ** uniform(0, 1, g)


def _thick_slices(image: Tensor, g: Generator) -> Tensor:
    axis, factor = integer(0, 2, g), integer(2, 4, g)
    kernel = [factor if a == axis else 1 for a in range(3)]
    return upsample(F.avg_pool3d(image, kernel, ceil_mode=True, count_include_pad=False), image.shape[2:])


def _cut_field_of_view(image: Tensor, g: Generator) -> Tensor:
    """Empty what lies beyond a plane across a random direction, up to a fifth of the image's depth along it."""
    normal = torch.randn(3, generator=g)
    normal[integer(0, 2, g)] *= 4  # scans end across an axis, turned by a small angle
    axes = [torch.linspace(-1, 1, n) * float(c) for n, c in zip(image.shape[2:], normal / normal.norm(), strict=True)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    depth = z + y + x
    return torch.where(depth > depth.max() * uniform(0.6, 1.0, g), image.amin(), image)


def _clip(image: Tensor, g: Generator) -> Tensor:
    values = image.flatten()[:: max(1, image.numel() // _SAMPLES)].sort().values
    share = 0.02 * torch.rand(2, generator=g)
    low, high = (values[int(float(s) * (len(values) - 1))] for s in (share[0], 1 - share[1]))
    return image.clamp(low, high)


def corrupt(image: Tensor, config: CorruptionConfig, g: Generator) -> Tensor:
    """Apply a random choice of corruptions to grey values in about [0, 1]; the result is scaled to [-1, 1]."""
    if chance(config.missing, g):
        image = _add_blob(image, g)
    if chance(config.partial_volume, g):
        image = box_mean(image, integer(1, 2, g))
    if chance(config.low_resolution, g):
        image = _thick_slices(image, g)
    if chance(config.bias_field, g):
        image = image * torch.exp(smooth_noise(image.shape[2:], 4, g) * uniform(0, 0.4, g))
    if chance(config.contrast, g):
        unit = (rescale(image) + 1) / 2
        image = unit ** float(torch.exp(0.5 * torch.randn((), generator=g)))
    if chance(config.noise, g):
        image = image + uniform(0, 0.05, g) * torch.randn(tuple(image.shape), generator=g)
    if chance(config.strong_noise, g):
        image = image + _strong_noise(image.shape, g)
    if chance(config.clip, g):
        image = _clip(image, g)
    if chance(config.field_of_view, g):
        image = _cut_field_of_view(image, g)
    return rescale(image)


def sample_texture(shape: Sequence[int], g: Generator) -> Tensor:
    """Fine and coarse smooth noise, about standard normal, shape `(1, 1, D, H, W)`."""
    fine = smooth_noise(shape, [max(2, n // integer(2, 5, g)) for n in shape], g)
    coarse = smooth_noise(shape, [max(2, n // 12) for n in shape], g)
    return fine + 0.5 * coarse
