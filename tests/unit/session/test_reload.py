"""Reading the configuration again: what can change, and that nothing in it ends a capture."""

import io
from collections.abc import Callable

import pytest

from capfix.errors import UsageError
from capfix.options.run import RunOptions
from capfix.runtime.report import Report
from capfix.session.reload import Reload

OPTIONS = RunOptions(("cipsec0",), "out.pcapng")


def reload(reread: Callable[[], RunOptions]) -> tuple[RunOptions, str]:
    """Return the options afterwards, and what was told."""
    stream = io.StringIO()
    return Reload(reread, Report(stream)).read(OPTIONS), stream.getvalue()


def raising(exception: Exception) -> Callable[[], RunOptions]:
    def reread() -> RunOptions:
        raise exception

    return reread


def test_what_can_change_does_and_the_rest_is_told() -> None:
    """By the names that users know."""
    wanted = OPTIONS._replace(verbose=True, stop_packets=5, interfaces=("eth0",))
    options, told = reload(lambda: wanted)
    assert options == OPTIONS._replace(verbose=True, stop_packets=5)
    assert "changed: count, verbose" in told
    assert "cannot change while running: interface; restart for that" in told


@pytest.mark.parametrize(
    "exception",
    [
        UsageError("there is no setting colour"),
        PermissionError(13, "Permission denied"),
        IsADirectoryError(21, "Is a directory"),
        ValueError("embedded null byte"),
        RecursionError(),
    ],
    ids=lambda exception: type(exception).__name__,
)
def test_whatever_is_wrong_leaves_the_options_as_they_were(exception: Exception) -> None:
    """The reason is told, and the capture goes on."""
    options, told = reload(raising(exception))
    assert options == OPTIONS
    assert "the configuration stays as it was: " in told
