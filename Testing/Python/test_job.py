"""Processes that are started: heard without waiting, and ended with all they started."""

import ast
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.panel import runs
from RobustDIRLib.runner import launching
from RobustDIRLib.runner.job import GRACE_SECONDS, Job
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.runner.reasons import reason_of_exit


def script(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def finish(job: Job, seconds: float = 20.0):
    """Polls until the process is over; all events, the log, the exit code."""
    events, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        polled = job.poll()
        events += polled.events
        if polled.exit_code is not None:
            return events, job.log, polled.exit_code
        time.sleep(0.01)
    job.kill()
    raise TimeoutError("the process did not end")


def alive(process_id: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked after counts as gone."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="ascii") as file:
            return file.read().split()[2] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_events_and_log_are_told_apart():
    code = """
import json
print("plain words")
print(json.dumps({"event": "stage", "stage": "align"}))
print(json.dumps({"no": "event"}))
print("{broken")
print(json.dumps({"event": "result"}), end="")
"""
    events, log, code = finish(Job(script(code)))
    assert [event["event"] for event in events] == ["stage", "result"]
    assert log == ["plain words", '{"no": "event"}', "{broken"]
    assert code == 0


def test_errors_on_stderr_are_in_the_log_and_unicode_survives():
    _, log, code = finish(Job(script("import sys; print('Größe ✓', file=sys.stderr); sys.exit(3)")))
    assert (log, code) == (["Größe ✓"], 3)


def test_much_output_neither_blocks_nor_is_lost():
    events, _, code = finish(
        Job(
            script("""
import json
for k in range(20000): print(json.dumps({"event": "n", "k": k, "text": "x" * 40}))
""")
        )
    )
    assert code == 0
    assert [event["k"] for event in events] == list(range(20000))


def test_polling_returns_at_once():
    job = Job(script("import time; print('up', flush=True); time.sleep(60)"))
    try:
        begun = time.perf_counter()
        for _ in range(100):
            job.poll()
        assert time.perf_counter() - begun < 1
    finally:
        job.kill()


@pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")
class TestEnding:
    TREE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""

    def child_of(self, job: Job) -> int:
        wait_for(lambda: bool(job.poll() and job.log))
        return int(job.log[0])

    def test_kill_ends_the_whole_tree(self):
        job = Job(script(self.TREE))
        child = self.child_of(job)
        assert alive(child)
        job.kill()
        wait_for(lambda: not alive(child))
        assert not alive(job.process_id)

    def test_a_child_does_not_outlive_a_launcher_killed_from_outside(self):
        job = Job(script(self.TREE))
        child = self.child_of(job)
        os.kill(job.process_id, signal.SIGKILL)
        _, _, code = finish(job)
        assert code == -signal.SIGKILL
        wait_for(lambda: not alive(child))

    def test_stop_asks_first(self, tmp_path):
        code = """
import pathlib, sys, time
print("up", flush=True)
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)
print("asked", flush=True)
"""
        job = Job([*script(code), str(tmp_path / "stop")], stop_file=tmp_path / "stop")
        wait_for(lambda: bool(job.poll() and job.log))
        job.stop()
        _, log, exit_code = finish(job)
        assert (log, exit_code) == (["up", "asked"], 0)

    def test_stop_kills_what_does_not_listen(self, tmp_path):
        job = Job(script("import time; time.sleep(60)"), stop_file=tmp_path / "stop")
        job.stop()
        begun = time.monotonic()
        _, _, code = finish(job)
        assert code == -signal.SIGKILL
        assert time.monotonic() - begun < GRACE_SECONDS + 3

    def test_stop_does_not_wait_where_it_cannot_ask(self, tmp_path):
        job = Job(script("import time; time.sleep(60)"), stop_file=tmp_path / "no such folder" / "stop")
        job.stop()
        begun = time.monotonic()
        finish(job)
        assert time.monotonic() - begun < GRACE_SECONDS


def test_a_program_that_is_not_there_is_a_sentence():
    with pytest.raises(InputError, match="cannot be started"):
        Job(["/no/such/program"])


def test_the_library_is_found_from_any_folder(tmp_path, monkeypatch, fresh_commands):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    _, log, code = finish(Job(library_command("--version")))
    assert code == 0
    assert log[0].startswith("robustdir ")


@pytest.mark.parametrize(
    ("code", "log", "words"),
    [
        (-9, [], "ended from outside"),
        (1, ["OSError: [Errno 28] No space left on device"], "disk of the run folder is full"),
        (1, ["Traceback", "MemoryError"], "Memory ran out"),
        (1, ["Traceback", "ValueError: odd"], "ValueError: odd"),
        (1, [], "code 1"),
    ],
)
def test_reasons_are_one_sentence(code, log, words):
    sentence = reason_of_exit(code, log)
    assert words in sentence
    assert "\n" not in sentence


def test_a_full_disk_is_told_by_its_own_sentence_whatever_the_process_made_of_it():
    said = "/tmp/x/transform.h5 cannot be written (H5Dwrite failed); choose another folder or format."
    log = ["    #001: errno = 28, error message = 'No space left on device'", "    minor: Write failed", said]
    assert reason_of_exit(2, log, said).startswith("The disk of the run folder is full")
    assert reason_of_exit(2, log[1:], said) == said
    better = "/models/a.pt cannot be written (File too large); free some space, or choose another folder."
    assert reason_of_exit(2, log, better) == better
    assert reason_of_exit(2, ["OSError: [Errno 122] Disk quota exceeded: 'a'"], again="try again").startswith(
        "The disk is full; free some space and try again"
    )


def test_no_console_flashes_up_on_windows(monkeypatch):
    """Every process is started without a window."""
    calls = []
    folders = (Path(module.__file__).parent for module in (launching, runs))
    for path in (path for folder in folders for path in sorted(folder.glob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen"):
                calls.append((path.name, {word.arg for word in node.keywords}))
    assert calls
    assert all(words & {"creationflags", None} for _, words in calls), calls  # None: **_own_group()
    monkeypatch.setattr(launching, "_NO_WINDOW", 0x08000000)
    monkeypatch.setattr(launching, "os", SimpleNamespace(name="nt"))
    assert launching._own_group()["creationflags"] & 0x08000000
