"""Headers that are missing, or another packet's: what makes Wireshark read nonsense."""

from collections.abc import Iterator
from typing import Any

from capfix.doctor.findings import Finding, Verdict
from capfix.doctor.judgement import ETHERNET_LENGTH, Header, ethernet_type
from capfix.doctor.observation import Direction, Observation
from capfix.doctor.remedies import capture_command
from capfix.kernel.sampling import Sample
from capfix.wire.ethernet import format_mac


def check(observation: Observation) -> Iterator[Finding]:
    """Find directions in which packets lack the header that the hardware type promises, or have a stale one."""
    if finding := _headerless(observation):
        yield finding
    if finding := _stale(observation):
        yield finding


def _headerless(observation: Observation) -> Finding | None:
    inbound, outbound = (_has(each, Header.MISSING) for each in (observation.inbound, observation.outbound))
    if not inbound and not outbound:
        return None
    if inbound and outbound:
        verdict, which, example = Verdict.HEADERLESS_BOTH, "packets in both directions", observation.inbound
    elif inbound:
        verdict, which, example = Verdict.HEADERLESS_INBOUND, "packets that come in", observation.inbound
    else:
        verdict, which, example = Verdict.HEADERLESS_OUTBOUND, "packets that go out", observation.outbound
    name = observation.link.name
    return Finding(
        f"{name} says it is Ethernet, but {which} have no Ethernet header, so tcpdump and Wireshark take the "
        "IP header for MAC addresses",
        verdict,
        capture_command(name),
        {"example": _explain(example.examples[Header.MISSING], "the kernel has no link-layer bytes for it")},
    )


def _stale(observation: Observation) -> Finding | None:
    faulty = [each for each in (observation.inbound, observation.outbound) if _has(each, Header.STALE)]
    if not faulty:
        return None
    name = observation.link.name
    return Finding(
        f"the Ethernet headers on {name} are not those of the packets behind them: their type is another than the "
        "kernel's, so tcpdump and Wireshark decode the wrong protocol",
        Verdict.STALE_HEADER,
        capture_command(name),
        {"example": _explain(faulty[0].examples[Header.STALE], "the header is another packet's")},
    )


def _has(direction: Direction, header: Header) -> bool:
    return direction.headers[header] > 0


def _explain(sample: Sample, why: str) -> dict[str, Any]:
    """One packet as hex, and how a reader that believes in Ethernet goes wrong with it."""
    header = sample.data[: max(sample.link_length, ETHERNET_LENGTH)]
    read_as = (
        f"destination {format_mac(header[:6])}, source {format_mac(header[6:12])}, "
        f"type 0x{ethernet_type(sample.data, sample.link_length):04x}"
    )
    return {
        "hex": sample.data[:64].hex(),
        "link_bytes": sample.link_length,
        "protocol": f"0x{sample.protocol:04x}",
        "explanation": f"read as Ethernet: {read_as}; but {why}, and its protocol is 0x{sample.protocol:04x}",
    }
