"""The socket that a log group's packets come from.

Source: linux/netfilter/nfnetlink_log.h; net/netfilter/nfnetlink_log.c; netlink(7).
"""

import errno
import itertools
import socket
import struct
from pathlib import Path
from typing import Final

from capfix.errors import CaptureError, PrivilegeError
from capfix.kernel.netfilter import first_error, has_net_admin, open_socket, reason, request
from capfix.kernel.socket_filter import REFUSE_ALL, attach
from capfix.wire import netlink, nflog
from capfix.wire.netlink import encode_attribute, encode_be16, encode_be32

DEFAULT_GROUP: Final = 1007
MAX_GROUP: Final = 65535
READ_SIZE: Final = (
    262144  # a read returned 207 KB where 128 KiB were configured: the kernel fills what it allocated
)

# A packet waits in the kernel until so many are there, or so long. Measured on Linux 6.18 with 600 thousand small
# packets, 1024 took 0.07 s of the reader's CPU, 64 took 0.25 s, and single packets 1.75 s.
_QUEUE_THRESHOLD: Final = 1024
_TIMEOUT: Final = 1  # in hundredths of a second
_MESSAGE_BUFFER_SIZE: Final = 131072  # the most the kernel takes
_RECEIVE_BUFFER_SIZE: Final = 32 << 20

# asm-generic/socket.h; Python has no name for it
_SO_RCVBUFFORCE: Final = 33

_HOLDERS: Final = Path("/proc/thread-self/net/netfilter/nfnetlink_log")


class NflogSocket:
    """One log group, bound as long as this is open.

    `group` is the number that was bound. `overflows` counts how often the socket's buffer was full; what was lost
    then shows as a gap in the packets' sequence numbers.
    """

    def __init__(
        self,
        group: int | None = None,
        copy_range: int = nflog.MAX_COPY_RANGE,
        receive_buffer_size: int = _RECEIVE_BUFFER_SIZE,
    ) -> None:
        """Bind `group`, or where it is None the first from DEFAULT_GROUP on that nobody holds.

        At most `copy_range` bytes are copied of a packet. `receive_buffer_size` in bytes is what may wait to be read.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
            CaptureError: another socket holds the group, or the kernel has no nfnetlink_log.
        """
        self.overflows = 0
        self._socket = open_socket()
        try:
            self._set_receive_buffer(receive_buffer_size)
            candidates = [group] if group is not None else _free_groups()
            for candidate in candidates:
                error = self._bind(candidate, copy_range)
                if error != errno.EPERM or group is not None or not _is_held(candidate):
                    break
            if error:
                raise _refusal(candidate, error)
            self.group = candidate
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the file descriptor, readable when packets wait."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the group back; what waits in it is lost."""
        self._socket.close()

    @property
    def receive_buffer_size(self) -> int:
        """How many bytes of messages can wait, as the kernel accounts them."""
        return (
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        )  # the kernel doubles what was set

    def receive_into(self, buffer: memoryview) -> int:
        """Read one datagram of messages and return its length in bytes; 0 when none waits.

        Give it READ_SIZE bytes. A longer datagram is cut, which shows as a gap in the sequence numbers.
        """
        while True:
            try:
                length = self._socket.recv_into(buffer, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                return 0
            except OSError as exc:
                if exc.errno != errno.ENOBUFS:
                    raise CaptureError(f"cannot read log group {self.group}: {exc.strerror}") from exc
                self.overflows += 1  # told once; the next read gives what was kept
            else:
                return min(length, len(buffer))

    def refuse_all(self) -> None:
        """Let no further message in, whoever makes rules for it; what waits already can be read."""
        attach(self._socket, REFUSE_ALL)

    def _set_receive_buffer(self, size: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        except PermissionError:  # needs CAP_NET_ADMIN in the first user namespace
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def _bind(self, group: int, copy_range: int) -> int:
        """Bind and configure in one message, so that no packet comes by other settings; return the errno or 0."""
        configuration = b"".join(
            (
                encode_attribute(nflog.CONFIG_COMMAND, bytes([nflog.COMMAND_BIND])),
                encode_attribute(nflog.CONFIG_MODE, struct.pack(">IBB", copy_range, nflog.COPY_PACKET, 0)),
                encode_be32(nflog.CONFIG_BUFFER_SIZE, _MESSAGE_BUFFER_SIZE),
                encode_be32(nflog.CONFIG_TIMEOUT, _TIMEOUT),
                encode_be32(nflog.CONFIG_QUEUE_THRESHOLD, _QUEUE_THRESHOLD),
                encode_be16(nflog.CONFIG_FLAGS, nflog.FLAG_SEQUENCE),
            )
        )
        payload = netlink.encode_netfilter_header(socket.AF_UNSPEC, group) + configuration
        flags = netlink.NLM_F_REQUEST | netlink.NLM_F_ACK
        return first_error(
            request(self._socket, [netlink.encode_message(nflog.MESSAGE_CONFIG, flags, 0, payload)])
        )


def holders() -> dict[int, int] | None:
    """Return who holds which group: group -> netlink port, mostly a process id. None where we may not know.

    The file is root's alone, so a service user with CAP_NET_ADMIN cannot read it.
    """
    try:
        rows = [line.split() for line in _HOLDERS.read_text().splitlines()]
    except OSError:
        return None
    return {int(row[0]): int(row[1]) for row in rows}


def _free_groups() -> list[int]:
    """Return the groups to try, in order; more than one, because others look for a free one too."""
    held = holders() or {}
    free = (group for group in range(DEFAULT_GROUP, MAX_GROUP + 1) if group not in held)
    return list(itertools.islice(free, 16))


def _is_held(group: int) -> bool:
    """Tell a held group from a missing capability: the kernel answers EPERM to both."""
    held = holders()
    return has_net_admin() if held is None else group in held


def _refusal(group: int, error: int) -> CaptureError:
    if error == errno.EPERM and not _is_held(group):
        return PrivilegeError(f"bind netfilter log group {group}", "CAP_NET_ADMIN")
    if error in (errno.EPERM, errno.EBUSY):
        port = (holders() or {}).get(group)
        holder = f"another socket (netlink port {port}, mostly its process id)" if port else "another socket"
        return CaptureError(f"log group {group} is held by {holder}; choose another one by --nflog-group")
    return CaptureError(
        f"cannot bind netfilter log group {group}: {reason(error)}; the kernel may lack nfnetlink_log"
    )
