"""What readers log is heard by whoever listens, each sentence once, and by nobody after."""

import logging
import threading

from RobustDIRLib.io.remarks import heard


def test_warnings_of_the_library_are_heard_once_and_in_order():
    log = logging.getLogger("RobustDIRLib.io.nifti")
    with heard() as said:
        log.warning("%s is odd", "a.nii")
        log.info("read")
        log.warning("b.nii is odd, too")
        log.warning("a.nii is odd")
        logging.getLogger("elsewhere").warning("not ours")
    log.warning("too late")
    assert said == ["a.nii is odd", "b.nii is odd, too"]


def test_listeners_do_not_disturb_each_other():
    log = logging.getLogger("RobustDIRLib.io.dicom")
    with heard() as outer:
        with heard() as inner:
            log.warning("one")
        log.warning("two")
    assert (inner, outer) == (["one"], ["one", "two"])


def test_what_another_thread_logs_is_not_heard():
    """Of two registrations at once each has its own warnings."""
    log = logging.getLogger("RobustDIRLib.io.nifti")
    with heard() as said:
        other = threading.Thread(target=log.warning, args=("of another pair",))
        other.start()
        other.join()
        log.warning("of this one")
    assert said == ["of this one"]
