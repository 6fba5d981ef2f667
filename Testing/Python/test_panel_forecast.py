"""Forecasts before a run and progress during it."""

import json

import pytest

from RobustDIRLib.geometry import Grid
from RobustDIRLib.panel.forecast import STAGES, Rates, Size, StageProgress, foresee, spoken

SMALL, LARGE = Size(0.1, 0.2, 0.1), Size(10.0, 12.0, 7.0)


def test_larger_volumes_take_longer_in_every_stage_that_grows():
    small, large = (Rates().seconds(size, "automatic", False) for size in (SMALL, LARGE))
    assert list(small) == list(STAGES)
    assert all(large[stage] >= small[stage] for stage in STAGES)
    assert large["network"] == pytest.approx(70 * small["network"])


def test_no_alignment_is_faster_and_a_graphics_card_too():
    whole = sum(Rates().seconds(LARGE, "automatic", False).values())
    assert sum(Rates().seconds(LARGE, "none", False).values()) < whole
    assert sum(Rates().seconds(LARGE, "automatic", True).values()) < whole


def test_rates_learn_from_a_run_and_draw_near_it():
    truth = {stage: 3 * seconds for stage, seconds in Rates().seconds(LARGE, "automatic", False).items()}
    rates = Rates()
    for _ in range(8):
        rates = rates.learned(truth, LARGE, "automatic", False)
    assert sum(rates.seconds(LARGE, "automatic", False).values()) == pytest.approx(sum(truth.values()), rel=0.02)
    assert sum(rates.seconds(SMALL, "automatic", False).values()) > sum(
        Rates().seconds(SMALL, "automatic", False).values()
    )


def test_a_graphics_card_teaches_nothing_about_the_processor():
    learned = Rates().learned({"network": 500.0}, LARGE, "automatic", True)
    assert learned.seconds(LARGE, "none", False) == Rates().seconds(LARGE, "none", False)
    assert learned.seconds(LARGE, "none", True)["network"] > Rates().seconds(LARGE, "none", True)["network"]


def test_a_run_without_alignment_teaches_nothing_about_it():
    assert Rates().learned({"align": 0.001}, LARGE, "none", False).cpu["align"] == Rates().cpu["align"]


def test_settings_come_back_and_damaged_ones_do_not_matter():
    rates = Rates().learned({"network": 2.5}, LARGE, "none", True)
    assert Rates.from_text(rates.to_text()) == rates
    for text in (None, "", "{", "[]", json.dumps({"cpu": {"network": "x"}}), "null"):
        assert Rates.from_text(text) == Rates()


def test_progress_never_goes_back_nor_past_the_end():
    progress = StageProgress({"start": 2.0, "network": 6.0, "write": 2.0})
    seen, now = [], 0.0
    for stage, lasts in (("start", 1.0), ("network", 20.0), ("write", 0.5)):
        progress.enter(stage, now)
        for _ in range(50):
            seen.append((progress.fraction(now), progress.left(now)))
            now += lasts / 50
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] < 1
    assert all(left > 0 for _, left in seen)


def test_unknown_stages_change_nothing():
    progress = StageProgress(dict.fromkeys(STAGES, 1.0))
    progress.enter("dance", 5.0)
    assert progress.stage == STAGES[0]


def test_forecast_of_a_pair_is_a_sentence_with_seconds_memory_and_grid():
    grid = Grid((100, 120, 140), (1.0, 1.0, 1.5))
    outlook = foresee(grid, grid, preset="brain-mri", alignment="none", accelerated=False, rates=Rates())
    assert outlook.working == (140, 120, 150)
    assert outlook.needed > 450 * 140 * 120 * 150
    sentence = outlook.sentence()
    for words in (spoken(outlook.seconds), "GiB of memory", "140 x 120 x 150", "1.0 x 1.0 x 1.0 mm"):
        assert words in sentence


def test_the_networks_own_price_is_used_where_it_is_known():
    grid = Grid((100, 120, 140), (1.0, 1.0, 1.5))
    given = {"preset": "brain-mri", "alignment": "none", "accelerated": False}
    dear = foresee(grid, grid, **given, rates=Rates(bytes_per_voxel=900.0))
    assert dear.needed > foresee(grid, grid, **given, rates=Rates()).needed


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (61, "61 s"), (180, "3 min"), (7200, "2.0 h")])
def test_durations_are_spoken(seconds, words):
    assert spoken(seconds) == words


def test_refinement_takes_its_share_by_quality_and_learns_from_the_usual_one():
    fast, balanced, best = (Rates().seconds(LARGE, "none", False, q)["refine"] for q in ("fast", "balanced", "best"))
    assert fast == 0 < balanced < best
    assert Rates().learned({"refine": 0.001}, LARGE, "none", False, "fast").cpu["refine"] == Rates().cpu["refine"]
    assert Rates().learned({"refine": 500.0}, LARGE, "none", False).cpu["refine"] > Rates().cpu["refine"]


def test_rates_of_a_version_without_refinement_are_read():
    old = json.loads(Rates().to_text())
    del old["cpu"]["refine"]
    old["cpu"]["network"] = 7.5
    assert Rates.from_text(json.dumps(old)).cpu["network"] == 7.5
