"""Opens or self-tests a scripted module on the bench: `run_module.py open|test PATH`. Called by ctest."""

import os
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "RobustDIR")]

SKIPPED = 77  # what ctest takes for "not run", see SKIP_RETURN_CODE
OF_MANY_TESTS = "PYTEST_XDIST_TESTRUNUID" in os.environ  # which have processes that others are forked from


def main(task: str, path: Path) -> int:
    from SlicerHeadless import availability

    reason = availability.why_no_desktop()
    if reason:
        print(reason)
        return SKIPPED
    from SlicerHeadless import desktop

    if OF_MANY_TESTS:
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


def _forked(words: list[str]) -> int:
    """The same in a process that has Slicer's libraries already."""
    import forked_commands

    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import run_module; run_module.run()"
    process = forked_commands.started([sys.executable, "-c", code, *words], kind="bench")
    for text, stream in zip(process.communicate(), (sys.stdout, sys.stderr), strict=True):
        stream.write(text)
    return int(process.returncode)


def run() -> None:
    """As this process's words say."""
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))


if __name__ == "__main__":
    sys.exit(_forked(sys.argv[1:])) if OF_MANY_TESTS else run()
