"""What a capture is asked to do, in the units the capture works in."""

from dataclasses import dataclass
from typing import Final

from capfix.errors import UsageError
from capfix.wire.numbers import LINK_TYPES
from capfix.wire.pcapng import SNAPLEN

ANY_NAME: Final = "any"
DEFAULT_LINK: Final = "sll"
DIRECTIONS: Final = ("in", "out", "inout")
LARGEST_RING_MIB: Final = 4095  # the ring's size in bytes is a 32-bit number


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `capfix run`, as they were meant: addresses as 6 bytes, durations in seconds.

    `filter` is in libpcap's language, `mark` a value and a mask of skb->mark, `snaplen` in bytes. None leaves the
    choice to capfix, or the limit out.
    """

    interfaces: tuple[str, ...]
    output: str
    link: str = DEFAULT_LINK
    keep_headers: bool = False
    local_mac: bytes | None = None
    peer_mac: bytes | None = None
    count: int | None = None
    duration: float | None = None
    ring_size_mib: int | None = None
    filter: str | None = None
    mark: tuple[int, int] | None = None
    direction: str = "inout"
    snaplen: int = SNAPLEN
    promiscuous: bool = True
    fix_checksums: bool = False
    wait: bool = False
    user: str | None = None
    quiet: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        """Check what no single option can know.

        Raises:
            UsageError: the options contradict each other or ask for what cannot be.
        """
        if not self.interfaces:
            raise UsageError("no interface to capture on; name one with -i, or `-i any` for all")
        if ANY_NAME in self.interfaces and len(self.interfaces) > 1:
            raise UsageError("`-i any` captures on every interface already; leave the other -i out")
        if self.link not in LINK_TYPES:
            raise UsageError(f"unknown link type {self.link!r}; choose from {', '.join(LINK_TYPES)}")
        if self.keep_headers and self.link != "ethernet":
            raise UsageError(
                f"--keep-headers keeps Ethernet headers, and --link {self.link} has none; use --link ethernet"
            )
        if self.direction not in DIRECTIONS:
            raise UsageError(f"unknown direction {self.direction!r}; choose from {', '.join(DIRECTIONS)}")
        if not 0 < self.snaplen <= SNAPLEN:
            raise UsageError(f"a snapshot length of {self.snaplen} bytes cannot be; say 1 to {SNAPLEN}")
        if self.ring_size_mib is not None and self.ring_size_mib > LARGEST_RING_MIB:
            raise UsageError(
                f"a ring of {self.ring_size_mib} MiB is too large; the most is {LARGEST_RING_MIB}"
            )
