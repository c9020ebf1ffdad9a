"""Traffic that goes on while something else looks at it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def again_and_again(step: Callable[[], object], period_s: float = 0.005) -> Iterator[None]:
    """Call `step` every `period_s` in a thread of its own during the `with` block; what it raises is raised here."""
    over = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not over.wait(period_s):
                step()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]
