"""What a filter lets through, on real interfaces: tcpdump is asked the same at the same time."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from capfix.errors import CaptureError, UsageError
from capfix.filters import instructions as bpf
from capfix.filters.machine import run_program
from capfix.filters.selection import (
    Selection,
    compiled_selection,
    expression_program,
    selection_program,
)
from capfix.filters.vlan_set import VlanSet
from capfix.kernel import libpcap, socket_filter
from capfix.lab.namespace import NetworkNamespace
from tests.support.selection_traffic import (
    ADDRESS_EXPRESSIONS,
    ETHERNET_EXPRESSIONS,
    EXPRESSIONS,
    RECEIVER,
    SENDER,
    frames,
    marked,
    unmarked,
)
from tests.support.tcpdump import Kept, Tcpdump, send
from tests.support.tools import need

ETH_P_ALL = 3
ETHERNET_SIZE = 14
SLL2_SIZE = 20
SO_MARK = 36

ALL = EXPRESSIONS + ETHERNET_EXPRESSIONS + ADDRESS_EXPRESSIONS


@pytest.fixture(scope="module")
def cable() -> Iterator[NetworkNamespace]:
    """A namespace with one veth pair: what is sent on `near` goes out there and comes in on `far`."""
    with NetworkNamespace() as namespace:
        namespace.add_veth_pair("near", "far", address=SENDER, peer={"address": RECEIVER})
        yield namespace


class PacketSocket:
    """A packet socket with a filter, and nothing else of capfix."""

    def __init__(
        self,
        namespace: NetworkNamespace,
        program: bpf.Program | None,
        interface: str = "",
        kind: int = socket.SOCK_DGRAM,
    ) -> None:
        with namespace.entered():
            protocol = 0 if interface else socket.htons(ETH_P_ALL)  # bind can't name all interfaces
            self.socket = socket.socket(socket.AF_PACKET, kind, protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        if program is not None:
            socket_filter.attach(self.socket, bpf.encode_program(program))
        if interface:
            self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)

    def packets(self) -> Iterator[tuple[bytes, str]]:
        """Yield what came in, and on which interface."""
        while True:
            try:
                data, address = self.socket.recvfrom(65536)
            except BlockingIOError:
                return
            yield data, address[0]

    def kept(self, indexes: dict[str, int]) -> Kept:
        """Return which of the frames came in, and where."""
        return {
            (indexes[name], number) for data, name in self.packets() if (number := marked(data)) is not None
        }


@dataclass
class Verdicts:
    """What passed one expression: our filter on either kind of socket, and tcpdump's, None where it refused it."""

    cooked: Kept | None
    with_headers: Kept
    tcpdump: Kept | None


@pytest.fixture(scope="module")
def verdicts(cable, tmp_path_factory) -> dict[tuple[str, str], Verdicts]:
    """What passes each expression on each interface, all asked at the same time."""
    need("tcpdump")
    directory = tmp_path_factory.mktemp("tcpdump")
    indexes = cable.interfaces()
    found: dict[tuple[str, str], Verdicts] = {}
    for batch in (ALL[at : at + 26] for at in range(0, len(ALL), 26)):  # so many tcpdumps at once
        asked = [
            (text.format(receiver=indexes["far"]), interface)
            for text in batch
            for interface in ("near", "far", "any")
        ]
        dumps = {
            (text, interface): Tcpdump(cable, interface, text, directory / f"{number}.pcap")
            for number, (text, interface) in enumerate(asked)
        }
        with ExitStack() as stack:
            for dump in dumps.values():
                stack.callback(dump.kill)
            cooked, raw = {}, {}
            for text, interface in asked:
                name = "" if interface == "any" else interface
                program = selection_program(
                    Selection(text), ETHERNET_SIZE, libpcap.compiler(), with_headers=True
                )
                raw[text, interface] = PacketSocket(cable, program, name, socket.SOCK_RAW)
                stack.callback(raw[text, interface].socket.close)
                if text not in ADDRESS_EXPRESSIONS:
                    program = selection_program(Selection(text), SLL2_SIZE, libpcap.compiler())
                    cooked[text, interface] = PacketSocket(cable, program, name)
                    stack.callback(cooked[text, interface].socket.close)
            listening = {key for key, dump in dumps.items() if dump.listens()}
            send(cable, "near", tuple(unmarked(frame) for frame in frames()))  # see Tcpdump
            send(cable, "near", frames())
            for key in asked:
                dumps[key].stop()
                found[key] = Verdicts(
                    cooked[key].kept(indexes) if key in cooked else None,
                    raw[key].kept(indexes),
                    dumps[key].kept(indexes) if key in listening else None,
                )
    return found


@pytest.fixture
def ask(cable, verdicts) -> Callable[[str, str], Verdicts]:
    """Return what passes an expression, as it is listed, on an interface."""
    receiver = cable.index("far")
    return lambda expression, interface: verdicts[expression.format(receiver=receiver), interface]


@pytest.mark.root
@pytest.mark.parametrize("interface", ["near", "far"])
@pytest.mark.parametrize("expression", EXPRESSIONS + ETHERNET_EXPRESSIONS)
def test_named_interface_gives_what_tcpdump_keeps(ask, expression, interface):
    """On a sound interface, going out or coming in, the same frames pass as with tcpdump's filter."""
    verdict = ask(expression, interface)
    assert verdict.cooked == verdict.tcpdump


@pytest.mark.root
@pytest.mark.parametrize("interface", ["near", "far"])
@pytest.mark.parametrize("expression", ALL)
def test_kept_headers_give_what_tcpdump_keeps(ask, expression, interface):
    """Where headers are kept that holds too, and for questions to the addresses."""
    verdict = ask(expression, interface)
    assert verdict.with_headers == verdict.tcpdump


@pytest.mark.root
@pytest.mark.parametrize("expression", ALL)
def test_any_gives_what_the_named_interfaces_give(ask, expression):
    """On `any` the same frames pass as with tcpdumps on each interface, also where tcpdump refuses `any`."""
    on_any = ask(expression, "any")
    named = ask(expression, "near").tcpdump | ask(expression, "far").tcpdump
    assert on_any.with_headers == named
    assert on_any.cooked == (None if expression in ADDRESS_EXPRESSIONS else named)


@pytest.mark.root
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_any_gives_what_tcpdump_keeps_on_any(ask, expression):
    """What tcpdump understands on `any` passes alike there."""
    verdict = ask(expression, "any")
    assert verdict.cooked == verdict.tcpdump


@pytest.mark.root
def test_expressions_tell_the_frames_apart(cable, ask):
    """The comparison means something: nearly every expression keeps some frames and refuses some."""
    whole = {(cable.index(name), number) for name in ("near", "far") for number in range(len(frames()))}
    assert [text for text in ALL if ask(text, "any").with_headers in (set(), whole)] == ["rarp"]


@pytest.mark.root
def test_interpreter_agrees_with_packet_sockets(cable):
    """In user space a program keeps what it keeps in the kernel, of frames that carry no tag."""
    indexes = cable.interfaces()
    programs = [
        selection_program(Selection(text.format(receiver=indexes["far"])), SLL2_SIZE, libpcap.compiler())
        for text in EXPRESSIONS
    ]
    untagged = tuple(frame for frame in frames() if frame[12:14] not in (b"\x81\x00", b"\x88\xa8"))
    with ExitStack() as stack:
        sockets = [PacketSocket(cable, program) for program in [None, *programs]]
        for each in sockets:
            stack.callback(each.socket.close)
        send(cable, "near", untagged)
        seen = []
        while True:
            try:
                seen.append(sockets[0].socket.recvfrom(65536))
            except BlockingIOError:
                break
        assert len(seen) >= 2 * len(untagged)
        for program, each in zip(programs, sockets[1:], strict=True):
            kept = set()
            for data, (name, protocol, packet_type, hardware_type, _) in seen:
                facts = {
                    bpf.SKF_AD_PROTOCOL: protocol,
                    bpf.SKF_AD_PKTTYPE: packet_type,
                    bpf.SKF_AD_HATYPE: hardware_type,
                    bpf.SKF_AD_IFINDEX: indexes[name],
                }
                if (number := marked(data)) is not None and run_program(program, data, facts):
                    kept.add((indexes[name], number))
            assert kept == each.kept(indexes)


def marks_kept(cable, asked: Selection) -> set[int]:
    """Return the marks whose UDP packet, sent over lo with SO_MARK, passes a selection; both copies count once."""
    watch = PacketSocket(cable, selection_program(asked, SLL2_SIZE, libpcap.compiler()), "lo")
    with watch.socket:
        with cable.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for mark in (0, 7, 1007, 0x1007, 0xFFFFFFFF):
                sender.setsockopt(socket.SOL_SOCKET, SO_MARK, mark - (1 << 32) if mark >> 31 else mark)
                sender.sendto(mark.to_bytes(4, "big"), ("127.0.0.1", 9))
        return {
            int.from_bytes(data[-4:], "big") for data, _ in watch.packets() if data[9] == socket.IPPROTO_UDP
        }


@pytest.mark.root
@pytest.mark.parametrize(
    ("mark", "kept"),
    [
        ((1007, 0xFFFFFFFF), {1007}),
        ((7, 0xF), {7, 0x1007}),
        ((0xFFFFFFFF, 0xFFFFFFFF), {0xFFFFFFFF}),
        ((0, 0xFFFFFFFF), {0}),
    ],
)
def test_marks_choose_exactly_their_packets(cable, mark, kept):
    """Packets marked by SO_MARK pass by their mark alone."""
    assert marks_kept(cable, Selection(mark=mark)) == kept


@pytest.mark.root
@pytest.mark.parametrize(("direction", "types"), [("in", {0}), ("out", {4}), (None, {0, 4})])
def test_directions_on_loopback(cable, direction, types):
    """Of the two copies of a loopback packet the asked one is kept."""
    watch = PacketSocket(
        cable, selection_program(Selection(direction=direction), SLL2_SIZE, libpcap.compiler()), "lo"
    )
    with watch.socket:
        with cable.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", 9))
        seen = set()
        while True:
            try:
                seen.add(watch.socket.recvfrom(100)[1][2])
            except BlockingIOError:
                break
    assert seen == types


@pytest.mark.root
def test_all_of_a_selection_must_hold(cable):
    """Expression, mark, direction and length make one program, and every part has its say."""
    asked = Selection("udp port 53 and less 200", (0, 0xFFFFFFFF), "in", snaplen=100)
    watch = PacketSocket(cable, selection_program(asked, SLL2_SIZE, libpcap.compiler()))
    with watch.socket:
        send(cable, "near", frames()[:3])
        seen = [(len(data), name) for data, name in watch.packets()]
    assert seen == [(len(frames()[0]) - 14, "far")]


@pytest.mark.root
@pytest.mark.parametrize(("snaplen", "kept"), [(1, 64), (84, 64), (100, 80), (262143, 328)])
def test_snaplen_cuts_in_the_kernel(cable, snaplen, kept):
    """The kernel hands out no more of a packet than is needed for the frame as it is written."""
    watch = PacketSocket(
        cable, selection_program(Selection("udp", snaplen=snaplen), SLL2_SIZE, libpcap.compiler()), "far"
    )
    with watch.socket:
        send(cable, "near", frames()[1:2])
        assert [len(data) for data, _ in watch.packets()] == [kept]


def test_nothing_asked_needs_no_program():
    """A selection of everything is no program at all."""
    assert selection_program(Selection(), SLL2_SIZE, libpcap.compiler()) is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("udp and and tcp", "filter `udp and and tcp`: .*syntax error at `and`, after `udp and`"),
        ("inbound and (udp", r"filter `inbound and \(udp`: .*syntax error at its end"),
        ("@", "syntax error at `@`"),
        ("host 1.2.3.4.5", "invalid IPv4 address|unknown host|syntax error"),
        ("port nosuchport", "unknown port 'nosuchport'"),
        ("vlan 5000", "VLAN tag 5000 greater than maximum 4095"),
        ("vlan 5 and port 80 or 443", "syntax error in `443`, which stands by itself; write out what it is"),
        ("ifname eth0", "ifname supported only on PF linktype; choose interfaces with -i"),
        ("ip broadcast", "netmask not known.*; name the broadcast address instead: dst host ADDRESS"),
        ("ether host 02:00:00:00:00:01", "asks for the Ethernet addresses, which are not there to ask"),
        ("inbound and ether multicast", "asks for the Ethernet addresses"),
        ("ether[14 - ip[0]] = 1", "reads the Ethernet header at a computed offset"),
        ("udp and tcp", "expression rejects all packets"),
    ],
)
def test_wrong_expressions_are_explained(expression, message):
    """libpcap's message is passed on with the place, and what a cooked socket lacks is refused with a reason."""
    with pytest.raises(UsageError, match=message) as refusal:
        expression_program(expression, SLL2_SIZE, libpcap.compiler())
    assert refusal.value.exit_status == 2


def test_missing_libpcap_is_said(monkeypatch):
    """Without libpcap an expression is refused with what to install, and the rest works."""
    libpcap._libpcap.cache_clear()
    libpcap.compile_ethernet.cache_clear()
    monkeypatch.setattr(libpcap, "_LIBRARY_NAMES", ("libpcap-not-there.so",))
    with pytest.raises(CaptureError, match=r"apt install libpcap0\.8"):
        selection_program(Selection("udp"), SLL2_SIZE, libpcap.compiler())
    assert selection_program(
        Selection(mark=(1, 1), direction="in", snaplen=99), SLL2_SIZE, libpcap.compiler()
    )
    monkeypatch.undo()
    assert selection_program(Selection("udp"), SLL2_SIZE, libpcap.compiler())


HOSTS = " or ".join(f"host 10.0.{number // 250}.{number % 250 + 1}" for number in range(2000))


def test_plans_share_the_work():
    """What is too long for the kernel is left to user space; the facts stay in the kernel, which then cuts nothing."""
    selected = compiled_selection(
        Selection(HOSTS, direction="in", snaplen=100), SLL2_SIZE, libpcap.compiler()
    )
    plans = list(selected.plans(range(1, 5000)))
    assert [plan.user is not None for plan in plans] == [True, True]
    ip = bytes.fromhex("4500001c 00000000 40110000 0a000001 0b000001 00010001 00080000")
    for plan in plans:
        facts = {bpf.SKF_AD_PROTOCOL: 0x0800, bpf.SKF_AD_IFINDEX: 7}
        assert run_program(plan.kernel, ip, facts) == 262144
        assert run_program(plan.kernel, ip, facts | {bpf.SKF_AD_PKTTYPE: 4}) == 0
        assert run_program(plan.user, ip, facts) == 80
        assert run_program(plan.user, ip.replace(b"\n\0\0\x01", b"\x0b\0\0\x01"), facts) == 0
    assert run_program(plans[0].kernel, ip, {bpf.SKF_AD_IFINDEX: 5001}) == 0
    assert run_program(plans[1].user, ip, {bpf.SKF_AD_IFINDEX: 5001, bpf.SKF_AD_PROTOCOL: 0x0800}) == 0


def test_scattered_interfaces_are_chosen_in_user_space():
    """More interfaces than the kernel's filter can list are chosen in user space, and packets are cut as before."""
    selected = compiled_selection(Selection("udp", snaplen=100), SLL2_SIZE, libpcap.compiler())
    assert next(selected.plans(range(1, 1000, 2))).user is None
    plan = next(selected.plans(range(1, 9000, 2)))
    udp = bytes(9) + b"\x11" + bytes(10)
    assert run_program(plan.kernel, udp, {bpf.SKF_AD_PROTOCOL: 0x0800}) == 80
    assert run_program(plan.user, udp, {bpf.SKF_AD_IFINDEX: 8999})
    assert run_program(plan.user, udp, {bpf.SKF_AD_IFINDEX: 8998}) == 0


@pytest.mark.root
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_RAW])
@pytest.mark.parametrize("interface", ["near", "far"])
@pytest.mark.parametrize(
    ("vlans", "expression", "wanted"),
    [
        (VlanSet(frozenset({5})), None, {0, 1}),
        (VlanSet(frozenset({5, 7})), None, {0, 1, 2}),
        (VlanSet(frozenset({5}), untagged=True), None, {0, 1, 3, 4}),
        (VlanSet(frozenset(), untagged=True), None, {3, 4}),
        (VlanSet(frozenset({5, 7})), "udp", {0, 2}),
        (VlanSet(frozenset({5}), untagged=True), "udp", {0, 3}),
        (VlanSet(frozenset({64})), "vlan 5", {5}),
        (VlanSet(frozenset({64})), "vlan 5 and udp", {5}),
    ],
)
def test_vlans_are_chosen_by_the_outer_tag(cable, kind, interface, vlans, expression, wanted):
    """Coming in or going out, the outer tag chooses, and an expression speaks of what follows it."""
    udp = bytes.fromhex("0800 4500001c 00000000 40110000 0a000001 0b000001 00010001 00080000")
    arp = bytes.fromhex("0806") + bytes(28)
    tagged = [b"\x81\0\0\x05" + udp, b"\x81\0\xa0\x05" + arp, b"\x81\0\0\x07" + udp, udp, arp]
    tagged.append(b"\x88\xa8\0\x40\x81\0\0\x05" + udp)
    sent = [
        bytes.fromhex("ffffffffffff 020000000001") + frame + b"mark%d" % n for n, frame in enumerate(tagged)
    ]
    program = selection_program(
        Selection(expression, vlans=vlans),
        SLL2_SIZE,
        libpcap.compiler(),
        with_headers=kind == socket.SOCK_RAW,
    )
    watch = PacketSocket(cable, program, interface, kind)
    with watch.socket:
        send(cable, "near", tuple(sent))
        kept = {int(data[data.index(b"mark") + 4 :][:1]) for data, _ in watch.packets() if b"mark" in data}
    assert kept == wanted


PACKET_AUXDATA = 8
SOL_PACKET = 263
VLAN_VALID = 0x10


def packets_with_facts(
    watch: PacketSocket, indexes: dict[str, int]
) -> Iterator[tuple[bytes, dict[int, int]]]:
    """Yield what came in, with its ancillary values as they can be had from a ring."""
    while True:
        try:
            data, controls, _, address = watch.socket.recvmsg(65536, 100)
        except BlockingIOError:
            return
        name, protocol, packet_type, hardware_type, _ = address
        status, *_, tci, tpid = struct.unpack("=IIIHHHH", controls[0][2])
        facts = {
            bpf.SKF_AD_PROTOCOL: protocol,
            bpf.SKF_AD_PKTTYPE: packet_type,
            bpf.SKF_AD_HATYPE: hardware_type,
            bpf.SKF_AD_IFINDEX: indexes[name],
        }
        if status & VLAN_VALID:
            facts |= {bpf.SKF_AD_VLAN_TAG_PRESENT: 1, bpf.SKF_AD_VLAN_TAG: tci, bpf.SKF_AD_VLAN_TPID: tpid}
        yield data, facts


@pytest.mark.root
@pytest.mark.parametrize(
    ("vlans", "expression", "interface"),
    [
        (None, "vlan 5", "near"),
        (None, "vlan 5", "far"),
        (None, "vlan and udp", "near"),
        (None, "vlan and udp", "far"),
        (None, "not vlan", "near"),
        (None, "not vlan", "far"),
        # Not on `near`: the kernel does not look for `udp` behind a tag in an outgoing frame; the ring has no such tag
        (None, "udp or vlan 7", "far"),
        (VlanSet(frozenset({5}), untagged=True), "udp", "near"),
        (VlanSet(frozenset({5}), untagged=True), "udp", "far"),
        (VlanSet(frozenset({5, 7})), None, "near"),
        (VlanSet(frozenset({5, 7})), None, "far"),
    ],
)
def test_machine_agrees_on_tags_as_a_ring_shows_them(cable, vlans, expression, interface):
    """In user space a program keeps what it keeps in the kernel, of frames with a tag too, coming in or going out."""
    program = selection_program(Selection(expression, vlans=vlans), SLL2_SIZE, libpcap.compiler())
    udp = bytes.fromhex("0800 4500001c 00000000 40110000 0a000001 0b000001 00010001 00080000")
    arp = bytes.fromhex("0806") + bytes(28)
    sent = [b"\x81\0\0\x05" + udp, b"\x81\0\xa0\x05" + arp, b"\x81\0\0\x07" + udp, udp, arp]
    header = bytes.fromhex("ffffffffffff 020000000001")
    everything, chosen = (PacketSocket(cable, wanted, interface) for wanted in (None, program))
    with everything.socket, chosen.socket:
        everything.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        send(cable, "near", tuple(header + frame + b"m%d" % n for n, frame in enumerate(sent)))
        seen = list(packets_with_facts(everything, cable.interfaces()))
        in_kernel = [data for data, _ in chosen.packets()]
    assert len(seen) >= len(sent)
    assert [data for data, facts in seen if run_program(program, data, facts)] == in_kernel
    assert 0 < len(in_kernel) < len(seen)
