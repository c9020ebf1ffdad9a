"""From the name of an interface to its diagnosis."""

from difflib import SequenceMatcher
from typing import Final

from capfix.doctor.checks import run_checks
from capfix.doctor.findings import Diagnosis, Finding, Verdict, conclude
from capfix.doctor.observation import Observation
from capfix.doctor.remedies import capture_command, command
from capfix.doctor.watch import Watch
from capfix.errors import PrivilegeError
from capfix.kernel.link_table import LinkRecord, find_link, read_link_table
from capfix.kernel.taps import foreign_handlers

_NAMES_OFFERED: Final = 5


def examine_interface(name: str, seconds: float) -> Diagnosis:
    """Watch an interface, known by its name or an alternative one, for at most `seconds`, and say what is wrong.

    Raises:
        CaptureError: the interface went away, or the kernel does not answer.
    """
    table = read_link_table()
    link = find_link(name, table)
    if link is None:
        return _absent(name, table)
    master = next((each for each in table if each.ifindex == link.master), None)
    observation = Observation(link, master, tuple(foreign_handlers()))
    try:
        if link.is_up:
            with Watch(observation) as watch:
                watch.observe(seconds)
    except PrivilegeError as refusal:
        return _no_permission(name, refusal)
    return conclude(link.name, run_checks(observation), observation.as_evidence())


def _absent(name: str, table: list[LinkRecord]) -> Diagnosis:
    names = [each for link in table for each in (link.name, *link.alternative_names)]
    near = sorted(names, key=lambda other: -SequenceMatcher(None, name, other).ratio())[:_NAMES_OFFERED]
    finding = Finding(
        f"there is no interface {name} in this network namespace; the nearest names are {', '.join(near)}; "
        "the command captures it as soon as it is there",
        Verdict.ABSENT,
        capture_command(name, "--wait"),
        {"near": near},
    )
    return conclude(name, [finding], {})


def _no_permission(name: str, refusal: PrivilegeError) -> Diagnosis:
    finding = Finding(
        f"this user may not look at packets on {name}: {refusal.capability} is missing",
        Verdict.NO_PERMISSION,
        command("sudo", "capfix", "doctor", "-i", name),
        {"missing": refusal.capability},
    )
    return conclude(name, [finding], {})
