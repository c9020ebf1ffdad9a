"""What is told of a capture's counters."""

import io

import pytest

from capfix.runtime.report import Report
from capfix.session.counts import Counts, status_line, summary


def told(counts: Counts, verbose: bool = False) -> str:
    """Return the summary."""
    stream = io.StringIO()
    report = Report(stream, verbose=verbose)
    for event in summary(counts, "out.pcapng", "sll"):
        report.tell(event)
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


def test_the_status_line_has_losses_only_where_there_are_some() -> None:
    """Rate, packets, what the kernel dropped; what the output lost."""
    assert status_line(Counts(captured=1000), 99.5) == "100 packets/s, 1,000 packets, 0 dropped"
    lost = Counts(captured=1000, kernel_dropped=1234, output_lost=5)
    assert status_line(lost, 0) == "0 packets/s, 1,000 packets, 1,234 dropped, 5 lost to the output"


def test_counts_of_several_sources_are_added() -> None:
    """Each counter for itself."""
    one, other = Counts(captured=1, duplicates=2), Counts(captured=10, received=20)
    assert one.plus(other) == Counts(captured=11, received=20, duplicates=2)


@pytest.mark.parametrize(
    ("counts", "is_loss"),
    [
        (Counts(captured=1, kernel_dropped=5, duplicates=1), False),
        (Counts(output_lost=1), True),
        (Counts(undrained=1), True),
    ],
)
def test_what_was_taken_and_not_written_is_a_loss(counts: Counts, is_loss: bool) -> None:
    """It makes the exit status 1; what the kernel had no room for is counted in the file."""
    assert counts.is_loss is is_loss
