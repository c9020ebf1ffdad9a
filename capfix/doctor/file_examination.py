"""From a capture file to its diagnosis. Each check is a function of the observation that yields findings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from capfix.doctor.capture_file import FileObservation, read_capture
from capfix.doctor.findings import Diagnosis, Finding, Verdict, conclude
from capfix.doctor.remedies import command
from capfix.judging import Verdict as Header
from capfix.wire.records import Fault

_READERS_INTERFACES: Final = 255
_PLACES_SHOWN: Final = 10
_APPARMOR: Final = Path("/sys/kernel/security/apparmor/profiles")
_FAULTS: Final = {
    Fault.NOTHING_BEHIND: "what follows this record is no record",
    Fault.CUT: "the file ends within a record",
    Fault.LENGTH: "a length that no record can have",
    Fault.TRAILER: "a block whose two lengths differ",
    Fault.CAPTURED: "a packet that is longer than its block",
    Fault.INTERFACE: "a packet of an interface that no block describes",
    Fault.ZEROS: "nothing but zeros",
}


def examine_file(name: str) -> Diagnosis:
    """Judge every packet of a pcap or pcapng file, and its container.

    Raises:
        CapfixError: it cannot be read, or is no capture.
    """
    observation = read_capture(Path(name))
    findings = [finding for check in CHECKS for finding in check(observation)]
    return conclude(name, findings, _evidence(observation), kind="file")


def _headers(seen: FileObservation) -> Iterator[Finding]:
    remedy = _repair(seen)
    if headerless := seen.count(Header.HEADERLESS):
        yield Finding(
            f"{headerless} of {seen.packets} packets have no link-layer header, and readers take their IP header for "
            "one",
            _direction(seen),
            remedy,
            _example(seen, Header.HEADERLESS),
        )
    if stale := seen.count(Header.STALE) + seen.count(Header.COOKED):
        kind = Header.STALE if seen.count(Header.STALE) else Header.COOKED
        yield Finding(
            f"{stale} of {seen.packets} packets have a link-layer header that is not their own",
            Verdict.STALE_HEADER,
            remedy,
            _example(seen, kind),
        )
    if undecided := seen.count(Header.UNDECIDABLE):
        yield Finding(f"{undecided} packets could be read in two ways; repair leaves them as they are")


def _damage(seen: FileObservation) -> Iterator[Finding]:
    if seen.damage:
        lost = sum(damage.length for damage in seen.damage)
        yield Finding(
            f"the file is damaged in {seen.damaged_places} places: {lost} bytes are in no record that readers find",
            Verdict.DAMAGED,
            _repair(seen),
        )


def _content(seen: FileObservation) -> Iterator[Finding]:
    if seen.packets:
        yield Finding(f"every one of {seen.packets} packets has a header of its own", Verdict.SOUND)
    else:
        yield Finding("the file is in order and holds no packet", Verdict.NO_TRAFFIC)


def _readers(seen: FileObservation) -> Iterator[Finding]:
    """What is sound and some reader refuses."""
    to_one = "split it by interface with tshark, or capture with one --link"
    if len(seen.link_types) > 1:
        yield Finding(f"tcpdump refuses interfaces of different link types in one file; {to_one}")
    if len(seen.snaplens) > 1:
        yield Finding(f"tcpdump refuses interfaces of different snapshot lengths in one file; {to_one}")
    if seen.interfaces > _READERS_INTERFACES:
        yield Finding(
            f"there are {seen.interfaces} interfaces, and some readers stop at {_READERS_INTERFACES}"
        )
    if seen.sections > 1:
        yield Finding(
            f"there are {seen.sections} sections: tshark names the interfaces of later ones wrongly"
        )
    if seen.big_endian and seen.sections:
        yield Finding("its byte order is big-endian: Wireshark reads that from a file, and not from a pipe")


def _apparmor(seen: FileObservation) -> Iterator[Finding]:
    """tcpdump#928: the profile of Debian and Ubuntu lists *.pcap and a few more names."""
    path = seen.path.absolute()
    if path.suffix == ".pcapng" and path.is_relative_to("/var/lib") and _has_profile():
        yield Finding(
            "tcpdump's AppArmor profile lets it read no .pcapng file below /var/lib: copy the file elsewhere, or add "
            "`/var/lib/**.pcapng r,` to /etc/apparmor.d/local/usr.bin.tcpdump"
        )


def _has_profile() -> bool:
    """Tell whether tcpdump is confined; where only root may look, a profile on the disk is taken for one in force."""
    try:
        return "tcpdump" in _APPARMOR.read_text()
    except PermissionError:
        return Path("/etc/apparmor.d/usr.bin.tcpdump").exists()
    except OSError:
        return False


#: A new check goes here.
CHECKS: Final[tuple[Callable[[FileObservation], Iterator[Finding]], ...]] = (
    _headers,
    _damage,
    _content,
    _readers,
    _apparmor,
)


def _direction(seen: FileObservation) -> Verdict:
    """Where the file tells no directions, headers that some packets have and others lack are taken for lab A's fault:
    what goes out has them."""
    inbound, outbound, untold = (seen.headers[Header.HEADERLESS, way] for way in ("inbound", "outbound", ""))
    if inbound and outbound:
        return Verdict.HEADERLESS_BOTH
    if outbound:
        return Verdict.HEADERLESS_OUTBOUND
    if untold and not inbound and not seen.count(Header.SOUND):
        return Verdict.HEADERLESS_BOTH
    return Verdict.HEADERLESS_INBOUND


def _example(seen: FileObservation, header: Header) -> dict[str, Any]:
    example = seen.examples[header]
    explanation = f"packet {example.number}, which the file says has link type {example.link_type}"
    return {"example": {"hex": example.data.hex(), "packet": example.number, "explanation": explanation}}


def _repair(seen: FileObservation) -> str:
    repaired = seen.path.with_name(f"{seen.path.stem}-repaired.pcapng")
    return command("capfix", "repair", str(seen.path), "-o", str(repaired))


def _evidence(seen: FileObservation) -> dict[str, Any]:
    return {
        "packets": seen.packets,
        "headers": {header.name.lower(): seen.count(header) for header in Header},
        "interfaces": seen.interfaces,
        "sections": seen.sections,
        "damaged_places": seen.damaged_places,
        "damage": [
            {"offset": each.offset, "bytes": each.length, "fault": _FAULTS.get(each.fault, "unknown")}
            for each in seen.damage[:_PLACES_SHOWN]
        ],
    }
