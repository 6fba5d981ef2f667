"""Words of the tab *Train*: what can be chosen, and what a run will take."""

from __future__ import annotations

from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.outlook import RunOutlook, sized
from RobustDIRLib.trainpanel.plan import FINETUNE, PAPER, PRETRAIN, RANDOM_PAIRS, SCRATCH, TEN_MINUTES, Plan

_HOUR = 3600
_DAY = 24 * _HOUR


def purposes() -> dict[str, str]:
    """What a run is for."""
    return {
        FINETUNE: _("Fine-tune a model on the data set"),
        SCRATCH: _("Teach a new network on the data set"),
        PRETRAIN: _("Teach a network on synthetic shapes"),
    }


def presets() -> dict[str, str]:
    """Settings that belong together."""
    return {TEN_MINUTES: _("Try it in ten minutes"), PAPER: _("The paper")}


def networks() -> dict[str, str]:
    """Networks that begin with random weights."""
    return {"pyramid": _("Correlation pyramid, as shipped"), "cascade": _("Cascade of two U-Nets (the paper)")}


def losses(purpose: str) -> dict[str, str]:
    """What can be made small."""
    if purpose == PRETRAIN:
        return {"auto": _("Error of the known displacement"), "dice": _("Dice of the labels (the paper)")}
    return {
        "auto": _("Automatic: Dice with labels, else correlation"),
        "dice": _("Dice of the labels (the paper)"),
        "local_ncc": _("Local correlation: like contrasts"),
        "nmi": _("Mutual information: unlike contrasts (the paper)"),
        "mind": _("Self-similarity: unlike contrasts"),
        "landmarks": _("Distance of landmarks"),
    }


def shapes() -> dict[str, str]:
    """Kinds of random label maps."""
    return {
        "varied": _("Blobs of all sizes"),
        "small": _("Small blobs"),
        "medium": _("Medium blobs (the paper)"),
        "large": _("Large blobs"),
        "rectangles": _("Rectangles"),
        "spheres": _("Spheres"),
        "organs": _("Organs with vessels in a body"),
        "thorax": _("Chests whose lungs slide"),
    }


def contrasts() -> dict[str, str]:
    """How the two images of a pair look."""
    return {"mixed": _("Now alike, now unlike"), "dynamic": _("Unlike (the paper)"), "static": _("Alike")}


def judges() -> dict[str, str]:
    """What can tell which epoch was the best."""
    return {"auto": _("Automatic"), "dice": _("Dice"), "tre": _("Landmarks"), "loss": _("Loss")}


def drawings() -> dict[str, str]:
    """Which pairs are learnt from."""
    return {"auto": _("Automatic"), "listed": _("The data set's"), RANDOM_PAIRS: _("Drawn anew")}


def precisions() -> dict[str, str]:
    """Of numbers."""
    return {"auto": _("Automatic"), "fp32": _("32 bits"), "bf16": _("16 bits, bf16"), "fp16": _("16 bits, fp16")}


def random_note(network: str) -> str:
    """What to expect of a start from random weights."""
    if network == "cascade":
        return str(
            _("The paper's network. It took about 100 000 steps on a large graphics card; a processor gets nowhere.")
        )
    return str(_("Starts from random weights. The shipped network of this kind took 38 000 steps."))


def forecast(outlook: RunOutlook, plan: Plan) -> str:
    """What a run will take, and how that is known."""
    most = _("At most {time}") if plan.purpose != PRETRAIN and plan.stop_when_converged else _("About {time}")
    memory = "" if outlook.free_memory is None else _(" ({free} free)").format(free=sized(outlook.free_memory))
    disk = "" if outlook.free_disk is None else _(" ({free} free)").format(free=sized(outlook.free_disk))
    taken = _("{time}, {memory} of memory{free_memory}, {disk} of disk{free_disk}.").format(
        time=most.format(time=spoken(outlook.seconds)),
        memory=sized(outlook.memory),
        free_memory=memory,
        disk=sized(outlook.disk),
        free_disk=disk,
    )
    known = (
        _("By the pace of this machine's own runs.")
        if outlook.timed
        else _("By the pace of a server with two cores: the first run here will tell better.")
    )
    cut = _("Pairs are learnt from in boxes, as whole ones do not fit into the memory.") if outlook.cut else ""
    return " ".join(filter(None, [taken, known, cut]))


def spoken(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return str(_("{count} s").format(count=max(1, round(seconds))))
    if seconds < 1.5 * _HOUR:
        return str(_("{count} min").format(count=round(seconds / 60)))
    if seconds < 2 * _DAY:
        return str(_("{count} h").format(count=f"{seconds / _HOUR:.1f}"))
    return str(_("{count} days").format(count=round(seconds / _DAY)))
