"""Work done ahead: the next item is prepared while the caller is at work with the one before."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class Ahead(Generic[Item, Made]):
    """Each item with what ``prepare`` makes of it, in order; one iteration.

    The caller may say while it has an item that the next one can ``begin``: a thread prepares it
    then, and no other; else it is prepared when its turn has come. What ``prepare`` raises is
    raised in its item's turn. A caller that stops before the end waits for nothing, nor does the
    end of the process.
    """

    def __init__(self, items: Sequence[Item], prepare: Callable[[Item], Made]) -> None:
        self._items = items
        self._prepare = prepare
        self._next = 0
        self._begun: Callable[[], Made] | None = None

    def __iter__(self) -> Iterator[tuple[Item, Made]]:
        for place, item in enumerate(self._items):
            begun, self._begun, self._next = self._begun, None, place + 1
            yield item, begun() if begun else self._prepare(item)

    def begin(self) -> None:
        """Begin to prepare the next item, if there is one and it has not begun."""
        if self._begun is None and self._next < len(self._items):
            self._begun = _started(self._prepare, self._items[self._next])


def _started(prepare: Callable[[Item], Made], item: Item) -> Callable[[], Made]:
    """Begin to prepare an item; what is returned waits for it."""
    answers: queue.SimpleQueue[tuple[Made | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((prepare(item), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=work, name=f"ahead {item}", daemon=True).start()

    def result() -> Made:
        made, error = answers.get()
        if error is not None:
            raise error
        return made  # type: ignore[return-value]

    return result
