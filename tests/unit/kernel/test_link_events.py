"""Link events, in a network namespace of their own."""

import asyncio
import ctypes
import os
import subprocess
import threading

import pytest

from capfix.kernel.link_events import LinkEvents
from capfix.session.sources.attachment import Attachment

pytestmark = pytest.mark.root

CLONE_NEWNET = 0x40000000


def in_namespace(scenario):
    """Run the coroutine function `scenario` in a thread with a network namespace of its own; return its result."""
    outcome = {}

    def thread():
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            outcome["result"] = asyncio.run(asyncio.wait_for(scenario(), 60))
        except BaseException as exc:
            outcome["error"] = exc

    running = threading.Thread(target=thread)
    running.start()
    running.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def ip(*commands):
    """Carry out commands of ip(8), in the namespace of the calling thread."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def open_sockets():
    """Return how many sockets this process has open."""
    names = [os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
    return sum(os.readlink(name).startswith("socket:") for name in names if os.path.lexists(name))


class Told:
    """What was told so far, and a way to wait for more."""

    def __init__(self, events):
        self.links = []
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._collect(events))

    async def _collect(self, events):
        async for links in events:
            self.links.extend(links)
            self._more.set()

    async def until(self, condition):
        """Return once `condition` holds for the list of links, and empty the list."""
        while not condition(self.links):
            self._more.clear()
            waiting = asyncio.create_task(self._more.wait())
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                self._task.result()
        taken, self.links[:] = self.links[:], []
        return taken

    async def end(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def follow(scenario, **settings):
    """Run `scenario`, given what is told of a fresh namespace after its loopback device, and the events."""

    async def whole():
        async with LinkEvents(**settings) as events:
            told = Told(events)
            await told.until(lambda links: [link.name for link in links] == ["lo"])
            result = await scenario(told, events)
            await told.end()
            return result

    return in_namespace(whole)


def test_create_up_rename_delete():
    """Each step of a link's life is told, with its state, name and hardware type."""

    async def scenario(told, events):
        ip("link add va type veth peer name vb", "link set va up", "link set vb name vc", "link del va")
        links = await told.until(lambda links: sum(not link.present for link in links) == 2)
        return [(link.name, link.present, link.up, link.hardware_type) for link in links]

    links = follow(scenario)
    assert ("va", True, False, 1) in links
    assert ("va", True, True, 1) in links
    assert ("vc", True, False, 1) in links
    assert {link[:2] for link in links[-2:]} == {("va", False), ("vc", False)}


def test_moving_to_another_namespace_is_vanishing():
    """A link that moves away is told as absent, and one that comes back as present."""

    async def scenario(told, events):
        other = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; read line"], stdin=-1, stdout=-1)
        other.stdout.readline()
        ip("link add va type veth peer name vb", f"link set vb netns {other.pid}")
        links = await told.until(lambda links: any(link.name == "vb" and not link.present for link in links))
        other.communicate(b"\n")
        return [link.present for link in links if link.name == "vb"]

    states = follow(scenario)
    assert states[0] is True
    assert states[-1] is False


def test_leaving_a_bridge_is_not_vanishing():
    """A bridge's own messages about its ports, sent to the same group, do not make a port appear deleted."""

    async def scenario(told, events):
        ip("link add va type veth peer name vb", "link add br0 type bridge", "link set va master br0")
        ip("link set va nomaster", "link add end type bridge")
        return await told.until(lambda links: any(link.name == "end" for link in links))

    assert all(link.present for link in follow(scenario))


def test_three_hundred_cycles_behind_a_blocked_loop():
    """No event is lost while the loop does something else for as long as 300 links come and go."""
    cycles = ["link add cipsec0 type ifb", "link del cipsec0"] * 300

    async def scenario(told, events):
        ip(*cycles)  # blocks the loop
        vpn, ends = Attachment("cipsec0"), 0
        come = gone = 0
        while ends < 300:
            for link in await told.until(lambda links: links):
                change = vpn.apply(link)
                come, gone = come + len(change.come), gone + len(change.gone)
                ends += not link.present
        return come, gone, events.overflows

    assert follow(scenario) == (300, 300, 0)


def test_overflow_is_made_up_for_by_a_dump():
    """When the kernel's buffer was too small, what went meanwhile is told as gone and what came as present."""

    async def scenario(told, events):
        ip("link add before type ifb")
        await told.until(lambda links: any(link.name == "before" for link in links))
        ip("link del before", *["link add x type ifb", "link del x"] * 60, "link add after type ifb")
        links = await told.until(lambda links: any(link.name == "after" for link in links))
        ip("link add later type ifb")
        links += await told.until(lambda links: any(link.name == "later" for link in links))
        return events.overflows, {link.name: link.present for link in links}, open_sockets()

    before = open_sockets()
    overflows, last_told, sockets = follow(scenario, receive_buffer_bytes=4096)
    assert overflows >= 1
    assert last_told == {"lo": True, "before": False, "after": True, "later": True} | (
        {"x": False} if "x" in last_told else {}
    )
    assert sockets - before <= 4  # a loop's own pair, the monitor's, and what is just being closed


def test_names_that_are_no_text():
    """A name may be any bytes; it is told as names of files are."""
    name = os.fsdecode(b"v\xe9th")

    async def scenario(told, events):
        subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
        await told.until(lambda links: name in [link.name for link in links])
        subprocess.run(["ip", "link", "del", name], check=True)
        await told.until(lambda links: (name, False) in [(link.name, link.present) for link in links])

    follow(scenario)
