"""What a capture is asked to do, in the units the capture works in."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from capfix.errors import ContradictionError
from capfix.options.interface_names import is_pattern
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules
from capfix.wire.link_types import LINK_TYPES
from capfix.wire.numbers import HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT
from capfix.wire.pcapng import SNAPLEN

ANY_NAME: Final = "any"
DEFAULT_LINK: Final = "sll"
DIRECTIONS: Final = ("in", "out", "inout")
SOURCES: Final = ("packet", "nflog", "both", "auto")
NFLOG_RULES: Final = ("auto", "none")
DEFAULT_HOOKS: Final = (HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT)
LARGEST_RING_MIB: Final = 4095  # the ring's size in bytes is a 32-bit number

#: The fields that a running capture can take over from a configuration file that has changed.
CHANGEABLE: Final = frozenset({"stop_packets", "verbose", "retention"})

#: What users call a field, where that is another word.
_OPTION_NAMES: Final = {
    "interfaces": "interface",
    "ring_size_mib": "ring-size",
    "stop_packets": "count",
    "stop_after_s": "stop",
    "rotation": "rotate-size, -every or -packets",
    "retention": "keep-files, -size, -age or -free",
}

NO_ROTATION: Final = RotationRules()
KEEP_ALL: Final = RetentionRules()


class RunOptions(NamedTuple):
    """The options of `capfix run`, as they were meant: addresses as 6 bytes, durations in seconds.

    `filter` is in libpcap's language, `mark` a value and a mask of skb->mark, `snaplen` in bytes, `nflog_hooks`
    HOOK_ numbers. None leaves the choice to capfix, or the limit out.
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
    direction: str = "inout"
    snaplen: int = SNAPLEN
    promiscuous: bool = True
    fix_checksums: bool = False
    wait: bool = False
    user: str | None = None
    source: str = "packet"
    nflog_group: int | None = None
    nflog_rules: str | None = None
    nflog_hooks: tuple[int, ...] | None = None
    rotation: RotationRules = NO_ROTATION
    retention: RetentionRules = KEEP_ALL
    stop_packets: int | None = None
    stop_files: int | None = None
    stop_size_bytes: int | None = None
    stop_after_s: float | None = None
    quiet: bool = False
    verbose: bool = False

    def checked(self) -> "RunOptions":
        """Return these options, having looked at what no single one can know.

        Raises:
            ContradictionError: the options contradict each other or ask for what cannot be.
        """
        problems = list(self._problems())
        if problems:
            raise ContradictionError(problems)
        return self

    def _problems(self) -> Iterator[str]:
        """Yield all that is wrong, in sentences that name the options."""
        if not self.interfaces:
            yield "no interface to capture on; name one with -i, or `-i any` for all"
        if ANY_NAME in self.interfaces and len(self.interfaces) > 1:
            yield "`-i any` captures on every interface already; leave the other -i out"
        if self.link not in LINK_TYPES:
            yield f"unknown link type {self.link!r}; choose from {', '.join(LINK_TYPES)}"
        if self.keep_headers and self.link != "ethernet":
            yield f"--keep-headers keeps Ethernet headers, and --link {self.link} has none; use --link ethernet"
        if self.direction not in DIRECTIONS:
            yield f"unknown direction {self.direction!r}; choose from {', '.join(DIRECTIONS)}"
        if not 0 < self.snaplen <= SNAPLEN:
            yield f"a snapshot length of {self.snaplen} bytes cannot be; say 1 to {SNAPLEN}"
        if self.ring_size_mib is not None and self.ring_size_mib > LARGEST_RING_MIB:
            yield f"--ring-size {self.ring_size_mib} MiB is too large; the most is {LARGEST_RING_MIB}"
        yield from self._source_problems()
        yield from self.rotation.problems()
        if not self.rotation and (self.retention or self.stop_files):
            yield (
                "there is one file unless it is rotated: say also when the next begins, with --rotate-size, "
                "--rotate-every or --rotate-packets"
            )

    def _source_problems(self) -> Iterator[str]:
        """Yield what does not go with the source."""
        if self.source not in SOURCES:
            yield f"unknown source {self.source!r}; choose from {', '.join(SOURCES)}"
        of_netfilter = {
            "--nflog-group": self.nflog_group is not None,
            "--nflog-rules": self.nflog_rules is not None,
            "--nflog-hooks": self.nflog_hooks is not None,
        }
        if self.source == "packet":
            yield from (
                f"{name} needs --source nflog, both or auto" for name, given in of_netfilter.items() if given
            )
            return
        if any(map(is_pattern, self.interfaces)):
            yield "a pattern with -i needs --source packet; name the interfaces, or say `-i any`"
        if self.keep_headers:
            yield "--keep-headers needs --source packet: netfilter's log has no headers to keep"
        if self.nflog_rules == "none" and self.nflog_hooks is not None:
            yield "--nflog-hooks says where capfix makes rules, and --nflog-rules none that it makes none"
        if self.nflog_rules == "none" and self.nflog_group is None:
            yield "--nflog-rules none needs --nflog-group: the group that your own rules log to"

    @property
    def hooks(self) -> tuple[int, ...]:
        """The hooks at which rules are to be made, none where they are the user's own."""
        if self.nflog_rules == "none":
            return ()
        return DEFAULT_HOOKS if self.nflog_hooks is None else self.nflog_hooks

    @property
    def file_limits(self) -> RotationRules:
        """What ends a file, be it for the next one or for good."""
        return self.rotation or RotationRules(size_bytes=self.stop_size_bytes)

    def differences(self, other: "RunOptions") -> set[str]:
        """Return the names of the fields in which `other` differs."""
        return {name for name in self._fields if getattr(self, name) != getattr(other, name)}


def option_name(field_name: str) -> str:
    """Return what the user calls a field of RunOptions."""
    return _OPTION_NAMES.get(field_name, field_name.replace("_", "-"))
