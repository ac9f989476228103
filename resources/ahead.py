"""Work done ahead: the next item is prepared while the caller is at work with the one before."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def one_ahead(
    items: Sequence[Item],
    prepare: Callable[[Item], Made],
    worthwhile: Callable[[Made], bool],
) -> Iterator[tuple[Item, Made]]:
    """Each item with what ``prepare`` makes of it, in order.

    Where what was made is ``worthwhile`` waiting with, a thread prepares the next item, and no
    other, until the caller comes back for it; else it is prepared then. What ``prepare`` raises
    is raised when its item's turn has come. A caller that stops before the end waits for nothing,
    nor does the end of the process.
    """
    ahead: Callable[[], Made] | None = None
    for place, item in enumerate(items):
        made = ahead() if ahead else prepare(item)
        following = items[place + 1 : place + 2]
        ahead = _started(prepare, following[0]) if following and worthwhile(made) else None
        yield item, made


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
