"""Writing all of a file or none; what is caught there is a disk that will not, and no mistake of ours."""

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from full_disk import no_larger_than
from RobustDIRLib.errors import InputError
from RobustDIRLib.io import files
from RobustDIRLib.io.displacements import read_transform, to_sitk_transform, write_displacement, write_transform
from RobustDIRLib.io.files import refuse_inputs, written_atomically
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.model_file import save_model
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.training.checkpoints import save_checkpoint


@pytest.fixture
def writers(oblique_grid, a_field):
    noise = np.random.default_rng(0).normal(size=oblique_grid.shape).astype(np.float32)
    image, transform = Image(noise, oblique_grid), to_sitk_transform(a_field)
    network = build_network({"kind": "unet", "channels": 4})
    return {
        "a.nii": lambda path: write_image(path, image),
        "a.nii.gz": lambda path: write_image(path, image),
        "a.mha": lambda path: write_image(path, image),
        "a.nrrd": lambda path: write_image(path, image),
        "d.nii.gz": lambda path: write_displacement(path, a_field),
        "t.h5": lambda path: write_transform(path, transform),
        "w.pt": lambda path: save_model(path, network, {}),
        "checkpoint.pt": lambda path: save_checkpoint(path, {"weights": torch.rand(9999)}),
    }


NAMES = ("a.nii", "a.nii.gz", "a.mha", "a.nrrd", "d.nii.gz", "t.h5", "w.pt", "checkpoint.pt")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_may_not_grow_is_refused_whole(writers, tmp_path, name):
    (tmp_path / name).write_text("the one before")
    with no_larger_than(9000), pytest.raises(InputError, match="cannot be written") as caught:
        writers[name](tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "the one before"
    writers[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size > 9000


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "t.h5"])
def test_a_full_disk_is_told_before_a_library_meets_it(writers, tmp_path, monkeypatch, name):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(InputError, match="No space left"):
        writers[name](tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "mistake",
    [
        RuntimeError("dictionary changed size during iteration"),
        OSError("cannot write mode F as PNG"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/somewhere/else.csv"),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/somewhere/else.csv"),
        ValueError("a bug"),
    ],
)
def test_other_failures_stay_what_they_are(tmp_path, mistake):
    with pytest.raises(type(mistake)) as caught, written_atomically(tmp_path / "a.txt"):
        raise mistake
    assert caught.value is mistake
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS])
def test_failures_of_the_disk_are_told(tmp_path, number):
    with (
        pytest.raises(InputError, match=f"cannot be written .{os.strerror(number)}"),
        written_atomically(tmp_path / "a"),
    ):
        raise OSError(number, os.strerror(number))


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "series").mkdir()
    for name in ("scan.nii", "series/1.dcm"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "link.nii").symlink_to(tmp_path / "scan.nii")
    os.link(tmp_path / "scan.nii", tmp_path / "hard.nii")
    (tmp_path / "way").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize("output", ["scan.nii", "link.nii", "hard.nii", "way/scan.nii", "series/../scan.nii"])
@pytest.mark.parametrize("given", ["scan.nii", "link.nii", "way/scan.nii"])
def test_an_input_is_known_by_any_name(inputs, output, given):
    with pytest.raises(InputError, match="which is read"):
        refuse_inputs([inputs / "new.nii", inputs / output], [inputs / given])


def test_a_series_is_not_written_into_and_other_places_are_free(inputs):
    with pytest.raises(InputError, match="into .*series"):
        refuse_inputs([inputs / "series" / "warped.nii"], [inputs / "series"])
    refuse_inputs([inputs / "new.nii", inputs / "series" / "run" / "a.nii"], [inputs / "scan.nii", inputs / "series"])
    refuse_inputs([inputs / "new.nii"], [inputs / "missing.nii"])


@pytest.mark.parametrize("tries", [3, 10**6])
def test_a_reader_in_the_way_is_waited_for_where_that_is_needed(tmp_path, monkeypatch, tries):
    """On Windows a file that someone reads, a virus scanner perhaps, cannot be renamed over for a moment."""
    calls, replace = [], os.replace

    def blocked(source, target):
        calls.append(target)
        if len(calls) < tries:
            raise PermissionError(13, "Access is denied", str(source), None, str(target))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", blocked)
    monkeypatch.setattr(files, "_PAUSE_S", 0.001)
    monkeypatch.setattr(files, "_PATIENCE_S", 0.1)
    path = tmp_path / "run.json"
    path.write_text("old")
    for blocking in (False, True):
        monkeypatch.setattr(files, "_READERS_BLOCK", blocking)
        if blocking and tries < 10:
            with files.written_atomically(path) as temporary:
                temporary.write_text("new")
            assert path.read_text() == "new"
        else:
            with pytest.raises(InputError, match="Access is denied"), files.written_atomically(path) as temporary:
                temporary.write_text("new")
            assert path.read_text() == "old" and (blocking or len(calls) == 1)
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_paths_in_other_letters_than_utf8_never_reach_libraries_that_end_the_process(tmp_path, a_field):
    odd = tmp_path / os.fsdecode(b"odd\xff")
    odd.mkdir()
    for name, write in {
        "a.h5": lambda path: write_transform(path, sitk.TranslationTransform(3)),
        "a.nii.gz": lambda path: write_displacement(path, a_field),
    }.items():
        with pytest.raises(InputError, match="not UTF-8"):
            write(odd / name)
    (odd / "t.tfm").write_text("#Insight Transform File V1.0\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_transform(odd / "t.tfm")
