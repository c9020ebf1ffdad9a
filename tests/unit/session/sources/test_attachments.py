"""Keeping a source attached as interfaces go and come: what is told, and what ends the capture."""

import io
from typing import Any

import pytest

from capfix.kernel.links import find_ifindex, read_link
from capfix.runtime.loop import Loop
from capfix.runtime.report import Report
from capfix.session.sources.attachment import Scope, scope_of
from capfix.session.sources.attachments import Attachments, Patience
from capfix.session.sources.wanted_links import WantedLinks
from capfix.wire.rtnetlink import LinkEvent

LOOPBACK = LinkEvent(find_ifindex("lo"), "lo", True, True, 772)  # the one link that is everywhere
NO_LINK = LinkEvent(1 << 20, "tun7", True, True, 65534)


class Source:
    """Notes what is asked of it. It is its own attachment."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.scope = scope_of(names)
        self.ifindexes: set[int] = set()
        self.links = ()
        self.is_gone = False
        self.error = 0
        self.asked: list[tuple[Any, ...]] = []

    @property
    def attachment(self) -> "Source":
        return self

    def take_error(self) -> int:
        return self.error

    def attach(self, link: Any, names: Any, now_ns: int) -> None:
        self.ifindexes.add(link.ifindex)
        self.asked.append(("attach", link.name, names))

    def detach(self, ifindex: int, name: str, now_ns: int) -> None:
        self.ifindexes.discard(ifindex)
        self.asked.append(("detach", name))

    def renew(self, link: Any) -> None:
        self.asked.append(("renew", link.name))

    def link_is_gone(self, name: str, now_ns: int) -> None:
        self.asked.append(("note gone", name))

    def link_is_back(self, name: str, ifindex: int, now_ns: int) -> None:
        self.asked.append(("note back", name))

    def last_statistics_of(self, ifindex: int, now_ns: int) -> list[bytes]:
        return [b"statistics"]


class Follower:
    """Calls as a LinkFollower does, when the test wants it to."""

    def __init__(self, *wanted: str) -> None:
        self.wanted = WantedLinks(wanted)
        self.calls: Any = None

    def start(self, calls: Any, attached: Any) -> None:
        self.calls = calls


class Kept:
    """Attachments of a source, what was told, and whether there was trouble."""

    def __init__(self, *names: str, waits: bool) -> None:
        self.source, self.follower, self.loop = Source(*names), Follower(*names), Loop()
        self.stream, self.written, self.troubles = io.StringIO(), list[bytes](), 0
        source: Any = self.source
        follower: Any = self.follower
        self.attachments = Attachments(
            self.loop, source, follower, self.written.extend, Report(self.stream), Patience(waits, 0.01)
        )
        self.attachments.start(self.trouble)

    def trouble(self) -> None:
        self.troubles += 1

    @property
    def told(self) -> str:
        return self.stream.getvalue()


def test_an_interface_that_comes_is_attached_to_and_said_to_be_there() -> None:
    """For the names it is wanted for; what changes about it later is passed on."""
    kept = Kept("l*", "eth7", waits=True)
    kept.follower.calls.come(LOOPBACK)
    kept.follower.calls.renewed(LOOPBACK)
    assert kept.source.asked == [("attach", "lo", ("l*",)), ("renew", "lo")]
    assert f"lo is there, as ifindex {LOOPBACK.ifindex}" in kept.told
    kept.follower.calls.come(LOOPBACK)  # told again, with another name of it
    assert kept.source.asked[-1] == ("renew", "lo")


def test_one_that_is_gone_again_is_passed_over() -> None:
    """The next event says so."""
    kept = Kept("tun*", waits=True)
    kept.follower.calls.come(NO_LINK)
    assert kept.source.asked == []
    assert kept.told == ""


@pytest.mark.parametrize(
    ("names", "waits", "left", "ends"),
    [
        (("tun7",), True, False, False),
        (("tun7",), False, False, True),
        (("tun*",), False, False, True),  # nothing that matches is left
        (("tun*",), False, True, False),
        (("tun7", "lo"), False, True, True),  # it was named
        (("tun*", "lo"), False, True, False),
    ],
)
def test_what_the_going_of_an_interface_means(
    names: tuple[str, ...], waits: bool, left: bool, ends: bool
) -> None:
    """It is waited for, or it was all there was to capture on."""
    kept = Kept(*names, waits=waits)
    if left:
        kept.source.ifindexes.add(LOOPBACK.ifindex)
    kept.follower.calls.gone(NO_LINK)
    assert kept.source.asked == [("detach", "tun7")]
    assert kept.troubles == ends
    assert ("tun7 has gone; waiting for it" in kept.told) is not ends


def test_on_any_gaps_are_noted_and_nothing_is_told() -> None:
    """There is nothing to attach to."""
    kept = Kept("any", waits=False)
    assert kept.source.scope is Scope.ALL
    kept.follower.calls.gone(NO_LINK)
    kept.follower.calls.come(NO_LINK)
    assert kept.source.asked == [("note gone", "tun7"), ("note back", "tun7")]
    assert (kept.told, kept.troubles) == ("", 0)


def test_statistics_of_one_that_went_are_written_when_its_packets_are_out() -> None:
    """And not when the capture is about to end, which writes them all."""
    for stops in (False, True):
        kept = Kept("tun7", waits=True)
        kept.follower.calls.gone(NO_LINK)
        if stops:
            kept.attachments.stop()
        kept.loop.call_later(0.05, kept.loop.stop)
        kept.loop.run()
        assert kept.written == ([] if stops else [b"statistics"])


@pytest.mark.parametrize(("is_gone", "waits"), [(False, True), (False, False), (True, True), (True, False)])
def test_an_error_of_the_socket_is_down_or_gone(is_gone: bool, waits: bool) -> None:
    """Gone ends a capture that does not wait; down ends none."""
    kept = Kept("lo", waits=waits)
    kept.source.error, kept.source.is_gone = 100, is_gone
    kept.attachments.look_for_error()
    assert kept.troubles == (is_gone and not waits)
    assert ("lo is down; waiting for packets" in kept.told) == (not is_gone and not waits)


def test_a_kernel_that_tells_no_more_of_links_is_trouble() -> None:
    """Interfaces would come unnoticed."""
    kept = Kept("lo", waits=True)
    kept.follower.calls.failed(OSError("no more"))
    assert kept.troubles == 1
    assert "interfaces can no longer be followed" in kept.told


def test_the_loopback_link_is_what_the_tests_take_it_for() -> None:
    """Its name and index."""
    assert read_link(LOOPBACK.ifindex).name == "lo"
