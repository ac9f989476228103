"""Preparing the next item while the caller is at work with the one before."""

import threading

import pytest

from resources.ahead import Ahead

SECONDS = 20


class Preparation:
    """Says which items were begun; each one ends once it is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.threads: list[threading.Thread] = []
        self._events = [threading.Event() for _ in range(5)]
        self._let_go = threading.Event()
        self._let_go.set()

    def hold(self) -> None:
        self._let_go.clear()

    def let_go(self) -> None:
        self._let_go.set()

    def wait_for(self, item: int) -> bool:
        return self._events[item].wait(SECONDS)

    def __call__(self, item: int) -> str:
        self.begun.append(item)
        self.threads.append(threading.current_thread())
        self._events[item].set()
        assert self._let_go.wait(SECONDS)
        if item == 3:
            raise ValueError("three")
        return f"made {item}"


def test_the_next_one_is_prepared_meanwhile_and_no_other():
    prepare = Preparation()
    seen = []
    ahead = Ahead([0, 1, 2], prepare)
    for item, made in ahead:
        ahead.begin()
        ahead.begin()
        if item < 2:
            assert prepare.wait_for(item + 1)
        assert prepare.begun == list(range(min(item + 2, 3)))
        seen.append((item, made))
    assert seen == [(0, "made 0"), (1, "made 1"), (2, "made 2")]
    main = threading.current_thread()
    assert [thread is main for thread in prepare.threads] == [True, False, False]


def test_what_was_not_begun_is_prepared_in_turn():
    prepare = Preparation()
    ahead = Ahead([0, 1, 2], prepare)
    for item, _ in ahead:
        assert prepare.begun == list(range(item + 1))
        if item == 1:
            ahead.begin()
            assert prepare.wait_for(2)
            break
    main = threading.current_thread()
    assert [thread is main for thread in prepare.threads] == [True, True, False]


def test_an_error_comes_when_its_turn_has_come():
    seen = []
    ahead = Ahead([2, 3, 4], Preparation())
    with pytest.raises(ValueError, match="three"):
        for item, _ in ahead:
            ahead.begin()
            seen.append(item)
    assert seen == [2]


def test_who_stops_waits_for_nothing():
    prepare = Preparation()
    ahead = Ahead([0, 1], prepare)
    for item, made in ahead:
        assert (item, made) == (0, "made 0")
        # Whatever is under way then ends by itself.
        prepare.hold()
        ahead.begin()
        break
    prepare.let_go()
