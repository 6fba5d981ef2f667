"""What the panel hands a registration: files and words that the command understands as they are meant."""

import argparse
from dataclasses import replace

import numpy as np
import pytest

from registration_cases import grid_about
from RobustDIRLib.cli import register as command
from RobustDIRLib.io.images import read_scalar
from RobustDIRLib.panel.request import ChosenMethod, RegistrationRequest
from RobustDIRLib.panel.runs import RegistrationRun
from RobustDIRLib.values import Image


def an_image(*sides: int) -> Image:
    array = np.arange(np.prod(sides), dtype=np.int16).reshape(sides)
    return Image(array, grid_about(np.array([3.0, -20, 11]), sides, (1.5, 0.7, 2.5), (12, -8, 20), (1, -1, 1)))


@pytest.fixture
def a_request() -> RegistrationRequest:
    method = ChosenMethod("mine", "lung-ct", "rigid", "cpu", True, "best")
    return RegistrationRequest(an_image(9, 11, 8), an_image(8, 10, 12), method)


def understood(request: RegistrationRequest, folder) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(request.words(folder))


@pytest.mark.parametrize("given", [(), ("fixed_mask",), ("moving_mask",), ("fixed_mask", "moving_mask")])
def test_the_command_reads_what_was_written(a_request, tmp_path, given):
    masks = {name: an_image(*(7 + place for place in range(3))) for name in given}
    request = replace(a_request, **masks)
    for _step in request.written(tmp_path):
        pass
    args = understood(request, tmp_path)
    for name in ("fixed", "moving", "fixed_mask", "moving_mask"):
        meant, path = getattr(request, name), getattr(args, name)
        assert (meant is None) == (path is None)
        if meant is not None:
            found = read_scalar(path)
            np.testing.assert_array_equal(found.array, meant.array)
            assert found.grid.close_to(meant.grid)


def test_the_method_is_the_chosen_one(a_request, tmp_path):
    args, method = understood(a_request, tmp_path), a_request.method
    assert {name: getattr(args, name) for name in vars(method)} == vars(method)
    plain = replace(a_request, method=replace(method, blank_outside=False))
    assert not understood(plain, tmp_path).blank_outside


def test_the_command_looks_where_the_panel_asks_it_to_end(a_request, tmp_path):
    run, args = RegistrationRun(a_request, tmp_path, None, ()), understood(a_request, tmp_path)
    run._enter("refine")
    run.keep()
    assert [str(path) for path in tmp_path.iterdir()] == [args.keep_file]
    places = {args.keep_file, args.stop_file, args.output, str(args.hand_over)}
    assert len(places) == 4


def test_voxels_are_there_after_the_steps(a_request, tmp_path):
    """As masks are, which are resampled only then."""
    mask = an_image(6, 7, 8)

    def steps():
        for plane in mask.array:
            plane[:] = 7
            yield

    request = replace(a_request, moving_mask=mask, steps=steps())
    for _step in request.written(tmp_path):
        pass
    assert (read_scalar(understood(request, tmp_path).moving_mask).array == 7).all()
