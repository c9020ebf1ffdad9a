"""Whose packets come next: the oldest first, and merged ones in the order of their times, within a wait."""

from dataclasses import dataclass, field

from capfix.session.order import HOLD_NS, Order
from capfix.transcode.stop import NO_LIMIT

MS = 1_000_000
NOW = 1_700_000_000_000 * MS


@dataclass
class Source:
    """A source with the times of packets that are there; what is converted is taken out."""

    times: list[int] = field(default_factory=list)
    waits_for_others: bool = False
    looked_ahead: int = 0
    until_ns: int = NO_LIMIT

    def first_timestamp_ns(self) -> int | None:
        return self.times[0] if self.times else None

    def has_packets(self) -> bool:
        return bool(self.times)

    def hold_back(self, until_ns: int) -> None:
        self.until_ns = until_ns

    def look_ahead(self) -> None:
        self.looked_ahead += 1

    def convert(self) -> list[int]:
        done = [time for time in self.times if time < self.until_ns]
        self.times = self.times[len(done) :]
        return done


def drain(order: Order, now_ns: int, monotonic_ns: int = 0) -> list[int]:
    """Convert all that is due."""
    written: list[int] = []
    while (source := order.next(now_ns, monotonic_ns)) is not None:
        done = source.convert()
        assert done, "a source was chosen that has nothing due"
        written += done
    return written


def test_without_merging_the_oldest_goes_on_alone() -> None:
    """Rings are taken whole, in the order in which they began; nothing waits."""
    one, other = Source([NOW + 5, NOW + 9]), Source([NOW + 3, NOW + 7])
    order = Order([one, other], merging=False)
    assert drain(order, NOW) == [NOW + 3, NOW + 7, NOW + 5, NOW + 9]
    assert not order.is_holding


def test_merged_packets_come_in_order() -> None:
    """Each goes on until the other's next packet; equal times do not stop either."""
    one, other = Source([NOW, NOW + 2, NOW + 4]), Source([NOW + 1, NOW + 2, NOW + 3])
    written = drain(Order([one, other], merging=True), NOW + 200 * MS)
    assert written == [NOW, NOW + 1, NOW + 2, NOW + 2, NOW + 3, NOW + 4]


def test_a_packet_waits_for_the_other_source_and_no_longer() -> None:
    """100 ms after its own time it goes on alone."""
    one, silent = Source([NOW, NOW + 50 * MS]), Source()
    order = Order([one, silent], merging=True)
    assert drain(order, NOW + HOLD_NS - 1) == []
    assert order.is_holding
    assert drain(order, NOW + HOLD_NS) == [NOW]
    assert order.is_holding
    assert drain(order, NOW + HOLD_NS + 50 * MS) == [NOW + 50 * MS]
    assert not order.is_holding


def test_what_the_other_source_shows_later_comes_in_between() -> None:
    """A packet that arrives late, but within the wait, is written in its place."""
    one, late = Source([NOW + 10 * MS]), Source()
    order = Order([one, late], merging=True)
    assert drain(order, NOW + 50 * MS) == []
    late.times.append(NOW + 5 * MS)
    assert drain(order, NOW + 60 * MS) == [NOW + 5 * MS]
    assert drain(order, NOW + 110 * MS) == [NOW + 10 * MS]


def test_a_source_that_must_know_all_others_waits_in_any_case() -> None:
    """Netfilter's copies are judged when the tap has shown what it has, however far that is ahead."""
    tap, netfilter = Source([NOW + 20 * MS]), Source([NOW], waits_for_others=True)
    order = Order([tap, netfilter], merging=True)
    assert drain(order, NOW + 99 * MS) == []
    assert tap.looked_ahead > 0
    assert drain(order, NOW + 100 * MS) == [NOW]


def test_a_clock_set_back_holds_nothing_for_long() -> None:
    """A packet from what is now the future waits as long as any other by the monotonic clock."""
    one, silent = Source([NOW + 3600 * 1000 * MS]), Source()
    order = Order([one, silent], merging=True)
    assert drain(order, NOW, monotonic_ns=0) == []
    assert drain(order, NOW, monotonic_ns=HOLD_NS) == []
    assert drain(order, NOW, monotonic_ns=HOLD_NS + 1) == [NOW + 3600 * 1000 * MS]


def test_at_the_end_nothing_waits() -> None:
    """What is there is all that comes, and still in order."""
    one, other = Source([NOW, NOW + 2 * MS]), Source([NOW + MS], waits_for_others=True)
    order = Order([one, other], merging=True)
    order.stop_waiting()
    assert drain(order, NOW - HOLD_NS) == [NOW, NOW + MS, NOW + 2 * MS]
