"""Volumes between two processes: any type and grid, in steps, as SimpleITK reads them too."""

import numpy as np
import pytest
import SimpleITK as sitk

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import sitk_grid
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.panelparts import exchange


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8", ">i2"])
def test_every_type_comes_back(tmp_path, oblique_grid, dtype):
    array = np.random.default_rng(1).integers(0, 100, oblique_grid.shape).astype(dtype)
    exchange.write(tmp_path / "a.mha", array, oblique_grid)
    back, grid = exchange.read(tmp_path / "a.mha")
    np.testing.assert_array_equal(back, array)
    assert grid.close_to(oblique_grid, 1e-12)


def test_simpleitk_reads_the_same(tmp_path, oblique_grid, a_label_map):
    exchange.write(tmp_path / "a.mha", a_label_map.array, oblique_grid)
    back = read_labels(tmp_path / "a.mha")
    np.testing.assert_array_equal(back.array, a_label_map.array)
    assert back.grid.close_to(oblique_grid, 1e-9)


def test_vectors_keep_their_components(tmp_path, a_field):
    exchange.write(tmp_path / "a.mha", a_field.array, a_field.grid)
    image = sitk.ReadImage(str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), a_field.array)
    assert sitk_grid(image).close_to(a_field.grid, 1e-9)
    np.testing.assert_array_equal(exchange.read(tmp_path / "a.mha")[0], a_field.array)


def test_arrays_in_any_order_of_memory(tmp_path, oblique_grid):
    array = np.arange(np.prod(oblique_grid.shape), dtype="f4").reshape(oblique_grid.shape[::-1]).T
    exchange.write(tmp_path / "a.mha", array, oblique_grid)
    np.testing.assert_array_equal(exchange.read(tmp_path / "a.mha")[0], array)


def test_large_volumes_go_in_small_steps(tmp_path, oblique_grid, monkeypatch):
    monkeypatch.setattr(exchange, "STEP_BYTES", 1000)
    array = np.random.default_rng(2).random(oblique_grid.shape)
    steps = list(exchange.write_in_steps(tmp_path / "a.mha", array, oblique_grid))
    assert len(steps) == -(-array.nbytes // 1000)
    header = exchange.read_header(tmp_path / "a.mha")
    back = np.empty(header.shape, header.dtype)
    assert len(list(exchange.read_in_steps(tmp_path / "a.mha", header, back))) == len(steps)
    np.testing.assert_array_equal(back, array)


def test_large_files_go_in_small_steps_and_missing_ones_without_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "_DELETED_BYTES", 1000)
    (tmp_path / "a.mha").write_bytes(bytes(4500))
    sizes = [(tmp_path / "a.mha").stat().st_size for _ in exchange.delete_in_steps(tmp_path / "a.mha")]
    assert sizes == [4500, 3500, 2500, 1500, 500] and list(tmp_path.iterdir()) == []
    assert list(exchange.delete_in_steps(tmp_path / "a.mha")) == []


class TestRefusals:
    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            exchange.read_header(tmp_path / "a.mha")

    def test_cut_short(self, tmp_path, an_image):
        exchange.write(tmp_path / "a.mha", an_image.array, an_image.grid)
        data = (tmp_path / "a.mha").read_bytes()
        (tmp_path / "a.mha").write_bytes(data[:-1])
        with pytest.raises(InputError, match="cut short"):
            exchange.read_header(tmp_path / "a.mha")

    def test_another_form(self, tmp_path):
        (tmp_path / "a.mha").write_bytes(b"\x89PNG\r\n\x1a\n" * 10)
        with pytest.raises(InputError, match="damaged or of another form"):
            exchange.read_header(tmp_path / "a.mha")

    def test_a_full_disk_is_one_sentence(self, an_image, monkeypatch):
        class Full(type(exchange.Path("/dev/full"))):
            """A file on a disk that is full."""

        with pytest.raises(InputError, match="No space left on device"):
            exchange.write(Full("/dev/full"), an_image.array, an_image.grid)

    def test_an_array_of_another_shape(self, tmp_path, an_image):
        exchange.write(tmp_path / "a.mha", an_image.array, an_image.grid)
        header = exchange.read_header(tmp_path / "a.mha")
        with pytest.raises(ValueError, match="cannot take"):
            next(exchange.read_in_steps(tmp_path / "a.mha", header, np.empty((2, 3, 4), "f4")))
