"""What a capture is asked to do, in the units the capture works in."""

from typing import TYPE_CHECKING, Final, NamedTuple

from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules
from capfix.wire.numbers import HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT
from capfix.wire.pcapng import SNAPLEN

if TYPE_CHECKING:
    from capfix.filters.vlan_set import VlanSet

ANY_NAME: Final = "any"
DEFAULT_LINK: Final = "sll"
DIRECTIONS: Final = ("in", "out", "inout")
NETFILTER_SOURCES: Final = ("nflog", "both", "auto")
SOURCES: Final = ("packet", *NETFILTER_SOURCES)
NFLOG_RULES: Final = ("auto", "none")
DEFAULT_HOOKS: Final = (HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT)
LARGEST_RING_MIB: Final = 4095  # the ring's size in bytes is a 32-bit number

NO_ROTATION: Final = RotationRules()
KEEP_ALL: Final = RetentionRules()


class RunOptions(NamedTuple):
    """The options of `capfix run`, as values: addresses as 6 bytes, durations in seconds.

    `filter` is in libpcap's language, `mark` a value and a mask of skb->mark, `vlans` those of the outer tag, `snaplen`
    in bytes, `nflog_hooks` HOOK_ numbers. None leaves the choice to capfix, or the limit out.
    """

    interfaces: tuple[str, ...]
    output: str
    link: str = DEFAULT_LINK
    keep_headers: bool = False
    local_mac: bytes | None = None
    peer_mac: bytes | None = None
    ring_size_mib: int | None = None
    filter: str | None = None
    mark: tuple[int, int] | None = None
    vlans: "VlanSet | None" = None
    direction: str = "inout"
    snaplen: int = SNAPLEN
    promiscuous: bool = True
    fix_checksums: bool = False
    comments: tuple[str, ...] = ()
    wait: bool = False
    user: str | None = None
    source: str = "packet"
    nflog_group: int | None = None
    nflog_rules: str | None = None
    nflog_hooks: tuple[int, ...] | None = None
    rotation: RotationRules = NO_ROTATION
    retention: RetentionRules = KEEP_ALL
    skip_empty: bool = False
    stop_packets: int | None = None
    stop_files: int | None = None
    stop_size_bytes: int | None = None
    stop_after_s: float | None = None
    quiet: bool = False
    verbose: bool = False

    @property
    def hooks(self) -> tuple[int, ...]:
        """The hooks at which capfix makes rules; none where the user made them."""
        if self.nflog_rules == "none":
            return ()
        return DEFAULT_HOOKS if self.nflog_hooks is None else self.nflog_hooks

    @property
    def file_limits(self) -> RotationRules:
        """What ends a file, whether another one follows or not."""
        return self.rotation or RotationRules(size_bytes=self.stop_size_bytes)

    def differences(self, other: "RunOptions") -> set[str]:
        """Return the names of the fields in which `other` differs."""
        return {name for name in self._fields if getattr(self, name) != getattr(other, name)}
