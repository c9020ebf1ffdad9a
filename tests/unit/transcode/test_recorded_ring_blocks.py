"""What a real kernel put into its ring, as recorded in fixtures/ring-blocks, becomes packets that decode."""

from pathlib import Path

import pytest

from capfix.framing import Framer
from capfix.transcode.packet import PacketWriter
from capfix.transcode.ring import RingTranscoder
from capfix.wire.link_types import LINK_TYPES, Carries, LinkType
from tests.support import oracle
from tests.support.capturing import tshark
from tests.support.pcapng_files import section
from tests.support.tools import need

RECORDED = sorted((Path(__file__).parents[3] / "fixtures" / "ring-blocks").glob("*.bin"))
OWN_MAC = bytes.fromhex("02000000000b")

PING = {"ip.src": "10.9.0.1", "icmp.type": "8"}
DECODED = {
    "untagged": PING,
    "ipv6": {"ipv6.dst": "fd09::2", "udp.dstport": "2"},
    "arp-broadcast": {"arp.dst.proto_ipv4": "10.9.0.2"},
    "vlan": {"vlan.id": "5", "vlan.priority": "3", **PING},
    "priority-tag": {"vlan.id": "0", "vlan.priority": "5", **PING},
    "spanning-tree": {"stp.type": "0x00"},
    "to-somebody-else": PING,
    "ipv4-group": {"ip.dst": "224.1.2.3"},
    "headerless": PING,
    "qinq": {"ieee8021ad.id": "100", "vlan.id": "5", **PING},
    "qinq-outbound": {"ieee8021ad.id": "100", "vlan.id": "", **PING},  # the kernel has lost the inner tag
}


TAGS = ("vlan.id", "vlan.priority", "ieee8021ad.id")
NOT_IP = ("arp-broadcast", "spanning-tree")


def carried(link_type: LinkType) -> dict[str, dict[str, str]]:
    """Return what of DECODED a link type can show."""
    return {
        name: {field: value for field, value in fields.items() if link_type.has_tags or field not in TAGS}
        for name, fields in DECODED.items()
        if link_type.carries is not Carries.IP or name not in NOT_IP
    }


def transcode(block: bytes, link_type: int) -> bytes:
    """Return the packet blocks of a recorded ring block."""
    (ifindex,) = {packet.ifindex for packet in oracle.packets_of(block)}
    transcoder = RingTranscoder(PacketWriter(Framer(link_type)))
    transcoder.add_interface(ifindex, 0, OWN_MAC)
    transcoder.start(memoryview(block))
    out = bytearray(4096)
    end = transcoder.convert(block, memoryview(out), 0)
    return bytes(out[:end])


@pytest.mark.parametrize("link_type", [each.number for each in LINK_TYPES.values()], ids=list(LINK_TYPES))
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
def test_it_is_what_the_plain_composition_makes_of_it(recorded: Path, link_type: int) -> None:
    """The hot path and the oracle agree on a real kernel's bytes too."""
    block = recorded.read_bytes()
    (ifindex,) = {packet.ifindex for packet in oracle.packets_of(block)}
    options = oracle.Options(link_type, {ifindex: oracle.Interface(0, OWN_MAC)})
    assert transcode(block, link_type) == oracle.transcode(block, options)[0]


@pytest.mark.parametrize("link_type", LINK_TYPES.values(), ids=list(LINK_TYPES))
def test_tshark_decodes_it(tmp_path: Path, link_type: LinkType) -> None:
    """Each sort of packet decodes as what was sent, in each framing and in both directions."""
    need("tshark")
    shown = carried(link_type)
    recordings = [path for path in RECORDED if expected(path, shown) is not None]
    file = tmp_path / "recorded.pcapng"
    blocks = b"".join(transcode(path.read_bytes(), link_type.number) for path in RECORDED)
    file.write_bytes(section(link_type.number, blocks))
    fields = sorted({field for wanted in DECODED.values() for field in wanted})
    for recorded, values in zip(recordings, tshark(file, fields), strict=True):
        wanted = expected(recorded, shown)
        assert wanted is not None
        decoded = dict(zip(fields, values, strict=True))
        assert wanted == {field: decoded[field] for field in wanted}, recorded.stem


def expected(recorded: Path, shown: dict[str, dict[str, str]]) -> dict[str, str] | None:
    """Return what a recording decodes as, None where it is not carried."""
    return shown.get(recorded.stem) or shown.get(recorded.stem.removesuffix("-outbound"))
