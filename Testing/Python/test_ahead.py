import threading

import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.ahead import Ahead


def test_the_next_is_made_while_this_one_is_used_and_each_once():
    made, begun = [], {place: threading.Event() for place in range(4)}

    def make(place: int) -> int:
        begun[place].set()
        made.append(place)
        return place * place

    with Ahead(make) as ahead:
        for place in range(3):
            assert ahead.get(place, place + 1) == place * place
            assert begun[place + 1].wait(10)  # though nobody has asked for it yet
        assert ahead.get(3, None) == 9
    assert made == [0, 1, 2, 3]


def test_another_place_than_was_foreseen_is_made_anew():
    with Ahead(lambda place: -place) as ahead:
        assert (ahead.get(1, 2), ahead.get(5, 6), ahead.get(6, None)) == (-1, -5, -6)


def test_an_error_is_that_of_the_place_that_is_asked_for():
    def make(place: int) -> int:
        if place == 2:
            raise InputError("the second pair is damaged")
        return place

    with Ahead(make) as ahead:
        assert ahead.get(1, 2) == 1
        with pytest.raises(InputError, match="second pair"):
            ahead.get(2, 3)
        assert ahead.get(3, None) == 3


def test_what_is_being_made_at_the_end_is_waited_for():
    begun, asked, ended = threading.Event(), threading.Event(), []

    def make(place: int) -> int:
        if place:
            begun.set()
            asked.wait(10)
            ended.append(place)
        return place

    with Ahead(make) as ahead:
        ahead.get(0, 1)
        assert begun.wait(10)
        asked.set()
    assert ended == [1]
