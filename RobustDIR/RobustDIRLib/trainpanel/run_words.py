"""Words and colours for runs: what a cell of the table of runs says."""

from __future__ import annotations

from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.registry import RunEntry
from RobustDIRLib.runner.states import RunState

_HOUR, _DAY = 3600, 86400


def columns() -> dict[str, str]:
    """Titles of the table of runs, and what each means."""
    return {
        _("Run"): _("Name of its folder, which tells when it began, what is done, and of what."),
        _("State"): _("Where it is."),
        _("Epoch"): _("Epochs or steps that are done, of all."),
        _("Dice"): _("Best overlap of structures of the validation pairs so far, 0 to 1."),
        _("TRE, mm"): _("Least landmark error of the validation pairs so far."),
        _("Left"): _("How long it still takes, by its pace."),
    }


def kinds() -> dict[str, str]:
    """Words for the kinds of runs."""
    return {
        "pretrain": _("pretraining"),
        "finetune": _("fine-tuning"),
        "evaluate": _("evaluation"),
        "deformation-model": _("deformation model"),
        "tune": _("search"),
        "study": _("study"),
        "register": _("registration"),
    }


def states() -> dict[RunState, tuple[str, str]]:
    """Word and colour of each state."""
    return {
        RunState.STARTING: (_("starting"), widgets.CAREFUL),
        RunState.RUNNING: (_("running"), widgets.GOOD),
        RunState.PAUSED: (_("paused"), widgets.CAREFUL),
        RunState.STOPPING: (_("stopping"), widgets.CAREFUL),
        RunState.STOPPED: (_("stopped"), widgets.QUIET),
        RunState.ENDED: (_("done"), widgets.GOOD),
        RunState.FAILED: (_("failed"), widgets.BAD),
        RunState.KILLED: (_("died"), widgets.BAD),
    }


def cells(entry: RunEntry, state: str) -> list[str]:
    """The row of a run, with the word for its state, as `columns` has them."""
    return [
        entry.folder.name,
        state,
        _progress(entry),
        f"{entry.best['dice']:.3f}" if "dice" in entry.best else "",
        f"{entry.best['tre_mm']:.2f}" if "tre_mm" in entry.best else "",
        duration(entry.seconds_left) if entry.alive and entry.seconds_left is not None else "",
    ]


def about(entry: RunEntry) -> str:
    """What a run is, and when it began."""
    kind = kinds().get(entry.kind, entry.kind or _("of an unknown kind"))
    if entry.began_at is None:
        return f"{kind[:1].upper()}{kind[1:]}."
    told = _("{kind}, begun {date}.").format(kind=kind, date=f"{entry.began_at:%Y-%m-%d %H:%M}")
    return f"{told[:1].upper()}{told[1:]}"


def _progress(entry: RunEntry) -> str:
    if entry.epochs:
        return f"{entry.epoch} / {entry.epochs}"
    if entry.steps:
        return f"{entry.step} / {entry.steps}"
    return ""


def duration(seconds: float) -> str:
    """A time for people: `40 s`, `7 min`, `2 h 05 min`, `3 d 4 h`."""
    minutes, hours = round(seconds / 60), round(seconds / _HOUR)
    if seconds < 90:
        words = _("{seconds} s").format(seconds=round(max(seconds, 0)))
    elif minutes < 90:
        words = _("{minutes} min").format(minutes=minutes)
    elif seconds < 2 * _DAY:
        words = _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=f"{minutes % 60:02}")
    else:
        words = _("{days} d {hours} h").format(days=hours // 24, hours=hours % 24)
    return str(words)
