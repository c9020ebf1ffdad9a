"""What happens to the links of this network namespace, as it happens.

By netlink, through pyroute2, which takes 0.14 s to import: done here only when somebody listens, which is after the
ring is up. The order matters twice: the subscription stands before the first dump, so nothing falls between them, and
whoever was slower than the kernel's buffer (ENOBUFS) subscribes and dumps anew. Events that the dump overtook come
after it, so a link may be told of that is already gone; its end is told next.

Source: netlink(7), rtnetlink(7).
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

from capfix.errors import CaptureError
from capfix.kernel.links import LinkEvent

_log = logging.getLogger(__name__)

_RTMGRP_LINK = 1  # linux/rtnetlink.h
_IFF_UP = 1  # linux/if.h

#: A monitoring socket that fails again at once is given this much time before the next try.
_RETRY_S = 0.1


class LinkEvents:
    """The links of the namespace in which this was opened: all that are there first, then every change.

    Use it so, within a running loop:

        async with LinkEvents() as events:
            async for links in events:
                ...
    """

    def __init__(self, receive_buffer_bytes: int = 1 << 20) -> None:
        self._receive_buffer_bytes = receive_buffer_bytes
        self._monitor: Any = None
        self._known: dict[int, LinkEvent] = {}
        self.overflows = 0  #: how often events were lost, and made up for by a dump

    async def __aenter__(self) -> "LinkEvents":
        await self._subscribe()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._unsubscribe()

    async def __aiter__(self) -> AsyncIterator[list[LinkEvent]]:
        """Yield links without end, some at a time: first all that are there.

        Raises:
            CaptureError: the kernel refuses netlink altogether.
        """
        while True:
            yield await self._difference()
            async for link in self._until_overflow():
                yield [link]
            self.overflows += 1
            _log.info("link events were lost; reading the list of links again")
            self._unsubscribe()
            await asyncio.sleep(_RETRY_S)
            await self._subscribe()

    async def _until_overflow(self) -> AsyncIterator[LinkEvent]:
        from pyroute2.netlink.exceptions import NetlinkError

        while True:
            try:
                async for message in self._monitor.get():
                    if message["event"] == "NLMSG_ERROR":
                        return
                    link = _link(message)
                    if link is not None:
                        self._remember(link)
                        yield link
            except (NetlinkError, OSError) as exc:
                if _errno(exc) not in (errno.ENOBUFS, errno.ECONNRESET, errno.EBADF):
                    raise CaptureError(f"cannot follow link events: {exc}") from exc
                return

    def _remember(self, link: LinkEvent) -> None:
        if link.present:
            self._known[link.ifindex] = link
        else:
            self._known.pop(link.ifindex, None)

    async def _difference(self) -> list[LinkEvent]:
        """Return what a dump says beyond what was told before: ends first, then every link that is there."""
        there = {link.ifindex: link for link in await _dump()}
        ended = [
            LinkEvent(link.ifindex, link.name, False, False, link.hardware_type)
            for link in self._known.values()
            if link.ifindex not in there
        ]
        self._known = there
        return ended + list(there.values())

    async def _subscribe(self) -> None:
        from pyroute2 import AsyncIPRoute

        # The monitor serves events only: an answer to a request would end up among them.
        self._monitor = AsyncIPRoute(rcvbuf=self._receive_buffer_bytes)
        await self._monitor.bind(_RTMGRP_LINK)

    def _unsubscribe(self) -> None:
        self._monitor.close()
        self._monitor = None


def load() -> None:
    """Import now what is otherwise imported when somebody listens: later it might not be readable any more."""
    import pyroute2.netlink.exceptions  # noqa: F401


async def _dump() -> list[LinkEvent]:
    from pyroute2 import AsyncIPRoute

    async with AsyncIPRoute() as route:
        return [link async for message in await route.link("dump") if (link := _link(message)) is not None]


def _link(message: Any) -> LinkEvent | None:
    """Return the link that a message tells of; None for a bridge's messages, which reach the same group.

    Those say that a link is no longer a bridge's port in the words that otherwise say that it is deleted.
    """
    if message["family"] != socket.AF_UNSPEC or message["event"] not in ("RTM_NEWLINK", "RTM_DELLINK"):
        return None
    return LinkEvent(
        ifindex=message["index"],
        name=os.fsdecode(message.get_attr("IFLA_IFNAME")),  # bytes where they are no UTF-8
        present=message["event"] == "RTM_NEWLINK",
        up=bool(message["flags"] & _IFF_UP),
        hardware_type=message["ifi_type"],
    )


def _errno(exc: Exception) -> int | None:
    """Return the number of an error: pyroute2's own have it as `code`."""
    code: int | None = getattr(exc, "code", None) or getattr(exc, "errno", None)
    return code
