"""Following real links of a network namespace, and knowing them by name when they are gone."""

import subprocess
from collections.abc import Iterator, Sequence

import pytest

from capfix.kernel.links import Link, find_ifindex, read_link
from capfix.lab import NetworkNamespace
from capfix.runtime.loop import Loop
from capfix.session.sources.following import LinkCalls, LinkFollower
from capfix.session.sources.known_links import REMEMBERED, KnownLinks
from capfix.wire.rtnetlink import LinkEvent

pytestmark = pytest.mark.root


def ip(*commands: str) -> None:
    """Carry out commands of ip(8), in the namespace of the calling thread."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


class Following:
    """A follower of `wanted` in the calling thread's namespace, and what it called for."""

    def __init__(self, *wanted: str) -> None:
        self.loop, self.known = Loop(), KnownLinks()
        self.follower = LinkFollower(self.loop, self.known, wanted)
        self.told: list[tuple[str, str]] = []

    def start(self, attached: Sequence[Link] = ()) -> None:
        def note(what: str, event: LinkEvent) -> None:
            self.told.append((what, event.name))

        self.follower.start(
            LinkCalls(
                lambda event: note("come", event),
                lambda event: note("gone", event),
                lambda event: note("renewed", event),
                lambda error: self.told.append(("failed", str(error))),
            ),
            attached,
        )

    def turn(self) -> list[tuple[str, str]]:
        """Let the loop run for a moment, and return what was called for since."""
        self.loop.call_later(0.05, self.loop.stop)
        self.loop.run()
        self.loop._is_stopped = False
        told, self.told = self.told, []
        return told


@pytest.fixture
def inside(namespace: NetworkNamespace) -> Iterator[None]:
    """The test runs in a namespace of its own."""
    with namespace.entered():
        yield


@pytest.mark.usefixtures("inside")
def test_what_is_there_comes_at_once_and_what_goes_is_called_for() -> None:
    """By its name, a pattern, or an alternative name; others are left alone."""
    ip("link add tun1 type ifb", "link add other type ifb")
    following = Following("tun*", "uplink")
    following.start()
    assert following.turn() == [("come", "tun1")]
    ip("link set other up", "link property add dev other altname uplink", "link del tun1")
    assert following.turn() == [("come", "other"), ("gone", "tun1")]
    ip("link set other down")
    assert following.turn() == [("renewed", "other")]
    following.follower.close()


@pytest.mark.usefixtures("inside")
def test_what_went_before_following_began_is_called_for() -> None:
    """Between the look at a link and the first list nothing is lost."""
    ip("link add tun1 type ifb")
    link = read_link(find_ifindex("tun1"))
    ip("link del tun1")
    following = Following("tun1")
    following.start([link])
    assert following.turn() == [("gone", "tun1")]
    following.follower.close()


@pytest.mark.usefixtures("inside")
def test_a_link_that_lived_for_no_time_has_a_name() -> None:
    """It is asked for while its packet is converted, before the loop has heard of anything."""
    following = Following("*")
    ip("link add brief address 02:00:00:00:00:07 type ifb")
    ifindex = find_ifindex("brief")
    ip("link del brief")
    link = following.known.find(ifindex)
    assert link is not None
    assert (link.name, link.mac) == ("brief", bytes.fromhex("020000000007"))
    following.start()
    assert following.turn()[-1] == ("gone", "brief")
    following.follower.close()


@pytest.mark.usefixtures("inside")
def test_a_link_is_known_by_the_name_its_packets_came_under() -> None:
    """Renamed since it was heard of, it is as it was then."""
    ip("link add old type ifb")
    link = read_link(find_ifindex("old"))
    known = KnownLinks([link])
    ip("link set old name new")
    assert known.find(link.ifindex) == link


def test_links_that_are_gone_are_forgotten_in_the_end() -> None:
    """A host that makes containers for months does not fill the memory."""
    known = KnownLinks()
    first = 1 << 20  # no link has such an index
    for ifindex in range(first, first + 2 * REMEMBERED):
        event = LinkEvent(ifindex, f"veth{ifindex}", True, True, 1)
        known.apply(event)
        known.apply(event._replace(present=False))
    kept = [ifindex for ifindex in range(first, first + 2 * REMEMBERED) if known.find(ifindex)]
    assert kept == list(range(first + REMEMBERED, first + 2 * REMEMBERED))
