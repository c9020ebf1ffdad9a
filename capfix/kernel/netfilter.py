"""Requests to netfilter over a netlink socket, and their answers."""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from capfix.errors import CaptureError
from capfix.wire import netlink

NETLINK_NETFILTER: Final = 12  # linux/netlink.h; Python has no name for it
_ANSWER_LIMIT: Final = 65536  # more than the answers to one batch take
_CAP_NET_ADMIN: Final = 12  # linux/capability.h


def open_socket() -> socket.socket:
    """Return a non-blocking netlink socket to the netfilter of the calling thread's network namespace.

    Raises:
        CaptureError: the kernel was built without it.
    """
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        opened.setblocking(False)
        opened.bind((0, 0))
    except OSError as exc:
        raise CaptureError(
            f"cannot talk to netfilter: {exc.strerror}; the kernel may lack nfnetlink"
        ) from exc
    return opened


def request(channel: socket.socket, messages: Sequence[bytes]) -> list[netlink.Message]:
    """Send `messages` as one datagram and return all that the kernel answers.

    The kernel works on a request within the sending call, so its answers are there when that returns.
    """
    channel.send(b"".join(messages))
    answers: list[netlink.Message] = []
    while True:
        try:
            data = channel.recv(_ANSWER_LIMIT)
        except BlockingIOError:
            return answers
        answers.extend(netlink.decode_messages(data))


def first_error(answers: Sequence[netlink.Message]) -> int:
    """Return the first errno other than 0 among the answers, or 0."""
    errors = (netlink.decode_error(answer) for answer in answers if answer.type == netlink.NLMSG_ERROR)
    return next((error for error in errors if error), 0)


def has_net_admin() -> bool:
    """Return whether CAP_NET_ADMIN is among this thread's effective capabilities.

    Inside a user namespace it may be, and yet not hold for a network namespace from outside.
    """
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    return False


def reason(error: int) -> str:
    """Return errno `error` in words and by its name, for a message."""
    return f"{errno.errorcode.get(error, 'error')} ({error})"
