"""What a real kernel put into its ring, as recorded in fixtures/ring-blocks, becomes packets that decode."""

from pathlib import Path

import pytest

from capfix.framing import Framer
from capfix.transcode.ring import Transcoder
from capfix.wire.numbers import LINK_TYPES
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


def transcode(block: bytes, link_type: int) -> bytes:
    """Return the packet blocks of a recorded ring block."""
    (ifindex,) = {packet.ifindex for packet in oracle.packets_of(block)}
    transcoder = Transcoder(Framer(link_type))
    transcoder.add_interface(ifindex, 0, OWN_MAC)
    transcoder.start(memoryview(block))
    out = bytearray(4096)
    end = transcoder.convert(block, memoryview(out), 0)
    return bytes(out[:end])


@pytest.mark.parametrize("link_type", LINK_TYPES.values(), ids=list(LINK_TYPES))
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
def test_it_is_what_the_plain_composition_makes_of_it(recorded: Path, link_type: int) -> None:
    """The hot path and the oracle agree on a real kernel's bytes too."""
    block = recorded.read_bytes()
    (ifindex,) = {packet.ifindex for packet in oracle.packets_of(block)}
    options = oracle.Options(link_type, {ifindex: oracle.Interface(0, OWN_MAC)})
    assert transcode(block, link_type) == oracle.transcode(block, options)[0]


@pytest.mark.parametrize("link_type", LINK_TYPES.values(), ids=list(LINK_TYPES))
def test_tshark_decodes_it(tmp_path: Path, link_type: int) -> None:
    """Each sort of packet decodes as what was sent, in each framing and in both directions."""
    need("tshark")
    file = tmp_path / "recorded.pcapng"
    file.write_bytes(
        section(link_type, b"".join(transcode(path.read_bytes(), link_type) for path in RECORDED))
    )
    fields = sorted({field for expected in DECODED.values() for field in expected})
    for recorded, values in zip(RECORDED, tshark(file, fields), strict=True):
        expected = DECODED.get(recorded.stem) or DECODED[recorded.stem.removesuffix("-outbound")]
        decoded = dict(zip(fields, values, strict=True))
        assert expected == {field: decoded[field] for field in expected}, recorded.stem
