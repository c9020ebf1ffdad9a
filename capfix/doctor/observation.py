"""What was seen of one interface while it was watched."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from capfix.doctor.judgement import Header, address_pair, judge
from capfix.kernel.link_table import LinkRecord
from capfix.kernel.sampling import Sample
from capfix.kernel.taps import Tap
from capfix.wire.numbers import ARPHRD_ETHER, ARPHRD_LOOPBACK

PAIR_LIMIT: Final = 4096  # of address pairs that are remembered; a scan has one a packet

Pair = tuple[bytes, bytes]


@dataclass
class Direction:
    """The packets of one direction: how many there are of each judgement, and the first of each."""

    packets: int = 0
    headers: Counter[Header] = field(default_factory=Counter)
    examples: dict[Header, Sample] = field(default_factory=dict)

    def add(self, sample: Sample, promises_ethernet: bool) -> None:
        """Count a packet. Where no header is promised, none can be wrong."""
        self.packets += 1
        header = judge(sample) if promises_ethernet else Header.SOUND
        self.headers[header] += 1
        self.examples.setdefault(header, sample)

    def as_object(self) -> dict[str, int]:
        return {
            "packets": self.packets,
            "headerless": self.headers[Header.MISSING],
            "stale": self.headers[Header.STALE],
        }


@dataclass
class Netfilter:
    """What netfilter saw come in by the interface. `refusal` says why it was not asked, "" when it was."""

    refusal: str = ""
    packets: int = 0
    pairs: Counter[Pair] = field(default_factory=Counter)

    def add(self, packet: bytes) -> None:
        """Count a packet, which begins at its IP header."""
        self.packets += 1
        pair = address_pair(packet)
        if pair is not None and (pair in self.pairs or len(self.pairs) < PAIR_LIMIT):
            self.pairs[pair] += 1


@dataclass
class Observation:
    """All that the checks look at."""

    link: LinkRecord
    master: LinkRecord | None = None
    foreign_handlers: tuple[Tap, ...] = ()
    inbound: Direction = field(default_factory=Direction)
    outbound: Direction = field(default_factory=Direction)
    netfilter: Netfilter = field(default_factory=Netfilter)
    pairs: set[Pair] = field(default_factory=set)
    longest: int = 0
    unready_checksums: int = 0
    drops: int = 0
    seconds: float = 0.0

    @property
    def promises_ethernet(self) -> bool:
        """Whether the hardware type says that each packet begins with an Ethernet header."""
        return self.link.hardware_type in (ARPHRD_ETHER, ARPHRD_LOOPBACK)

    @property
    def packets(self) -> int:
        """How many packets the tap was offered and read."""
        return self.inbound.packets + self.outbound.packets

    def add(self, sample: Sample) -> None:
        """Count a packet that the tap was offered."""
        (self.outbound if sample.outgoing else self.inbound).add(sample, self.promises_ethernet)
        self.longest = max(self.longest, sample.original_length - sample.link_length)
        self.unready_checksums += sample.checksum_not_ready
        pair = address_pair(sample.data[sample.link_length :])
        if pair is not None and len(self.pairs) < PAIR_LIMIT:
            self.pairs.add(pair)

    def unseen_pairs(self) -> dict[Pair, int]:
        """Return the address pairs that netfilter saw and the tap did not, with their counts."""
        return {pair: count for pair, count in self.netfilter.pairs.items() if pair not in self.pairs}

    def as_evidence(self) -> dict[str, Any]:
        """Return the counts, for `--json`."""
        asked = not self.netfilter.refusal
        return {
            "seconds": round(self.seconds, 3),
            "hardware_type": self.link.hardware_type,
            "inbound": self.inbound.as_object(),
            "outbound": self.outbound.as_object(),
            "netfilter": {
                "asked": asked,
                "packets": self.netfilter.packets if asked else None,
                "unseen_by_taps": sum(self.unseen_pairs().values()) if asked else None,
            },
        }
