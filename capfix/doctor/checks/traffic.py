"""Whether there was anything to judge."""

from collections.abc import Iterator

from capfix.doctor.findings import Finding, Verdict
from capfix.doctor.observation import Observation
from capfix.doctor.remedies import command


def check(observation: Observation) -> Iterator[Finding]:
    """Yield that the interface is down, idle or, with packets and unless something graver is found, sound."""
    link = observation.link
    if not link.is_up:
        yield Finding(
            f"{link.name} is down, so nothing passes it",
            Verdict.DOWN,
            command("ip", "link", "set", link.name, "up"),
        )
    elif not observation.packets:
        hint = " and has no carrier" if link.state == "no carrier" else ""
        yield Finding(
            f"{link.name} is up{hint}, but no packet passed it in {observation.seconds:.0f} seconds; "
            "send something through it, or watch for longer",
            Verdict.NO_TRAFFIC,
            command("capfix", "doctor", "-i", link.name, "--seconds", "60"),
        )
    else:
        yield Finding(
            f"{link.name} is sound: its packets have the link-layer header its type promises", Verdict.SOUND
        )
    if observation.packets and not (observation.inbound.packets and observation.outbound.packets):
        missing = "came in" if not observation.inbound.packets else "went out"
        yield Finding(f"no packet {missing} while it was watched, so nothing is said of that direction")
