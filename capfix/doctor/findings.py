"""What the doctor says."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

JSON_VERSION: Final = 1


class Verdict(StrEnum):
    """What is wrong, the gravest first: what stands before something else explains it."""

    ABSENT = "absent"
    NO_PERMISSION = "no-permission"
    HEADERLESS_BOTH = "headerless-both"
    HEADERLESS_INBOUND = "headerless-inbound"
    HEADERLESS_OUTBOUND = "headerless-outbound"
    STALE_HEADER = "stale-header"
    BYPASSING = "bypassing"
    DAMAGED = "damaged"
    DOWN = "down"
    NO_TRAFFIC = "no-traffic"
    SOUND = "sound"


@dataclass(frozen=True)
class Finding:
    """One thing found. Without a `verdict` it is a note. `remedy` is a whole command line, "" where there is none."""

    sentence: str
    verdict: Verdict | None = None
    remedy: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """What came out for one interface or file: the finding that gives the verdict, and the notes.

    `kind` is "interface" or "file", and `subject` its name.
    """

    kind: str
    subject: str
    finding: Finding
    verdict: Verdict
    notes: tuple[str, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        return 0 if self.verdict is Verdict.SOUND else 1

    def as_object(self) -> dict[str, Any]:
        """Return what `--json` prints; docs/doctor.md documents the keys."""
        return {
            "version": JSON_VERSION,
            self.kind: self.subject,
            "verdict": str(self.verdict),
            "sentence": self.finding.sentence,
            "evidence": {**self.evidence, **self.finding.evidence},
            "remedy": self.finding.remedy or None,
            "notes": list(self.notes),
        }


def conclude(
    subject: str, findings: Iterable[Finding], evidence: dict[str, Any], kind: str = "interface"
) -> Diagnosis:
    """Return the diagnosis of an interface or a file: the gravest verdict among `findings`, all else as notes."""
    order = list(Verdict)
    ranked: list[tuple[int, Finding, Verdict]] = []
    notes: list[str] = []
    for finding in findings:
        if finding.verdict is None:
            notes.append(finding.sentence)
        else:
            ranked.append((order.index(finding.verdict), finding, finding.verdict))
    ranked.sort(key=lambda each: each[0])
    _, gravest, verdict = ranked[0]
    lesser = [finding.sentence for _, finding, other in ranked[1:] if other is not Verdict.SOUND]
    return Diagnosis(kind, subject, gravest, verdict, (*lesser, *notes), evidence)
