"""What a person is told."""

import contextlib
import io
import os
import re

import pytest

from capfix.runtime.report import Counts, Report


def told(counts: Counts, verbose: bool = False) -> str:
    """Return the summary."""
    stream = io.StringIO()
    Report(stream, verbose=verbose).summary(counts, "out.pcapng", "sll")
    return stream.getvalue()


def test_summary_of_an_ordinary_capture() -> None:
    """Captured, received and dropped, and nothing of what did not happen."""
    assert told(Counts(captured=1, received=3, kernel_dropped=2)) == (
        "capfix: 1 packet captured to out.pcapng\ncapfix: 3 packets received, 2 dropped by the kernel\n"
    )


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (Counts(output_lost=4), "4 packets captured but lost to the output"),
        (Counts(duplicates=1), "1 packet of netfilter left out: the tap delivered the same"),
        (
            Counts(not_carried=2),
            "2 packets left out: of types that sll headers cannot carry; try --link sll2",
        ),
        (Counts(headers_stale=7), "0 kept, 0 made up where there was none, 7 made up in place of one"),
    ],
)
def test_whatever_did_not_go_as_expected_is_told(counts: Counts, sentence: str) -> None:
    """Each count that is not zero has its sentence."""
    assert sentence in told(counts)


def test_copies_on_loopback_are_a_detail() -> None:
    """They are no loss, and told with -v alone."""
    assert "outgoing copies" not in told(Counts(loopback_copies=6))
    assert "6 outgoing copies left out on the loopback interface" in told(
        Counts(loopback_copies=6), verbose=True
    )


def test_status_counts_what_came_since_the_last_one() -> None:
    """The rate is that of the time since, not of the whole capture."""
    report = Report(io.StringIO())
    report.status("capturing", Counts(captured=1000))
    status = report.status("capturing", Counts(captured=1000, kernel_dropped=1234, output_lost=5))
    assert status == "capturing: 0 packets/s, 1,000 packets, 1,234 dropped, 5 lost to the output"


def test_nobody_listens() -> None:
    """That a terminal or a reader of stderr has gone is no reason to end a capture."""
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as stream:
        Report(stream).say("nobody hears this")


def test_no_live_line_without_a_terminal() -> None:
    """Nor where it is asked to be quiet."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert not Report(io.StringIO()).is_live
    assert not Report(Terminal(), quiet=True).is_live
    assert Report(Terminal()).is_live


def test_a_message_takes_the_place_of_the_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is wiped first, and cut to the terminal's width."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return 2

    monkeypatch.setattr("os.get_terminal_size", lambda fd: type("Size", (), {"columns": 20}))
    stream = Terminal()
    report = Report(stream)
    report.live(Counts(captured=123456))
    report.say("eth0 is down")
    line, message = re.split(r"\r\x1b\[K", stream.getvalue())
    assert len(line) == 19
    assert message == "capfix: eth0 is down\n"


def test_what_a_terminal_would_obey_is_written_out() -> None:
    """An interface's name may hold escape sequences, and whoever made it may not be a friend."""
    stream = io.StringIO()
    Report(stream).say("\x1b[2Jtun0 is there\nas cipsec\udc80\u00fc")
    assert stream.getvalue() == "capfix: \\x1b[2Jtun0 is there\nas cipsec\\udc80\u00fc\n"
