"""What records say of a run, in memory that does not grow."""

import math
import tracemalloc

import pytest

from RobustDIRLib.runner.curves import MOST_POINTS
from RobustDIRLib.runner.history import History


def step(number, steps=1000, **values):
    return {"kind": "step", "step": number, "steps": steps, **values}


def test_progress_best_and_curves():
    history = History()
    history.add({"kind": "start", "step": 0, "steps": 40, "epochs": 4})
    for epoch, (dice, tre) in enumerate([(0.5, 9.0), (0.7, 4.0), (0.6, 3.0)]):
        history.add(step(10 * epoch, 40, loss=0.1 * epoch, epoch=epoch))
        history.add({"kind": "epoch", "epoch": epoch, "step": 10 * epoch, "dice": dice, "tre_mm": tre})
    assert (history.step, history.steps, history.epoch, history.epochs) == (20, 40, 2, 4)
    assert history.fraction == 0.5
    assert (history.best["dice"].value, history.best["dice"].at) == (0.7, 1)
    assert (history.best["tre_mm"].value, history.best["tre_mm"].at) == (3.0, 2)
    assert history.curves["epoch/dice"].means == [0.5, 0.7, 0.6]
    assert history.curves["step/loss"].steps == [0, 10, 20]


def test_the_end_alone_tells_the_best_of_earlier():
    history = History()
    history.add({"kind": "epoch", "epoch": 99, "dice": 0.6, "best_so_far": {"dice": 0.8, "epoch": 17, "quality": 0.8}})
    assert (history.best["dice"].value, history.best["dice"].at) == (0.8, 17)


def test_time_left_follows_the_pace_and_not_the_clock_on_the_wall():
    history = History()
    history.add({"kind": "start", "step": 0, "steps": 1000})
    history.add(step(1, seconds_per_step=2.0))
    assert history.seconds_left == pytest.approx(999 * 2.0)
    for k in range(2, 30):
        history.add(step(k, seconds_per_step=2.0), now=1000.0 + 3.0 * k)  # validation takes time, too
    assert history.seconds_left == pytest.approx((1000 - 29) * 3.0)


def test_a_pause_does_not_slow_the_forecast():
    history = History()
    for k in range(1, 20):
        history.add(step(k), now=3.0 * k)
    history.add({"kind": "pause", "step": 19}, now=58.0)
    assert history.paused
    for k in range(20, 40):
        history.add(step(k), now=9000 + 3.0 * k)
    assert not history.paused
    assert history.seconds_left == pytest.approx((1000 - 39) * 3.0)


@pytest.mark.parametrize(
    "record",
    [
        {}, {"kind": 3}, {"kind": None}, {"kind": "step", "step": "x", "steps": None, "loss": []}, {"kind": "of X"},
        {"kind": "epoch", "epoch": True, "dice": math.nan, "tre_mm": "none"}, step(math.inf), step(10**400),
        {"kind": "epoch", "best_so_far": 7}, {"kind": "pair"}, {"kind": "step", "seconds_per_step": -math.inf},
    ],
)  # fmt: skip
def test_records_that_make_no_sense_are_passed_over(record):
    history = History()
    history.add(step(5, 10, loss=1.0))
    history.add(record)
    assert history.curves["step/loss"].means == [1.0]
    assert not history.best
    assert history.seconds_left is None


@pytest.mark.parametrize(("kind", "final"), [("end", "end"), ("stop", "stop"), ("step", "")])
def test_the_last_word(kind, final):
    history = History()
    history.add({"kind": "stop", "step": 3})
    history.add({"kind": "start", "step": 3})
    assert history.final == ""
    history.add({"kind": kind, "step": 4})
    assert history.final == final
    history.add({"kind": "summary", "pairs": 2})  # what a fine-tuning measures after its end
    assert history.final == final


def test_a_week_of_records_takes_no_more_memory_than_an_hour():
    def fill(history, begin, end):
        for k in range(begin, end):
            history.add(step(k, 10**6, loss=1 / (k + 1), learning_rate=1e-4), now=float(k))
            if k % 10 == 0:
                history.add({"kind": "epoch", "epoch": k // 10, "step": k, "dice": 0.5, "tre_mm": 2.0})

    history = History()
    fill(history, 0, 6_000)
    tracemalloc.start()
    fill(history, 6_000, 16_000)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert all(len(curve.points) <= MOST_POINTS for curve in history.curves.values())
    assert grown < 1 << 20
