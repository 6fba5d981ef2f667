"""Methods that tests have run in processes of their own, which load little for them."""

import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.errors import InputError


@dataclass(frozen=True)
class Probe:
    """A method that does one thing, and shifts by 1, 2, 3 mm."""

    deed: str
    amount: float = 0
    name: str = "probe"

    def prepare(self) -> None:
        if self.deed == "prepare":
            time.sleep(self.amount)

    def register(self, pair: Pair, threads: int) -> Outcome:
        shift = (1.0, 2.0, 3.0)
        if self.deed == "fill":
            np.ones(int(self.amount), dtype=np.uint8).sum()
        elif self.deed == "sleep":
            time.sleep(self.amount)
        elif self.deed == "compute":
            until = time.process_time() + self.amount
            while time.process_time() < until:
                pass
        elif self.deed == "refuse":
            raise InputError("probe refuses this pair; give another.")
        elif self.deed == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif self.deed == "err":
            raise KeyError("a mistake of ours")
        elif self.deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.deed == "threads":
            shift = (float(os.environ["OMP_NUM_THREADS"]), float(threads), 0.0)
        return Outcome(sitk.TranslationTransform(3, shift))


@dataclass(frozen=True)
class Marking:
    """A method that says where it runs, and goes on for long."""

    mark: str
    name: str = "marking"

    def prepare(self) -> None:
        """Nothing to do."""

    def register(self, pair: Pair, threads: int) -> Outcome:
        Path(self.mark).write_text(str(os.getpid()))
        time.sleep(600)
        return Outcome(sitk.TranslationTransform(3))


@dataclass(frozen=True)
class Telling:
    """Writes down in a folder which process runs it and which one started that, and takes a minute."""

    path: Path
    name: str = "telling"

    def settings(self) -> dict[str, str]:
        return {}

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        self.path.mkdir(exist_ok=True)
        place = self.path / str(os.getpid())
        place.with_suffix(".part").write_text(f"{os.getpid()} {os.getppid()}")
        place.with_suffix(".part").rename(place)
        time.sleep(60)
        raise AssertionError
