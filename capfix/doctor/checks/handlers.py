"""Modules that take IP packets before the stack does."""

from collections.abc import Iterator

from capfix.doctor.findings import Finding
from capfix.doctor.observation import Observation


def check(observation: Observation) -> Iterator[Finding]:
    """Yield a note for each handler of IP that is not the kernel's own."""
    for tap in observation.foreign_handlers:
        yield Finding(
            f"{tap.handler} handles protocol 0x{tap.protocol:04x} and is not the kernel's own: "
            "a module stands before the IP stack; see `capfix taps`"
        )
