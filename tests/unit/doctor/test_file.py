"""`capfix doctor FILE`: the share of each class, the damage, and what readers refuse."""

import json
import struct
from pathlib import Path

import pytest

from capfix.cli import main
from capfix.doctor import file_examination
from capfix.doctor.file_examination import examine_file
from capfix.errors import CapfixError
from tests.support.packets import NETWORK_PACKETS, ethernet, sll

BARE = list(NETWORK_PACKETS.values())
FRAMED = [ethernet(packet) for packet in BARE]


def pcap(packets: list[bytes], link_type: int = 1) -> bytes:
    made = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link_type)
    for number, packet in enumerate(packets):
        made += struct.pack("<IIII", 1_700_000_000 + number, 0, len(packet), len(packet)) + packet
    return made


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int = 1, snaplen: int = 262144, order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link_type, 0, snaplen), order)


def packet_block(packet: bytes, flags: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "IIIII", 0, 0x60000, 0, len(packet), len(packet))
    options = struct.pack(order + "HHIHH", 2, 4, flags, 0, 0)
    return block(6, head + packet + bytes(-len(packet) % 4) + options, order)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.pcap"


def test_sound(file: Path) -> None:
    """A file without fault is sound, and nothing is noted."""
    file.write_bytes(pcap(FRAMED))
    diagnosis = examine_file(str(file))
    assert (diagnosis.verdict, diagnosis.exit_status, diagnosis.notes) == ("sound", 0, ())


def test_headerless_shares(file: Path) -> None:
    """A pcap tells no direction; headers that only some lack are lab A's fault."""
    file.write_bytes(pcap(FRAMED + BARE))
    told = examine_file(str(file)).as_object()
    assert (told["file"], told["verdict"]) == (str(file), "headerless-inbound")
    assert told["evidence"]["packets"] == len(FRAMED) + len(BARE)
    headers = told["evidence"]["headers"]
    assert headers["sound"] == len(FRAMED)
    assert headers["headerless"] + headers["undecidable"] == len(BARE)
    assert headers["headerless"] >= len(BARE) - 1
    assert told["remedy"] == f"capfix repair {file} -o {file.with_name('a-repaired.pcapng')}"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("flags", "verdict"),
    [((1, 2), "headerless-both"), ((1, 1), "headerless-inbound"), ((2, 2), "headerless-outbound")],
)
def test_directions_of_pcapng(file: Path, flags: tuple[int, int], verdict: str, order: str) -> None:
    """epb_flags tell which direction lacks its headers, in either byte order."""
    blocks = [packet_block(NETWORK_PACKETS["udp"], each, order) for each in flags]
    file.write_bytes(section(order) + interface(order=order) + b"".join(blocks))
    diagnosis = examine_file(str(file))
    assert diagnosis.verdict == verdict
    assert any("big-endian" in note for note in diagnosis.notes) is (order == ">")


def test_stale(file: Path) -> None:
    """A cooked header in a file that says Ethernet is not the packets' own."""
    file.write_bytes(pcap([sll(NETWORK_PACKETS["tcp"])] * 3))
    assert examine_file(str(file)).verdict == "stale-header"


def test_damage(file: Path) -> None:
    """A hole is found with its place and the packets behind it; a cut end too."""
    records = pcap(FRAMED * 20)
    hole = len(records) // 2
    file.write_bytes(records[:hole] + b"\xa5" * 1000 + records[hole:-5])
    diagnosis = examine_file(str(file))
    evidence = diagnosis.as_object()["evidence"]
    assert diagnosis.verdict == "damaged"
    assert evidence["packets"] >= 20 * len(FRAMED) - 3
    assert evidence["damaged_places"] >= 2
    assert evidence["damage"][-1]["fault"] == "the file ends within a record"
    assert "capfix repair" in diagnosis.finding.remedy


def test_what_readers_refuse(file: Path) -> None:
    """Mixed link types and snapshot lengths, many interfaces and several sections are notes on a sound file."""
    many = interface() + interface(113) + interface(1, 96) + 253 * interface()
    file.write_bytes(section() + many + packet_block(FRAMED[0]) + section() + interface())
    diagnosis = examine_file(str(file))
    assert diagnosis.verdict == "sound"
    said = " ".join(diagnosis.notes)
    for part in ("different link types", "snapshot lengths", "257 interfaces", "2 sections"):
        assert part in said


def test_no_packets(file: Path) -> None:
    """A file of nothing but its header is no trouble of a reader, and no sound capture."""
    file.write_bytes(pcap([]))
    assert examine_file(str(file)).verdict == "no-traffic"


def test_apparmor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where tcpdump is confined, a .pcapng below /var/lib is told with the line that allows it."""
    profiles = tmp_path / "profiles"
    profiles.write_text("/usr/bin/tcpdump (enforce)\n")
    monkeypatch.setattr(file_examination, "_APPARMOR", profiles)
    seen = file_examination.FileObservation(Path("/var/lib/capfix/a.pcapng"))
    (note,) = file_examination._apparmor(seen)
    assert "/etc/apparmor.d/local/usr.bin.tcpdump" in note.sentence
    assert list(file_examination._apparmor(file_examination.FileObservation(Path("/var/lib/a.pcap")))) == []
    monkeypatch.setattr(file_examination, "_APPARMOR", tmp_path / "none")
    assert list(file_examination._apparmor(seen)) == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"hello, world" * 9, "neither a pcap nor a pcapng file"), (b"\xd4\xc3", "neither")],
)
def test_no_capture(file: Path, content: bytes, sentence: str) -> None:
    """What is no capture is one sentence."""
    file.write_bytes(content)
    with pytest.raises(CapfixError, match=sentence):
        examine_file(str(file))


def test_not_there(tmp_path: Path) -> None:
    """So is what cannot be read, and a pipe or device."""
    with pytest.raises(CapfixError, match="no such file"):
        examine_file(str(tmp_path / "none"))
    with pytest.raises(CapfixError, match="no regular file"):
        examine_file("/dev/null")


def test_as_a_command(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence, the shares and the remedy for people; one object for programs; both at once is wrong usage."""
    file.write_bytes(pcap(FRAMED + BARE))
    assert main(["doctor", str(file)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("headerless-inbound: ")
    assert "9 sound" in said
    assert "Run this:\n  capfix repair " in said
    assert main(["doctor", "--json", str(file)]) == 1
    assert json.loads(capsys.readouterr().out)["file"] == str(file)
    assert main(["doctor", "-i", "lo", str(file)]) == 2
