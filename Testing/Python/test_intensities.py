"""Grey values of section 2.3.1, step 3, and the corruptions of appendix D.1."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from RobustDIRLib.synthesis.intensities import (
    CorruptionConfig,
    IntensityConfig,
    apply_contrast,
    corrupt,
    sample_contrasts,
)
from RobustDIRLib.synthesis.labels import LABELS
from RobustDIRLib.synthesis.random import generator


def _contrasts(contrast: str, count: int = 40, **options: object) -> list[tuple[torch.Tensor, torch.Tensor]]:
    config = IntensityConfig(contrast=contrast, **options)  # type: ignore[arg-type]
    drawn = [sample_contrasts(config, LABELS, generator(1, i)) for i in range(count)]
    return [(f.mean[:LABELS], m.mean[:LABELS]) for f, m in drawn]


def test_static_shares_the_draw_and_dynamic_does_not() -> None:
    assert all(torch.equal(f, m) for f, m in _contrasts("static"))
    agreement = [np.corrcoef(f, m)[0, 1] for f, m in _contrasts("dynamic")]
    assert abs(np.mean(agreement)) < 0.1


def test_mixed_holds_all_three() -> None:
    agreement = np.array([np.corrcoef(f, m)[0, 1] for f, m in _contrasts("mixed", 200)])
    assert 0.25 < (agreement > 0.9999).mean() < 0.45
    assert 0.1 < ((agreement < 0.9999) & (agreement > 0.6)).mean() < 0.35
    assert 0.2 < (agreement < 0.5).mean() < 0.6


def test_step_3_ranges_of_mean_and_sigma() -> None:
    config = IntensityConfig()
    assert config.contrast == "dynamic"
    assert config.mean == (0.1, 1.0)
    assert config.sigma == (0.02, 0.1)
    star = IntensityConfig(sigma=(0.05, 0.2))
    fixed, _ = sample_contrasts(star, LABELS, generator(2))
    assert fixed.mean[:LABELS].min() >= 0.1
    assert fixed.mean[:LABELS].max() <= 1.0
    assert fixed.sigma[:LABELS].min() >= 0.05
    assert fixed.sigma[:LABELS].max() <= 0.2


def test_a_palette_lets_labels_share_a_few_grey_values() -> None:
    drawn = _contrasts("dynamic", 20, palette_probability=1.0)
    for mean in (m for pair in drawn for m in pair):
        # Labels of one value lie within some hundredths of each other.
        assert int((mean.sort().values.diff() > 0.08).sum()) <= 5
    assert np.mean([float(f.sort().values.diff().max()) for f, _ in drawn]) > 0.15


def test_dark_tissue_may_be_as_dark_as_what_surrounds_it() -> None:
    lowest = [float(torch.minimum(f, m).min()) for f, m in _contrasts("dynamic", 40, dark_probability=1.0)]
    assert np.mean(lowest) < 0.04
    assert min(float(f.min()) for f, _ in _contrasts("dynamic", 40)) >= 0.1


def test_beyond_the_field_of_view_an_image_is_empty_and_elsewhere_untouched(a_scene: torch.Tensor) -> None:
    plain = corrupt(a_scene, CorruptionConfig(), generator(12))
    shares = []
    for seed in range(12):
        cut = corrupt(a_scene, CorruptionConfig(field_of_view=1.0), generator(12, seed))
        changed = cut != plain
        assert (cut[changed] == -1).all()
        shares.append(float(changed.float().mean()))
    assert max(shares) < 0.5
    assert len({round(s, 4) for s in shares}) > 8


def test_an_unknown_contrast_is_refused() -> None:
    with pytest.raises(ValueError, match="static, dynamic or mixed"):
        IntensityConfig(contrast="other")


def test_each_label_gets_its_own_mean_and_sigma() -> None:
    labels = torch.randint(0, 4, (30, 31, 29), generator=generator(3), dtype=torch.uint8)
    contrast, _ = sample_contrasts(IntensityConfig(), LABELS, generator(4))
    image = apply_contrast(labels, contrast, generator(5))[0, 0]
    for label in range(4):
        values = image[labels == label]
        assert abs(float(values.mean() - contrast.mean[label])) < 0.01
        assert abs(float(values.std() - contrast.sigma[label])) < 0.01


@pytest.fixture
def a_scene() -> torch.Tensor:
    labels = torch.zeros((24, 26, 28), dtype=torch.uint8)
    labels[5:15, 8:20, 3:22] = 1
    labels[12:20, 4:12, 15:25] = 2
    contrast, _ = sample_contrasts(IntensityConfig(), LABELS, generator(6))
    return apply_contrast(labels, contrast, generator(7))


def test_without_corruptions_an_image_is_only_scaled(a_scene: torch.Tensor) -> None:
    image = corrupt(a_scene, CorruptionConfig(), generator(8))
    assert image.min() == -1
    assert image.max() == 1
    assert np.corrcoef(image.flatten(), a_scene.flatten())[0, 1] > 0.999999


@pytest.mark.parametrize("name", [f.name for f in fields(CorruptionConfig)])
def test_appendix_d1_each_corruption_alone_changes_the_image_but_keeps_its_range(
    a_scene: torch.Tensor, name: str
) -> None:
    plain = corrupt(a_scene, CorruptionConfig(), generator(9))
    changes = []
    for seed in range(5):
        image = corrupt(a_scene, CorruptionConfig(**{name: 1.0}), generator(9, seed))
        assert image.shape == plain.shape
        assert torch.isfinite(image).all()
        assert image.min() == -1
        assert image.max() == 1
        changes.append(float((image - plain).abs().mean()))
    assert min(changes) < max(changes) and max(changes) > 0.005  # of a strength drawn anew each time


def _noise_of_appendix(config: CorruptionConfig, seed: int) -> torch.Tensor:
    """What the noise added to a ramp, which no clip can hide, on the scale of the ramp's range."""
    ramp = torch.linspace(0, 1, 48).expand(1, 1, 40, 44, 48)
    image = corrupt(ramp, config, generator(21, seed))
    across = image.mean(dim=(0, 1, 2, 3))
    slope = float(np.polyfit(np.linspace(0, 1, 48), across, 1)[0])
    return (image - across)[0, 0] / slope


def test_strong_noise_is_a_twentieth_to_three_tenths_of_the_range_and_half_the_time_grained() -> None:
    noises = [_noise_of_appendix(CorruptionConfig(strong_noise=1.0), seed) for seed in range(24)]
    deviations = [float(noise.std()) for noise in noises]
    assert 0.04 < min(deviations) < 0.09
    assert 0.18 < max(deviations) < 0.32
    assert float(np.median(deviations)) < 0.17  # small ones more often
    neighbours = np.array([np.corrcoef(n[1:].flatten(), n[:-1].flatten())[0, 1] for n in noises])
    grained = neighbours > 0.3
    assert 0.2 < grained.mean() < 0.8
    assert np.abs(neighbours[~grained]).max() < 0.1
    assert max(float(_noise_of_appendix(CorruptionConfig(noise=1.0), seed).std()) for seed in range(24)) < 0.055
