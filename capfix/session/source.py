"""A packet socket as a source of the capture: its ring, its transcoder, and the interfaces it has shown."""

from dataclasses import dataclass

from capfix.errors import CaptureError
from capfix.kernel.links import Link, interface_drops, read_link
from capfix.kernel.packet_socket import ANY, PacketRing
from capfix.session.options import ANY_NAME
from capfix.session.section import Section
from capfix.transcode import Transcoder
from capfix.wire.pcapng import InterfaceStatistics, encode_interface_statistics
from capfix.wire.tpacket import decode_ring_block


@dataclass(frozen=True, slots=True)
class _Seen:
    """An interface of the section: `link` is None for the pseudo-interface."""

    interface_id: int
    link: Link | None
    dropped_by_device: int | None  # when the section began


class PacketSource:
    """Packets of one interface, or of all, from a ring."""

    def __init__(self, name: str, ifindex: int, ring: PacketRing, transcoder: Transcoder) -> None:
        self.name = name
        self.ifindex = ifindex
        self.ring = ring
        self.transcoder = transcoder
        self.is_converting = False  # a ring block is begun and not finished
        self._seen: dict[int, _Seen] = {}
        self._received_before = 0
        self._dropped_before = 0
        self._started_ns = 0

    def first_timestamp_ns(self) -> int | None:
        """Return when the first packet of the next ring block came; None while no ring block is ready."""
        block = self.ring.ready()
        return None if block is None else decode_ring_block(block).first_timestamp_ns

    def begin_section(self, section: Section, now_ns: int) -> bytes:
        """Return the interface block that this source has from the section's beginning."""
        self._seen.clear()
        self.transcoder.forget_interfaces()
        self.ring.refresh_statistics()
        self._received_before = self.ring.received
        self._dropped_before = self.ring.dropped
        self._started_ns = now_ns
        if self.ifindex == ANY:
            interface_id, block = section.pseudo_interface(
                ANY_NAME, "all interfaces: counts of the socket, and packets whose interface is gone"
            )
            self._seen[ANY] = _Seen(interface_id, None, None)
            return block
        return self.announce(section, self.ifindex)

    def announce(self, section: Section, ifindex: int) -> bytes:
        """Return the interface block that is due before the first packet of `ifindex`, if one is."""
        try:
            link = read_link(ifindex)
        except CaptureError:
            if ANY not in self._seen:
                raise
            self.transcoder.add_interface(ifindex, self._seen[ANY].interface_id, None)
            return b""
        interface_id, block = section.interface(link)
        self._seen[ifindex] = _Seen(interface_id, link, interface_drops(link))
        self.transcoder.add_interface(ifindex, interface_id, link.mac)
        return block

    def statistics(self, now_ns: int) -> bytes:
        """Return the statistics blocks of this source's interfaces, with totals since the section began.

        On `any` the socket counts for all interfaces together; that stands with the pseudo-interface.
        """
        self.ring.refresh_statistics()
        return b"".join(
            encode_interface_statistics(self._statistics_of(ifindex, seen, now_ns))
            for ifindex, seen in self._seen.items()
        )

    def _statistics_of(self, ifindex: int, seen: _Seen, now_ns: int) -> InterfaceStatistics:
        counts_socket = ifindex == self.ifindex
        dropped_by_device = interface_drops(seen.link) if seen.link else None
        if dropped_by_device is not None:
            dropped_by_device -= seen.dropped_by_device or 0
        return InterfaceStatistics(
            interface_id=seen.interface_id,
            timestamp_ns=now_ns,
            start_ns=self._started_ns,
            end_ns=now_ns,
            received=self.ring.received - self._received_before if counts_socket else None,
            interface_dropped=dropped_by_device,
            kernel_dropped=self.ring.dropped - self._dropped_before if counts_socket else None,
            delivered=self.transcoder.delivered(ifindex),
        )
