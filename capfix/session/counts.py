"""What a capture counts, and the sentences that tell of it.

A counter is one field here, filled by the source or the output that counts it, and one row of `SUMMARY` if people are
to hear of it at the end.
"""

from typing import Final, NamedTuple

from capfix.runtime.events import DETAIL, NOTICE, TROUBLE, Event, EventKind, packets


class Counts(NamedTuple):
    """Packets, since the capture began. `received` is the kernel's count and holds the `kernel_dropped` ones too."""

    captured: int = 0
    received: int = 0
    kernel_dropped: int = 0
    output_lost: int = 0
    loopback_copies: int = 0
    not_carried: int = 0
    duplicates: int = 0
    undrained: int = 0
    malformed_blocks: int = 0
    headers_kept: int = 0
    headers_missing: int = 0
    headers_stale: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Return the sums."""
        return Counts(*(one + another for one, another in zip(self, other, strict=True)))

    @property
    def is_loss(self) -> bool:
        """Whether something was taken from the kernel and is not in the output."""
        return bool(self.output_lost or self.undrained)


CAPTURED: Final = EventKind("captured", NOTICE, "{captured_packets} captured to {output}")
RECEIVED: Final = EventKind(
    "received", NOTICE, "{received_packets} received, {kernel_dropped} dropped by the kernel"
)
HEADERS: Final = EventKind(
    "headers",
    NOTICE,
    "Ethernet headers: {headers_kept} kept, {headers_missing} made up where there was none, {headers_stale} made up in "
    "place of one that was not the packet's",
)

#: What is told at the end of each counter that is not zero; {packets} is the count in words.
SUMMARY: Final = (
    ("output_lost", EventKind("output-lost", TROUBLE, "{packets} captured but lost to the output")),
    (
        "undrained",
        EventKind("undrained", TROUBLE, "{packets} left in the ring: the output was too slow to take them"),
    ),
    (
        "loopback_copies",
        EventKind(
            "loopback-copies", DETAIL, "{loopback_copies} outgoing copies left out on the loopback interface"
        ),
    ),
    (
        "duplicates",
        EventKind("duplicates", NOTICE, "{packets} of netfilter left out: the tap delivered the same"),
    ),
    (
        "not_carried",
        EventKind(
            "not-carried",
            NOTICE,
            "{packets} left out: of types that {link} headers cannot carry; try --link sll2",
        ),
    ),
    (
        "malformed_blocks",
        EventKind(
            "malformed-blocks", TROUBLE, "{malformed_blocks} times the kernel gave what cannot be read"
        ),
    ),
)


def summary(counts: Counts, output: str, link: str) -> list[Event]:
    """Return what to tell at the end of a capture to `output` with headers of `link`."""
    fields = counts._asdict()
    told = [
        CAPTURED(captured_packets=packets(counts.captured), output=output, captured=counts.captured),
        RECEIVED(
            received_packets=packets(counts.received),
            received=counts.received,
            kernel_dropped=counts.kernel_dropped,
        ),
    ]
    told += [
        kind(**{name: fields[name]}, packets=packets(fields[name]), link=link)
        for name, kind in SUMMARY
        if fields[name]
    ]
    if counts.headers_kept or counts.headers_missing or counts.headers_stale:
        told.append(HEADERS(**fields))
    return told


def status_line(counts: Counts, rate: float) -> str:
    """Return rate in packets a second, packets and drops in one line."""
    lost = f", {counts.output_lost:,} lost to the output" if counts.output_lost else ""
    return f"{rate:,.0f} packets/s, {counts.captured:,} packets, {counts.kernel_dropped:,} dropped{lost}"
