"""Dumps over netlink: one request, and every message the kernel has for it."""

import os
import socket
from collections.abc import Iterator
from typing import Final

from capfix.errors import CaptureError
from capfix.wire import netlink

_DUMP_FLAGS: Final = netlink.NLM_F_REQUEST | 0x300  # NLM_F_ROOT | NLM_F_MATCH
_RECEIVE_SIZE: Final = 1 << 17  # the kernel fills at most 32 KiB a message, more where the reader offers more
_PATIENCE_S: Final = 5.0


def dump(family: int, kind: int, payload: bytes, what: str) -> Iterator[netlink.Message]:
    """Yield the answers to the dump request `kind` on netlink `family`, in the calling thread's network namespace.

    Messages are views that stay valid. `what` names the subject in an error.

    Raises:
        CaptureError: the kernel refuses, does not answer, or lacks the family.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family) as channel:
            channel.settimeout(_PATIENCE_S)
            channel.bind((0, 0))
            channel.send(netlink.encode_message(kind, _DUMP_FLAGS, 1, payload))
            while True:
                for message in netlink.decode_messages(channel.recv(_RECEIVE_SIZE)):
                    if message.type == netlink.NLMSG_DONE:
                        return
                    if message.type == netlink.NLMSG_ERROR:
                        error = netlink.decode_error(message)
                        raise OSError(error, os.strerror(error))
                    yield message
    except OSError as exc:
        raise CaptureError(f"cannot ask the kernel for {what}: {(exc.strerror or str(exc)).lower()}") from exc
