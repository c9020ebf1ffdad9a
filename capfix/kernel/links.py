"""What the kernel knows of an interface: names, numbers, addresses, kinds.

Asked by ioctl, which needs no privilege, follows the network namespace of the process (sysfs shows that of the mount)
and costs no import. An answer that does not come is left out: a capture does not fail for a description. To the kernel
a name is bytes; those that are no UTF-8 are surrogates in a str, as in names of files.

Source: netdevice(7); linux/ethtool.h.
"""

import array
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from capfix.errors import CaptureError, NoSuchInterfaceError

SIOCGIFFLAGS: Final = 0x8913
SIOCGIFHWADDR: Final = 0x8927
SIOCETHTOOL: Final = 0x8946
ETHTOOL_GDRVINFO: Final = 0x03
ETHTOOL_GLINKSETTINGS: Final = 0x4C
IFF_UP: Final = 0x1
NAME_LENGTH: Final = 15  # IFNAMSIZ less its end
SPEED_UNKNOWN: Final = 0xFFFFFFFF

_IFREQ = struct.Struct("16s16s")


class Link(NamedTuple):
    """One interface. `hardware_type` is an ARPHRD_ number, `mac` 6 bytes where the interface has such an address.

    `kind` is what the driver calls itself ("tun", "veth"), "" where it does not say; `speed` in bits a second.
    """

    name: str
    ifindex: int
    hardware_type: int
    mac: bytes | None
    kind: str
    speed: int | None
    is_up: bool


def link_names() -> list[str]:
    """Return the names of the interfaces that exist, in the kernel's order."""
    return [name for _, name in socket.if_nameindex()]


def find_ifindex(name: str) -> int:
    """Return the interface index of `name`.

    Raises:
        NoSuchInterfaceError: there is none, with the names that exist, sorted.
    """
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError) as exc:
        raise NoSuchInterfaceError(name, sorted(link_names())) from exc


def read_link(ifindex: int) -> Link:
    """Return what is known of an interface.

    Raises:
        CaptureError: there is none of this index, or it went while it was asked.
    """
    try:
        name = socket.if_indextoname(ifindex)
        with _control_socket() as control:
            flags = struct.unpack_from("H", _ioctl(control, SIOCGIFFLAGS, name))[0]
            hardware_type, mac = _hardware_address(control, name)
            return Link(
                name=name,
                ifindex=ifindex,
                hardware_type=hardware_type,
                mac=mac,
                kind=_kind(control, name),
                speed=_speed(control, name),
                is_up=bool(flags & IFF_UP),
            )
    except OSError as exc:
        raise CaptureError(f"interface {ifindex} is gone") from exc


@contextmanager
def _control_socket() -> Iterator[socket.socket]:
    """Any socket answers these calls; a service may be denied all families but these."""
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_PACKET):
        try:
            control = socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            continue
        with control:
            yield control
        return
    raise OSError(errno.EAFNOSUPPORT, "no socket family to ask for interfaces")


def _ioctl(control: socket.socket, request: int, name: str) -> bytes:
    """Return the union part of a struct ifreq."""
    answer: bytes = _IFREQ.unpack(fcntl.ioctl(control, request, _IFREQ.pack(os.fsencode(name), b"")))[1]
    return answer


def _hardware_address(control: socket.socket, name: str) -> tuple[int, bytes | None]:
    answer = _ioctl(control, SIOCGIFHWADDR, name)
    hardware_type: int = struct.unpack_from("H", answer)[0]
    mac = answer[2:8]
    return hardware_type, mac if hardware_type == 1 and any(mac) else None


def _ethtool(control: socket.socket, name: str, question: "array.array[int]") -> bool:
    """Let the driver fill `question` in place; False when it does not answer."""
    request = struct.pack("16sP8x", os.fsencode(name), question.buffer_info()[0])
    try:
        fcntl.ioctl(control, SIOCETHTOOL, request)
    except OSError:
        return False
    return True


def _kind(control: socket.socket, name: str) -> str:
    info = array.array("B", struct.pack("I192x", ETHTOOL_GDRVINFO))
    if not _ethtool(control, name, info):
        return ""
    return info.tobytes()[4:36].split(b"\0")[0].decode(errors="replace")


def _speed(control: socket.socket, name: str) -> int | None:
    settings = array.array("B", struct.pack("I44x", ETHTOOL_GLINKSETTINGS))
    if not _ethtool(control, name, settings):
        return None
    # The first answer is how many words of link modes to ask for, as a negative number
    words = -struct.unpack_from("b", settings, 15)[0]
    if words <= 0:
        return None
    settings = array.array("B", struct.pack("I11xb32x", ETHTOOL_GLINKSETTINGS, words) + bytes(12 * words))
    if not _ethtool(control, name, settings):
        return None
    speed: int = struct.unpack_from("I", settings, 4)[0]
    return speed * 1_000_000 if 0 < speed < SPEED_UNKNOWN else None


def interface_drops(link: Link) -> int | None:
    """Return how many packets the device dropped before anybody could see them; None where that is not known.

    What libpcap counts: missed and FIFO errors. From sysfs, which belongs to the mount's network namespace, so only
    where it shows this very interface.
    """
    try:
        if _sysfs_number(link.name, "ifindex") != link.ifindex:
            return None
        drops = (
            _sysfs_number(link.name, f"statistics/{name}") for name in ("rx_missed_errors", "rx_fifo_errors")
        )
        return sum(drops)
    except (OSError, ValueError):
        return None


def _sysfs_number(name: str, attribute: str) -> int:
    with open(f"/sys/class/net/{name}/{attribute}") as file:
        return int(file.read())
