"""Folders of the bench's processes: there while the process is, gone after it, however it ended."""

from pathlib import Path

import pytest

import forked_commands

pytestmark = pytest.mark.skipif(not forked_commands.POSSIBLE, reason="what is killed is only swept up where locks go")

OWNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from SlicerHeadless import folders
(folders.own() / "within").mkdir()
print(folders.own(), flush=True)
if sys.argv[2] == "stays": time.sleep(60)
"""


def owner(temporary: Path, then: str):
    """A process with such a folder, and the folder."""
    command = ["python", "-c", OWNER, str(Path(__file__).parents[1]), then]
    process = forked_commands.started(command, {"TMPDIR": str(temporary)})
    return process, Path(process.stdout.readline().strip())


def test_it_goes_with_its_process(tmp_path):
    process, folder = owner(tmp_path, "ends")
    process.communicate(30)
    assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_when_the_next_begins_and_nothing_else(tmp_path):
    living, kept = owner(tmp_path, "stays")
    killed, left = owner(tmp_path, "stays")
    foreign = tmp_path / "slicer-headless-of-others"
    foreign.mkdir()
    killed.kill()
    killed.wait(30)
    assert left.is_dir()
    owner(tmp_path, "ends")[0].communicate(30)
    assert sorted(tmp_path.iterdir()) == sorted([kept, foreign])
    assert (kept / "within").is_dir()
    living.kill()
    living.wait(30)


def test_the_benchs_own_files_lie_in_it(desktop):
    import slicer

    from SlicerHeadless import folders

    cache = Path(slicer.app.remote_io.GetCacheManager().GetRemoteCacheDirectory())
    assert cache.parent == Path(slicer.app.settings().fileName()).parent == folders.own()
    assert cache.is_dir()
