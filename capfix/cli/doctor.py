"""`capfix doctor`: what is wrong with captures from an interface or with a file, and the command to run next."""

import argparse
import math
import textwrap
from typing import Any, Final

from capfix.cli.build import uncompiled_modules
from capfix.cli.tables import print_json, print_table
from capfix.doctor.examination import examine_interface
from capfix.doctor.file_examination import examine_file
from capfix.doctor.findings import JSON_VERSION, Diagnosis
from capfix.doctor.system import examine_system
from capfix.errors import UsageError
from capfix.runtime.report import printable

_SECONDS: Final = 5.0
_WIDTH: Final = 100


def add_parser(subparsers: Any) -> None:
    """Add the command `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="say why captures from an interface are wrong, and what to do",
        description=(
            "Watch an interface for a few seconds and say whether captures from it are sound and, if not, why and "
            "what to run instead; the same for a capture FILE. Without either, say whether this user can capture on "
            "this machine. Changes nothing. The status is 0 when all is sound, 1 when it is not."
        ),
    )
    parser.add_argument("-i", "--interface", metavar="NAME", help="the interface to look at")
    parser.add_argument("file", nargs="?", metavar="FILE", help="or a pcap or pcapng file to look at")
    parser.add_argument(
        "--seconds",
        type=float,
        default=_SECONDS,
        metavar="N",
        help="watch for at most this long; less when sure (default: 5)",
    )
    parser.add_argument("--json", action="store_true", help="print an object; see docs/doctor.md")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the diagnosis."""
    if not (math.isfinite(options.seconds) and options.seconds > 0):
        raise UsageError(f"--seconds {options.seconds}: give a number above zero")
    if options.file is not None and options.interface is not None:
        raise UsageError(f"give an interface or a file, not both: -i {options.interface} and {options.file}")
    if options.file is not None:
        return _print_diagnosis(examine_file(options.file), options.json)
    if options.interface is None:
        return _examine_system(options.json)
    if options.interface == "any":
        raise UsageError("doctor looks at one interface at a time; see `capfix interfaces` for their names")
    return _print_diagnosis(examine_interface(options.interface, options.seconds), options.json)


def _print_diagnosis(diagnosis: Diagnosis, as_json: bool) -> int:
    if as_json:
        print_json(diagnosis.as_object())
    else:
        print(printable(as_text(diagnosis)))
    return diagnosis.exit_status


def _examine_system(as_json: bool) -> int:
    remarks = examine_system(uncompiled_modules())
    if as_json:
        print_json({"version": JSON_VERSION, "remarks": [remark.as_object() for remark in remarks]})
    else:
        rows = [
            (each.subject, "ok" if each.ok else "TROUBLE", each.sentence, each.remedy or None)
            for each in remarks
        ]
        print_table(("", "", "", "what to do"), rows)
    return 0 if all(remark.ok for remark in remarks) else 1


def as_text(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as a person reads it: the verdict, the evidence, the notes, the command to run next."""
    lines = [f"{diagnosis.verdict}: {diagnosis.finding.sentence}."]
    evidence = diagnosis.as_object()["evidence"]
    for way in ("inbound", "outbound"):
        if counts := evidence.get(way):
            lines.append(
                f"  {way}: {counts['packets']} packets, "
                f"{counts['headerless']} without a header, {counts['stale']} stale"
            )
    if counts := evidence.get("headers"):
        shares = [f"{count} {name}" for name, count in counts.items() if count]
        lines.append(f"  {evidence['packets']} packets: {', '.join(shares)}")
    for damage in evidence.get("damage", ()):
        lines.append(
            f"  offset {damage['offset']}: {damage['fault']}, {damage['bytes']} bytes lost to readers"
        )
    if example := evidence.get("example"):
        lines += [f"  one of them: {example['hex']}", f"  {example['explanation']}"]
    for pair in evidence.get("bypassing", ()):
        lines.append(f"  {pair['packets']} packets from {pair['source']} to {pair['destination']}")
    lines += [f"note: {note}" for note in diagnosis.notes]
    wrapped = [
        textwrap.fill(line, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in lines
    ]
    if diagnosis.finding.remedy:
        wrapped += ["", "Run this:", f"  {diagnosis.finding.remedy}"]
    return "\n".join(wrapped)
