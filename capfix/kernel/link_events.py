"""What happens to the links of this network namespace, as it happens.

By netlink, on a raw socket that is subscribed before the first packet: so an interface that lived for a millisecond
has a name. pyroute2 would do the same, but takes 0.14 s to import, twice what a capture takes to start, and wants an
asyncio loop and with it a thread of its own.

The order matters twice: the subscription stands before the list of links is asked for, so nothing falls between them;
and whoever was slower than the kernel's buffer (ENOBUFS) asks for the list anew. Events that the list overtook come
after it, so a link may be told of that is already gone; its end is told next.

Source: netlink(7), rtnetlink(7).
"""

import errno
import os
import socket
from collections.abc import Iterator
from typing import Final

from capfix.errors import CaptureError
from capfix.wire.netlink import (
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    decode_error,
    decode_messages,
    encode_message,
)
from capfix.wire.rtnetlink import (
    RTM_GETLINK,
    RTMGRP_LINK,
    LinkEvent,
    encode_link_dump_request,
    maybe_link_event,
)

READ_SIZE: Final = 1 << 16  # the kernel's messages about links have up to 32 KiB
RECEIVE_BUFFER_SIZE: Final = 1 << 20
MOST_WAITING: Final = 4096  # messages that such a buffer holds, with much to spare
# Python has a name for neither; linux/socket.h, asm-generic/socket.h
_NETLINK_ROUTE: Final = 0
_SO_RCVBUFFORCE: Final = 33


class LinkEvents:
    """The links of the namespace in which this was made: subscribed from then on.

    `overflows` counts how often events were lost, and made up for by a new list.
    """

    def __init__(self, receive_buffer_size: int = RECEIVE_BUFFER_SIZE) -> None:
        """Subscribe. `receive_buffer_size` in bytes is what may wait to be read.

        Raises:
            CaptureError: the kernel refuses netlink altogether.
        """
        self.overflows = 0
        self._known: dict[int, LinkEvent] = {}
        self._is_list_due = True
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE
            )
        except OSError as exc:
            raise CaptureError(f"cannot follow interfaces: {_reason(exc)}") from exc
        try:
            _set_receive_buffer(self._socket, receive_buffer_size)
            self._socket.bind((0, RTMGRP_LINK))
        except OSError as exc:
            self._socket.close()
            raise CaptureError(f"cannot follow interfaces: {_reason(exc)}") from exc
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor, readable when there is something to tell. The first `read` need not wait for it."""
        return self._socket.fileno()

    def read(self) -> list[LinkEvent]:
        """Return what there is to tell, without waiting: at first every link that is there, then each change.

        Raises:
            CaptureError: the kernel tells no more of links.
        """
        events: list[LinkEvent] = []
        if self._is_list_due:
            self._is_list_due = False
            events += self._difference()
        try:
            while True:
                for event in _links(decode_messages(self._socket.recv(READ_SIZE))):
                    self._remember(event)
                    events.append(event)
        except BlockingIOError:
            return events
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise CaptureError(f"cannot follow interfaces: {_reason(exc)}") from exc
        self.overflows += 1
        self._empty()
        return events + self._difference()

    def close(self) -> None:
        """Follow links no more."""
        self._socket.close()

    def _empty(self) -> None:
        """Throw away what is still in the buffer: it is older than the list that is due.

        Until the buffer was empty once, the kernel does not say again that it lost something.
        """
        for _ in range(MOST_WAITING):
            try:
                self._socket.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno != errno.ENOBUFS:
                    raise CaptureError(f"cannot follow interfaces: {_reason(exc)}") from exc

    def _remember(self, event: LinkEvent) -> None:
        if event.present:
            self._known[event.ifindex] = event
        else:
            self._known.pop(event.ifindex, None)

    def _difference(self) -> list[LinkEvent]:
        """Return what a list says beyond what was told before: ends first, then every link that is there."""
        there = {link.ifindex: link for link in list_links()}
        ended = [
            link._replace(present=False, up=False)
            for link in self._known.values()
            if link.ifindex not in there
        ]
        self._known = there
        return ended + list(there.values())


def list_links() -> list[LinkEvent]:
    """Return the links that are there.

    Raises:
        CaptureError: the kernel does not say.
    """
    request = encode_message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, encode_link_dump_request())
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        with socket.socket(socket.AF_NETLINK, kind, _NETLINK_ROUTE) as asking:
            asking.sendto(request, (0, 0))
            return list(_links(_answer(asking)))
    except OSError as exc:
        raise CaptureError(f"cannot list the interfaces: {_reason(exc)}") from exc


def _answer(asking: socket.socket) -> Iterator[Message]:
    """Yield the messages of a list, which the kernel ends by one of its own."""
    while True:
        for message in decode_messages(asking.recv(READ_SIZE)):
            if message.type == NLMSG_ERROR:
                number = decode_error(message)
                raise OSError(number, os.strerror(number))
            if message.type == NLMSG_DONE:
                return
            yield message


def _links(messages: Iterator[Message]) -> Iterator[LinkEvent]:
    return (event for message in messages if (event := maybe_link_event(message)) is not None)


def _set_receive_buffer(netlink_socket: socket.socket, size: int) -> None:
    try:
        netlink_socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:  # needs CAP_NET_ADMIN in the first user namespace
        netlink_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _reason(exc: OSError) -> str:
    return (exc.strerror or str(exc)).lower()
