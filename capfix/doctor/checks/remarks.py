"""What is no fault and yet surprises readers of a capture."""

from collections.abc import Iterator

from capfix.doctor.findings import Finding
from capfix.doctor.observation import Observation
from capfix.kernel.link_table import IFF_NOARP


def check(observation: Observation) -> Iterator[Finding]:
    """Yield notes on address resolution, offloads and bridges."""
    link = observation.link
    if observation.promises_ethernet and link.flags & IFF_NOARP and link.name != "lo":
        yield Finding(
            f"{link.name} does no ARP (NOARP), as VPN interfaces do: its MAC addresses mean nothing"
        )
    if observation.unready_checksums:
        yield Finding(
            f"{observation.unready_checksums} packets had no checksum yet, since the device computes it: a reader "
            "calls those wrong"
        )
    if link.mtu and observation.longest > link.mtu:
        yield Finding(
            f"packets of up to {observation.longest} bytes were seen on an MTU of {link.mtu}: the device cuts and "
            "joins them (GSO, GRO), and they were never so long on the wire"
        )
    if observation.master is not None and observation.master.kind == "bridge":
        yield Finding(
            f"{link.name} is a port of {observation.master.name}: a capture on `any` has its packets twice"
        )
