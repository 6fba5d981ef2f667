import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from registration_cases import grid_about, inverse_of, picture
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.orientation import at_spacing
from RobustDIRLib.registration.shifts import Shifts

WHOLE = picture(grid_about(np.array([2.0, -3, 4]), (30, 26, 28), (3.6, 3.4, 3.7), (12, -8, 20), (1, -1, 1)))
OTHER_CONTRAST = (0.9, -0.5, 0.05, -0.7, -0.4)


@pytest.mark.parametrize("turn", [(0, 0, 0), (90, 0, 180), (35, -60, 20)], ids=str)
@pytest.mark.parametrize("swapped", [False, True], ids=["part is moving", "part is fixed"])
def test_a_part_is_found_in_the_whole(turn, swapped):
    matrix = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    true = Linear(matrix, np.array([150.0, -80, 30]))
    middle = true(np.array([9.0, 6, 12]))
    part = picture(
        grid_about(middle, (15, 17, 14), (3.3, 3.5, 3.4), (5, 40, -10)), inverse_of(true), values=OTHER_CONTRAST
    )
    images = at_spacing(WHOLE, 4.5), at_spacing(part, 4.5)
    shifts, wanted = (Shifts(*images[::-1]), inverse_of(true)) if swapped else (Shifts(*images), true)
    point = np.array([1.0, 2, 3])
    target, score = shifts.best(wanted.matrix, point)
    assert score > 0.1
    assert np.linalg.norm(target - wanted(point)) < 7


def test_a_wrong_turn_scores_less():
    shifts = Shifts(at_spacing(WHOLE, 5.0), at_spacing(WHOLE, 5.0))
    turned = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    assert shifts.best(np.eye(3), np.zeros(3))[1] > 2 * shifts.best(turned, np.zeros(3))[1]
