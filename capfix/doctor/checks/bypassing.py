"""Packets that come in by the interface and are offered to no tap: a module hands them to the IP stack itself."""

import socket
from collections.abc import Iterator
from typing import Final

from capfix.doctor.findings import Finding, Verdict
from capfix.doctor.observation import Observation, Pair
from capfix.doctor.remedies import capture_command, command

_LEAST: Final = 3  # packets of one pair of addresses
_LEAST_AFTER_LOSS: Final = 50  # where the tap lost packets: so many of one pair are not lost by chance


def check(observation: Observation) -> Iterator[Finding]:
    """Compare what netfilter saw with what the tap was offered, by pairs of addresses."""
    name = observation.link.name
    if observation.netfilter.refusal:
        yield Finding(
            f"whether packets bypass the taps was not checked ({observation.netfilter.refusal}); "
            f"to check it: {command('sudo', 'capfix', 'doctor', '-i', name)}"
        )
        return
    least = _LEAST_AFTER_LOSS if observation.drops else _LEAST
    unseen = {pair: count for pair, count in observation.unseen_pairs().items() if count >= least}
    if unseen:
        yield Finding(
            f"packets come in by {name} that no tap is offered: netfilter saw {sum(unseen.values())} that a capture "
            "cannot contain, since a module hands them to the IP stack itself",
            Verdict.BYPASSING,
            capture_command(name, "--source", "auto"),
            {"bypassing": [_as_text(pair, count) for pair, count in sorted(unseen.items())[:10]]},
        )


def _as_text(pair: Pair, count: int) -> dict[str, object]:
    family = socket.AF_INET if len(pair[0]) == 4 else socket.AF_INET6
    source, destination = (socket.inet_ntop(family, each) for each in pair)
    return {"source": source, "destination": destination, "packets": count}
