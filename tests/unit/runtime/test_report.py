"""What a person hears."""

import contextlib
import io
import os
import re

import pytest

from capfix.runtime.events import DETAIL, NOTICE, EventKind
from capfix.runtime.report import Report

NEWS = EventKind("news", NOTICE, "{text}")
DETAILS = EventKind("details", DETAIL, "{text}")


def test_nobody_listens() -> None:
    """That a terminal or a reader of stderr has gone is no reason to end a capture."""
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as stream:
        Report(stream).tell(NEWS(text="nobody hears this"))


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
    report.live("0 packets/s, 123,456 packets, 0 dropped")
    report.tell(NEWS(text="eth0 is down"))
    line, message = re.split(r"\r\x1b\[K", stream.getvalue())
    assert len(line) == 19
    assert message == "capfix: eth0 is down\n"


def test_what_a_terminal_would_obey_is_written_out() -> None:
    """An interface's name may hold escape sequences, and whoever made it may not be a friend."""
    stream = io.StringIO()
    Report(stream).tell(NEWS(text="\x1b[2Jtun0 is there\nas cipsec\udc80\u00fc"))
    assert stream.getvalue() == "capfix: \\x1b[2Jtun0 is there\nas cipsec\\udc80\u00fc\n"


def test_details_are_for_those_who_ask() -> None:
    """-v shows them, beside what everybody sees."""
    stream = io.StringIO()
    report = Report(stream)
    report.tell(DETAILS(text="a detail"))
    report.is_verbose = True
    report.tell(DETAILS(text="asked for"))
    assert stream.getvalue() == "capfix: asked for\n"


def test_an_event_is_a_value_before_it_is_a_sentence() -> None:
    """Programs get its name and fields, people its sentence."""
    kind = EventKind("interface-came", NOTICE, "{interface} is there, as ifindex {ifindex}")
    event = kind(interface="cipsec0", ifindex=7)
    assert (event.kind.name, event.fields) == ("interface-came", {"interface": "cipsec0", "ifindex": 7})
    assert event.sentence == "cipsec0 is there, as ifindex 7"
