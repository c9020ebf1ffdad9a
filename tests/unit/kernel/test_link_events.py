"""Link events, in a network namespace of their own."""

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from capfix.kernel.link_events import LinkEvents, list_links
from capfix.lab import NetworkNamespace
from capfix.session.sources.wanted_links import WantedLinks
from capfix.wire.rtnetlink import LinkEvent

pytestmark = pytest.mark.root

PATIENCE_S = 20


def ip(*commands: str) -> None:
    """Carry out commands of ip(8), in the namespace of the calling thread."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def until(events: LinkEvents, condition: Callable[[Sequence[LinkEvent]], bool]) -> list[LinkEvent]:
    """Return what is told until `condition` holds for it."""
    told = events.read()
    deadline = time.monotonic() + PATIENCE_S
    while not condition(told):
        assert time.monotonic() < deadline, told
        select.select([events], [], [], 1)
        told += events.read()
    return told


@pytest.fixture
def events(namespace: NetworkNamespace) -> Iterator[LinkEvents]:
    """Those of a fresh namespace, its loopback device told of; the test runs in there."""
    with namespace.entered():
        following = LinkEvents()
        assert [link.name for link in following.read()] == ["lo"]
        yield following
        following.close()


def test_create_up_rename_delete(events: LinkEvents) -> None:
    """Each step of a link's life is told, with its state, name, kind and hardware type."""
    ip("link add va type veth peer name vb", "link set va up", "link set vb name vc", "link del va")
    told = until(events, lambda links: sum(not link.present for link in links) == 2)
    links = [(link.name, link.present, link.up, link.hardware_type, link.kind) for link in told]
    assert ("va", True, False, 1, "veth") in links
    assert ("va", True, True, 1, "veth") in links
    assert ("vc", True, False, 1, "veth") in links
    assert {link[:2] for link in links[-2:]} == {("va", False), ("vc", False)}


def test_a_link_that_lived_for_no_time_is_told_with_its_name_and_address(events: LinkEvents) -> None:
    """What is subscribed to is told however late it is read."""
    ip("link add brief address 02:00:00:00:00:07 type ifb", "link del brief")
    brief = [link for link in events.read() if link.name == "brief"]
    assert (brief[0].mac, brief[0].present) == (bytes.fromhex("020000000007"), True)
    assert brief[-1].present is False


def test_alternative_names_are_told(events: LinkEvents) -> None:
    """A link has as many names as it was given. The kernel tells of them at once only where it is up."""
    ip(
        "link add va type ifb",
        "link set va up",
        "link property add dev va altname uplink altname to-the-office",
    )
    told = until(events, lambda links: any(link.alternative_names for link in links))
    assert told[-1].alternative_names == ("uplink", "to-the-office")


def test_moving_to_another_namespace_is_vanishing(events: LinkEvents) -> None:
    """A link that moves away is told as absent, and one that comes back as present."""
    other = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; read line"], stdin=-1, stdout=-1)
    assert other.stdout is not None
    other.stdout.readline()
    ip("link add va type veth peer name vb", f"link set vb netns {other.pid}")
    told = until(events, lambda links: any(link.name == "vb" and not link.present for link in links))
    other.communicate(b"\n")
    states = [link.present for link in told if link.name == "vb"]
    assert states[0] is True
    assert states[-1] is False


def test_leaving_a_bridge_is_not_vanishing(events: LinkEvents) -> None:
    """A bridge's own messages about its ports, sent to the same group, do not make a port appear deleted."""
    ip("link add va type veth peer name vb", "link add br0 type bridge", "link set va master br0")
    ip("link set va nomaster", "link add end type bridge")
    assert all(
        link.present for link in until(events, lambda links: any(link.name == "end" for link in links))
    )


def test_three_hundred_cycles_while_nobody_reads(events: LinkEvents) -> None:
    """No event is lost while the loop does something else for as long as 300 links come and go."""
    ip(*["link add cipsec0 type ifb", "link del cipsec0"] * 300)
    wanted, come, gone = WantedLinks(("cipsec0",)), 0, 0
    for link in until(events, lambda links: sum(not link.present for link in links) == 300):
        change = wanted.apply(link)
        come, gone = come + len(change.come), gone + len(change.gone)
    assert (come, gone, events.overflows) == (300, 300, 0)


def test_overflow_is_made_up_for_by_a_list(namespace: NetworkNamespace) -> None:
    """When the kernel's buffer was too small, what went meanwhile is told as gone and what came as present."""
    with namespace.entered():
        ip("link add before type ifb")
        events = LinkEvents(receive_buffer_size=4096)
        told = until(events, lambda links: any(link.name == "before" for link in links))
        ip("link del before", *["link add x type ifb", "link del x"] * 60, "link add after type ifb")
        told = until(events, lambda links: any(link.name == "after" for link in links))
        ip("link add later type ifb")
        told += until(events, lambda links: any(link.name == "later" for link in links))
        assert events.overflows >= 1
        states = {link.name: link.present for link in told}
        assert not states.pop("x", False)
        assert states == {"lo": True, "before": False, "after": True, "later": True}
        events.close()


def test_names_that_are_no_text(events: LinkEvents) -> None:
    """A name may be any bytes; it is told as names of files are."""
    name = os.fsdecode(b"v\xe9th")
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    until(events, lambda links: name in [link.name for link in links])
    subprocess.run(["ip", "link", "del", name], check=True)
    until(events, lambda links: (name, False) in [(link.name, link.present) for link in links])


def test_a_list_of_many_links_is_whole(namespace: NetworkNamespace) -> None:
    """The kernel answers in several datagrams."""
    with namespace.entered():
        ip(*[f"link add b{number} type bridge" for number in range(200)])
        assert {link.name for link in list_links()} == {"lo", *(f"b{number}" for number in range(200))}
