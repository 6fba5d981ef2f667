"""Voxels behind a header: what a file cannot hold and what memory has no room for is refused before it is built."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import numpy as np
import pytest

from file_cases import VOXELS, meta_bytes, nifti_bytes, nrrd_bytes, put, refusal, told
from RobustDIRLib.io import payload
from RobustDIRLib.io.images import read_image

pytestmark = pytest.mark.filterwarnings("error")  # NumPy's own words are noise to a user


def bomb(tmp_path, mebibytes: int):
    """A NIfTI file of zeros, a thousandth of its voxels in length."""
    sides = (1024, 1024, mebibytes)
    data = nifti_bytes((42, "3h", *sides), (70, "2h", 2, 8))[:352] + bytes(mebibytes << 20)
    return put(tmp_path / "bomb.nii.gz", gzip.compress(data, 9))


def test_a_file_that_unpacks_to_more_than_memory_holds_is_refused_unread(tmp_path, monkeypatch):
    path = bomb(tmp_path, 64)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(payload, "available_memory", lambda: 100 << 20)
    tracemalloc.start()
    assert "GiB of memory" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_what_memory_has_room_for_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "available_memory", lambda: 1 << 20)
    read_image(put(tmp_path / "scan.nii", nifti_bytes()))
    monkeypatch.setattr(payload, "available_memory", lambda: None)
    read_image(tmp_path / "scan.nii")


def test_running_out_of_memory_all_the_same_is_one_sentence(tmp_path, monkeypatch):
    def none_left(*_args, **_more):
        raise MemoryError

    path = put(tmp_path / "scan.nii", nifti_bytes())
    monkeypatch.setattr(payload.np, "empty", none_left)
    assert "does not fit into the memory" in refusal(path)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
def test_sizes_beyond_any_file_are_refused_whatever_the_packing(tmp_path, encoding, monkeypatch):
    monkeypatch.setattr(payload, "available_memory", lambda: 1 << 34)
    fields = {"sizes": "40000 40000 40000", "encoding": encoding}
    refusal(put(tmp_path / "scan.nrrd", nrrd_bytes(fields, gzip.compress(VOXELS.tobytes()))))


def test_a_stream_that_goes_on_and_on_after_the_last_voxel_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "_FORGIVEN", 1 << 21)
    data = nifti_bytes()
    read_image(put(tmp_path / "scan.nii.gz", gzip.compress(data + bytes(1 << 20))))
    assert "goes on after the last voxel" in refusal(
        put(tmp_path / "scan.nii.gz", gzip.compress(data + bytes(1 << 23)))
    )


def test_numbers_of_every_packing_are_in_native_order(tmp_path):
    image = read_image(put(tmp_path / "scan.nrrd", nrrd_bytes({"endian": "big"}, VOXELS.astype(">i2").tobytes())))
    assert image.array.dtype == np.float32
    assert image.array.dtype.isnative


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_come_in_native_order_whatever_the_file_has(tmp_path, order):
    path = put(tmp_path / "voxels", VOXELS.astype(f"{order}i2").tobytes())
    numbers = payload.read_payload(path, payload.Payload((path,), np.dtype(f"{order}i2"), VOXELS.size))
    np.testing.assert_array_equal(numbers, VOXELS.ravel())
    assert numbers.dtype.isnative


def test_a_sound_stream_of_fewer_voxels_than_the_header_tells_of_is_cut_short(tmp_path):
    """Unlike one cut in two, it ends as it should, checksum and all."""
    fuller = nifti_bytes((46, "h", 10))
    assert "cut short" in refusal(put(tmp_path / "scan.nii.gz", gzip.compress(fuller)))
    said = nrrd_bytes({"sizes": "10 11 10", "encoding": "gzip"}, gzip.compress(VOXELS.tobytes()))
    assert "cut short" in refusal(put(tmp_path / "scan.nrrd", said))


@pytest.mark.parametrize("word", ["300000", "-300000", "9" * 20, "1_0", "1,2", "1e2"])
@pytest.mark.parametrize("fields", [nrrd_bytes, meta_bytes])
def test_numbers_written_out_that_are_none_of_their_type_are_refused(tmp_path, fields, word):
    text = " ".join([*map(str, VOXELS.ravel()[:-1]), word]).encode()
    kind = {"encoding": "ascii"} if fields is nrrd_bytes else {"BinaryData": "False"}
    assert f"not all numbers of its type ({VOXELS.dtype.name})" in refusal(put(tmp_path / "a", fields(kind, text)))


def test_voxels_beyond_those_the_header_tells_of_are_told_however_they_are_packed(tmp_path, caplog):
    more, text = VOXELS.tobytes() + VOXELS[0].tobytes(), " ".join(map(str, [*VOXELS.ravel(), 5, 6])).encode()
    for data in (
        nrrd_bytes(body=more),
        nrrd_bytes({"encoding": "gzip"}, gzip.compress(more)),
        meta_bytes({"CompressedData": "True"}, zlib.compress(more)),
        nrrd_bytes({"encoding": "ascii"}, text),
        gzip.compress(nifti_bytes() + b"\0\0"),
    ):
        image, words = told(put(tmp_path / "a", data), caplog)
        np.testing.assert_array_equal(image.array, VOXELS)
        assert "after the last voxel" in " ".join(words)
