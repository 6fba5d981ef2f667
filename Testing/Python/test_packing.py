"""Gzip written in blocks on several threads: any reader unpacks it, and threads change nothing."""

import gzip
import zlib

import numpy as np
import pytest

from RobustDIRLib.io.packing import BLOCK, PackedFile
from RobustDIRLib.registration.devices import repeatable


def written(path, parts, threads):
    with repeatable(threads), PackedFile(path) as file:
        for part in parts:
            file.write(part)
            assert file.tell() > 0
    return path.read_bytes()


@pytest.fixture(scope="module")
def voxels():
    """Two blocks and a bit, half of it noise."""
    noise = np.random.default_rng(0).normal(size=BLOCK // 3 + 1001).astype(np.float32)
    noise[::2] = -1024
    return noise


@pytest.mark.parametrize("size", [1, BLOCK // 4 - 1, BLOCK // 4, BLOCK // 4 + 1, None])
def test_one_member_holds_what_was_written(tmp_path, voxels, size):
    packed = written(tmp_path / "a.gz", [voxels[:size]], threads=2)
    assert gzip.decompress(packed) == voxels[:size].tobytes()
    one = zlib.decompressobj(wbits=31)
    assert one.decompress(packed) == voxels[:size].tobytes()
    assert one.eof
    assert not one.unused_data


def test_threads_and_order_of_parts_change_nothing(tmp_path, voxels):
    whole = written(tmp_path / "a.gz", [voxels], threads=1)
    assert written(tmp_path / "b.gz", [voxels], threads=5) == whole
    parts = np.array_split(voxels, 7)
    assert gzip.decompress(written(tmp_path / "c.gz", parts, threads=5)) == voxels.tobytes()
    assert len(whole) < 0.8 * voxels.nbytes


def test_what_packing_cannot_shrink_is_stored_and_read_back(tmp_path):
    noise = np.random.default_rng(3).bytes(BLOCK + 12345)
    packed = written(tmp_path / "a.gz", [noise, bytes(2 * BLOCK)], threads=2)
    assert gzip.decompress(packed) == noise + bytes(2 * BLOCK)
    assert len(noise) < len(packed) < 1.02 * len(noise)


def test_zeros_lie_where_a_place_ahead_was_sought(tmp_path):
    with PackedFile(tmp_path / "a.gz") as file:
        file.write(b"head")
        assert file.seek(4) == file.seek(9) - 5
        file.write(b"voxels")
        with pytest.raises(OSError, match="from beginning to end"):
            file.seek(3)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"head" + bytes(5) + b"voxels"


def test_arrays_of_any_order_of_axes_are_refused_rather_than_mixed_up(tmp_path):
    with PackedFile(tmp_path / "a.gz") as file, pytest.raises((TypeError, ValueError, BufferError)):
        file.write(np.arange(24.0).reshape(4, 6)[:, ::2])


def test_a_full_disk_is_told_and_the_file_is_closed(tmp_path, voxels, monkeypatch):
    file = PackedFile(tmp_path / "a.gz")

    class Full:
        closed = False

        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            self.closed = True

    file._file.close()
    file._file = full = Full()
    file.write(voxels[:100])
    with pytest.raises(OSError, match="No space"):
        file.close()
    assert full.closed
    assert file.closed
