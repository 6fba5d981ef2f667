"""What the whole process has once, changed by several at once: it must be as it was after the last."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager

import pydicom
import pytest
import SimpleITK as sitk
import torch

from RobustDIRLib.io.dicom_headers import quiet_pydicom
from RobustDIRLib.io.quiet import quiet_itk, silent_libraries
from RobustDIRLib.io.shared import SharedSetting
from RobustDIRLib.registration.alignment import _ONE_THREAD
from RobustDIRLib.registration.devices import repeatable


def threads():
    return torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()


def standard_error():
    found = os.fstat(2)
    return found.st_dev, found.st_ino, found.st_mode


def of_pydicom():
    settings = pydicom.config.settings
    return settings.reading_validation_mode, pydicom.config.logger.disabled, list(warnings.filters)


@contextmanager
def two_threads():
    """ITK has more threads than the one that is asked of it, wherever this runs."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


CHANGES = {
    "ITK's warnings": (quiet_itk, sitk.ProcessObject.GetGlobalWarningDisplay),
    "the standard error output": (silent_libraries, standard_error),
    "pydicom": (quiet_pydicom, of_pydicom),
    "threads": (lambda: repeatable(3), threads),
    "threads of the alignment": (_ONE_THREAD.changed, threads),
}


@pytest.mark.parametrize("name", CHANGES)
def test_blocks_that_overlap_as_those_of_threads_do_leave_it_as_it_was(name, capfd):
    change, seen = CHANGES[name]
    with capfd.disabled(), two_threads():
        before = seen()
        first, second = change(), change()
        first.__enter__()
        changed = seen()
        second.__enter__()
        first.__exit__(None, None, None)
        within = seen()
        second.__exit__(None, None, None)
        after = seen()
    assert changed == within != before
    assert after == before


def test_a_failure_within_puts_it_back():
    states = []
    shared = SharedSetting(lambda: states.append("changed") or len(states), lambda kept: states.append(kept))
    for _ in range(2):
        with pytest.raises(KeyError), shared.changed():
            raise KeyError
    assert states == ["changed", 1, "changed", 3]
