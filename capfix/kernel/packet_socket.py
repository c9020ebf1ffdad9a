"""A packet socket with a ring: the kernel writes packets into memory that it shares with us.

PF_PACKET, SOCK_DGRAM (or SOCK_RAW, for the link-layer headers too), TPACKET_V3: the ring is a circle of ring blocks.
The kernel fills one, and gives it to us when it is full or its retire time has passed; we give it back when its packets
are taken.

Source: packet(7); linux/if_packet.h; the kernel's Documentation/networking/packet_mmap.rst.
"""

import ctypes
import errno
import mmap
import os
import socket
import struct
from typing import Final

from capfix.errors import CaptureError, PrivilegeError
from capfix.kernel.atomics import load_acquire, store_release
from capfix.kernel.socket_filter import ACCEPT_ALL, REFUSE_ALL, attach
from capfix.wire.numbers import ETH_P_ALL, RING_BLOCK_STATUS_OFFSET, TP_STATUS_KERNEL, TP_STATUS_USER

SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_RX_RING: Final = 5
PACKET_STATISTICS: Final = 6
PACKET_VERSION: Final = 10
TPACKET_V3: Final = 2
PACKET_MR_PROMISC: Final = 1

# Each ring block is a wake-up, so large ones cost less; but a ring block is used up when it retires, full or not
RING_BLOCK_SIZE: Final = 1 << 20
QUICK_RING_BLOCK_SIZE: Final = 1 << 18  # where they retire nearly empty: a ring of 64 MiB lasts 256 of them
QUICK_RETIRE_MS: Final = 10
SMALLEST_RING_BLOCK_SIZE: Final = 1 << 17  # keeps a 64 KiB packet whole: one that fills it is cut silently
FRAME_SIZE: Final = 1 << 11  # of no meaning in TPACKET_V3, but checked
ANY: Final = 0  # the interface index that stands for all

# What the kernel says of a ring that is too large; EAGAIN of more locked memory than the process may have
_TOO_LARGE: Final = (errno.ENOMEM, errno.EINVAL, errno.EAGAIN)

_SOCKADDR_LL = struct.Struct("=HHi12x")
_libc = ctypes.CDLL(None, use_errno=True)  # Python's own bind takes names, and none that stands for all


class PacketRing:
    """A packet socket and its ring.

    Opened for no protocol, so that nothing arrives before `bind`. `statistics` are totals since the socket was opened.
    Ring blocks come out in the order in which the kernel filled them.
    """

    def __init__(self, ring_size_bytes: int, retire_timeout_ms: int, with_headers: bool = False) -> None:
        """Open the socket and map a ring of about `ring_size_bytes`: whole ring blocks, at least two.

        Packets lie in it without their link-layer header, or as they are `with_headers`.

        Raises:
            PrivilegeError: CAP_NET_RAW is missing.
            CaptureError: the kernel has no memory for such a ring, or refuses it for another reason.
        """
        self.block_size, self.block_count = ring_geometry(ring_size_bytes, retire_timeout_ms)
        self._retire_timeout_ms = retire_timeout_ms
        self.received = 0
        self.dropped = 0
        self._next = 0
        self._drops_before = [0] * self.block_count
        self._unplaced_drops = 0
        try:
            kind = socket.SOCK_RAW if with_headers else socket.SOCK_DGRAM
            self.socket = socket.socket(socket.AF_PACKET, kind, 0)
        except PermissionError as exc:
            raise PrivilegeError("open a packet socket", "CAP_NET_RAW") from exc
        try:
            self._map(retire_timeout_ms)
        except OSError as exc:
            self.socket.close()
            reason = os.strerror(exc.errno or 0).lower()
            advice = "; ask for a smaller one with -B" if exc.errno in _TOO_LARGE else ""
            raise CaptureError(
                f"cannot make a ring of {ring_size_bytes >> 20} MiB: {reason}{advice}"
            ) from exc

    def _map(self, retire_timeout_ms: int) -> None:
        size = self.block_size * self.block_count
        request = struct.pack(
            "7I",
            self.block_size,
            self.block_count,
            FRAME_SIZE,
            size // FRAME_SIZE,
            retire_timeout_ms,
            0,
            0,
        )
        self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        self.attach_filter(ACCEPT_ALL)
        self.socket.setblocking(False)
        self._memory = mmap.mmap(self.socket.fileno(), size)
        self._view = memoryview(self._memory)
        self._blocks = [self._view[at : at + self.block_size] for at in range(0, size, self.block_size)]

    def description(self) -> str:
        """Return what it is, in words."""
        return (
            f"ring of {self.block_count} blocks of {self.block_size >> 10} KiB, "
            f"retired after {self._retire_timeout_ms} ms"
        )

    def fileno(self) -> int:
        """Return the socket's descriptor: readable when a ring block is ready."""
        return self.socket.fileno()

    def attach_filter(self, code: bytes) -> None:
        """Let only what the program accepts in: whole instructions, as `encode_program` makes them.

        Before `bind`, or what comes in between is not filtered.

        Raises:
            CaptureError: the kernel refuses the program.
        """
        attach(self.socket, code)

    def be_promiscuous(self, ifindex: int) -> None:
        """Have the interface take in frames for others too, until the socket is closed.

        Raises:
            CaptureError: the interface is gone.
        """
        membership = struct.pack("iHH8x", ifindex, PACKET_MR_PROMISC, 0)
        try:
            self.socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
        except OSError as exc:
            reason = os.strerror(exc.errno or 0).lower()
            raise CaptureError(f"cannot make interface {ifindex} promiscuous: {reason}") from exc

    def bind(self, ifindex: int) -> None:
        """Let packets of one interface, or of all with ANY, come in from now on. Needs no privilege.

        Raises:
            CaptureError: the interface is gone.
        """
        address = _SOCKADDR_LL.pack(socket.AF_PACKET, socket.htons(ETH_P_ALL), ifindex)
        if _libc.bind(self.socket.fileno(), address, len(address)):
            reason = os.strerror(ctypes.get_errno()).lower()
            raise CaptureError(f"cannot capture on interface {ifindex}: {reason}")

    def take_error(self) -> int:
        """Return the socket's pending error number and clear it, without which an event loop would spin."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def is_bound(self) -> bool:
        """Return whether the interface the socket was bound to still exists, up or down."""
        return bool(self.socket.getsockname()[0])

    def ready(self, ahead: int = 0) -> memoryview | None:
        """Return the next ring block that the kernel has given us, or None. It is ours until `release`.

        `ahead` looks that many ring blocks behind the next one, fewer than there are.
        """
        block = self._blocks[(self._next + ahead) % self.block_count]
        if load_acquire(block, RING_BLOCK_STATUS_OFFSET) & TP_STATUS_USER:
            return block
        return None

    def drops_before(self) -> int:
        """Return how many packets the kernel lost just before the ring block that `ready` returns."""
        return self._drops_before[self._next]

    def release(self) -> None:
        """Give the ring block that `ready` returned back to the kernel.

        Packets are lost only while all ring blocks are ours, and the kernel goes on in this one; so what was lost until
        now was lost just before the packets that this ring block will hold next.
        """
        store_release(self._blocks[self._next], RING_BLOCK_STATUS_OFFSET, TP_STATUS_KERNEL)
        self._drops_before[self._next] = self._count() + self._unplaced_drops
        self._unplaced_drops = 0
        self._next = (self._next + 1) % self.block_count

    def _count(self) -> int:
        """Add what the kernel counted since the last time, and return the new drops. Reading resets its counters."""
        counters = self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
        received, dropped, _ = struct.unpack("3I", counters)
        self.received += received
        self.dropped += dropped
        return int(dropped)

    def refresh_statistics(self) -> None:
        """Bring `received`, which counts the dropped packets too, and `dropped` up to date."""
        self._unplaced_drops += self._count()

    def reject_all(self) -> None:
        """Let no further packet in. What is in a ring block already comes out within one retire time."""
        attach(self.socket, REFUSE_ALL)

    def close(self) -> None:
        """Unmap the ring and close the socket. No ring block may be in use any more."""
        for block in self._blocks:
            block.release()
        self._view.release()
        self._memory.close()
        self.socket.close()


def ring_geometry(ring_size_bytes: int, retire_timeout_ms: int) -> tuple[int, int]:
    """Return the ring block size in bytes and the number of ring blocks for a ring of about that size.

    A small ring has smaller ring blocks, at least two of them and none so small that a large packet would be cut; so
    has one whose ring blocks retire soon.
    """
    block_size = RING_BLOCK_SIZE if retire_timeout_ms > QUICK_RETIRE_MS else QUICK_RING_BLOCK_SIZE
    while block_size > SMALLEST_RING_BLOCK_SIZE and ring_size_bytes // block_size < 16:
        block_size //= 2
    return block_size, max(2, ring_size_bytes // block_size)
