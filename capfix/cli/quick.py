"""What a short program need not do at its start and its end.

A capture should see packets soon, and cost little beside them. Of 111 ms of CPU for a capture without packets, most of
it importing, this saves 22 (Python 3.11).
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_start() -> Iterator[None]:
    """Import in the block without looking for garbage, and asyncio without ssl, which it would take along.

    asyncio serves without ssl, as on a Python that was built so, and for the rest of the process: this is for
    programs whose event loop never speaks TLS. `import ssl` itself works again behind the block.
    """
    gc.disable()
    leave_out = "ssl" not in sys.modules and "asyncio" not in sys.modules
    if leave_out:
        sys.modules["ssl"] = None  # type: ignore[assignment]  # makes importing it an ImportError
    try:
        yield
    finally:
        if leave_out:
            del sys.modules["ssl"]
        gc.freeze()  # modules stay
        gc.enable()


def quick_end() -> None:
    """Spare what is left the last look for garbage: the process ends."""
    gc.freeze()
