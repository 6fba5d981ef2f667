"""Folders of the panel: what a crash left goes, what another 3D Slicer works in stays."""

import os
import subprocess
import sys

import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts import workplaces


@pytest.fixture
def dead() -> int:
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_are_purged_and_nothing_else(tmp_path, dead):
    names = {
        f"RobustDIR-run-{dead}-abc": False, "RobustDIR-run-abc_def1": False, "RobustDIR-work-xyz": False,
        f"RobustDIR-run-{os.getpid()}-abc": True, "RobustDIR-results": True, "other": True,
    }  # fmt: skip
    for name in names:
        (tmp_path / name / "inner").mkdir(parents=True)
    workplaces.purge(tmp_path)
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_a_link_to_elsewhere_is_left_alone(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (temporary / "RobustDIR-run-abc").symlink_to(precious, target_is_directory=True)
    workplaces.purge(temporary)
    assert precious.exists()


def test_a_new_folder_bears_the_number_of_its_process(tmp_path):
    folder = workplaces.new_workplace(tmp_path)
    assert f"-{os.getpid()}-" in folder.name
    workplaces.purge(tmp_path)
    assert folder.exists()
    workplaces.remove_workplace(folder)
    assert not folder.exists()


def test_a_place_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot take the panel's files"):
        workplaces.new_workplace(tmp_path / "gone")


def test_opening_the_panel_purges(open_panel, desktop, tmp_path, monkeypatch, dead):
    import slicer

    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path))
    (tmp_path / f"RobustDIR-run-{dead}-abc").mkdir()
    open_panel("RobustDIR")
    assert not list(tmp_path.iterdir())


def test_one_that_holds_much_is_deleted_in_steps(tmp_path):
    from RobustDIRLib.panelparts import workplaces

    folder, other = workplaces.new_workplace(tmp_path), tmp_path / "of the user"
    other.mkdir()
    (folder / "case").mkdir()
    with (folder / "case" / "large.mha").open("wb") as file:
        file.truncate(1 << 27)
    (other / "kept").touch()
    (folder / "link").symlink_to(other / "kept")
    steps = sum(1 for _step in workplaces.remove_in_steps(folder))
    assert steps >= 4 and not folder.exists() and (other / "kept").exists()
    assert list(workplaces.remove_in_steps(other)) == [] and (other / "kept").exists()
