"""Lines of /proc/net/packet and /proc/net/ptype.

Source: packet(7); the kernel's net/packet/af_packet.c packet_seq_show and net/core/net-procfs.c ptype_seq_show.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from capfix.wire.numbers import ETH_P_ALL
from capfix.wire.packet_diag import PacketSocket

_PACKET_COLUMNS: Final = 9


class Handler(NamedTuple):
    """A function the kernel hands packets to. `interface` is "" for all; `protocol` an EtherType.

    `function` is a symbol, with ` [module]` behind it where it is a module's.
    """

    protocol: int
    interface: str
    function: str


def decode_packet_table(text: str) -> Iterator[PacketSocket]:
    """Yield the sockets of /proc/net/packet: what is there without packet_diag. Lines of another form are skipped."""
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) != _PACKET_COLUMNS:
            continue
        kind, protocol, ifindex, uid, inode = (columns[at] for at in (2, 3, 4, 7, 8))
        yield PacketSocket(int(inode), int(kind), int(protocol, 16), int(ifindex), int(uid), None, None, None)


def decode_handlers(text: str) -> Iterator[Handler]:
    """Yield the handlers of /proc/net/ptype. Columns have fixed places: `Type`, `Device` and `Function`."""
    for line in text.splitlines()[1:]:
        protocol, rest = line[:5].strip(), line[5:]
        if not protocol or not rest.strip():
            continue
        # "%-8s %ps": a name of an interface has no blank in it, and a module stands in brackets
        device, _, function = rest.partition(" ")
        number = ETH_P_ALL if protocol == "ALL" else int(protocol, 16)
        yield Handler(number, device, function.strip())
