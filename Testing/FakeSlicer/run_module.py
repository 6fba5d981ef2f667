"""Opens or self-tests a scripted module on the bench: `run_module.py open|test PATH`. Called by ctest."""

import os
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "RobustDIR")]

SKIPPED = 77  # what ctest takes for "not run", see SKIP_RETURN_CODE


def main(task: str, path: Path) -> int:
    from SlicerHeadless import availability

    reason = availability.why_no_desktop()
    if reason:
        print(reason)
        return SKIPPED
    from SlicerHeadless import desktop

    if "PYTEST_XDIST_TESTRUNUID" in os.environ:  # one of many tests, which have a process that commands are forked from
        import forked_commands
        from RobustDIRLib.runner import launching

        launching.subprocess = forked_commands.forking_subprocess()
    if task == "open":
        desktop.open_panel(path).close()
        return 0
    return _self_test(getattr(desktop.load_module(path), f"{path.stem}Test"))


def _self_test(case: type) -> int:
    """The module's own test case; without tests it fails."""
    tests = unittest.TestLoader().loadTestsFromTestCase(case)
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
