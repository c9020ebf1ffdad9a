"""`capfix taps`: every packet socket with its owner, and the handlers of IP that are not the kernel's own."""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from capfix.cli.tables import print_json, print_table
from capfix.errors import CaptureError
from capfix.kernel.namespaces import Namespace, all_namespaces, find_namespace, run_in_namespace
from capfix.kernel.taps import Tap, read_taps
from capfix.runtime.report import printable
from capfix.wire.numbers import ETH_P_ALL

_PERIOD_S: Final = 0.25  # well within a second, and a dump of a few sockets takes some 50 microseconds
_ALL: Final = "all"
_NOTHING_KNOWN: Final[Mapping[str, list[Tap]]] = MappingProxyType({})
_COLUMNS: Final = (
    ("interface", "interface"),
    ("protocol", "protocol"),
    ("type", "type"),
    ("handler", "handler"),
    ("ring", "ring_size_bytes"),
    ("drops", "drops"),
    ("pid", "pid"),
    ("user", "user"),
    ("unit", "unit"),
    ("command", "command"),
)


def add_parser(subparsers: Any) -> None:
    """Add the command `taps`."""
    parser = subparsers.add_parser(
        "taps",
        help="show who is capturing what",
        description=(
            "Show every packet socket with the process behind it, and kernel modules that take IP packets before the "
            "stack does. Without root, the processes of other users stay unknown."
        ),
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on, and print taps as they come and go, until Ctrl-C"
    )
    parser.add_argument(
        "--netns", metavar="NAME", help="look in this network namespace: a name, a pid, a path, or all"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a list of objects, with --watch one object a line"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the taps. The status is 1 when a handler of IP is not the kernel's own."""
    namespaces = _namespaces(options.netns)
    if options.watch:
        return _watch(namespaces, options.json)
    listed = [_as_object(tap, name) for name, tap in _look(namespaces)]
    if options.json:
        print_json(listed)
    else:
        _print(listed, with_namespace=options.netns == _ALL)
    return 1 if any(each["type"] == "handler" for each in listed) else 0


def _namespaces(wanted: str | None) -> list[Namespace] | None:
    """None is the namespace this process is in."""
    if wanted is None:
        return None
    return all_namespaces() if wanted == _ALL else [find_namespace(wanted)]


def _look(
    namespaces: list[Namespace] | None, known: Mapping[str, list[Tap]] = _NOTHING_KNOWN
) -> Iterator[tuple[str, Tap]]:
    """Yield the taps with the name of their namespace; `known` are those of an earlier look."""
    if namespaces is None:
        yield from (("", tap) for tap in read_taps(known.get("", ())))
        return
    for namespace in namespaces:
        try:
            taps = run_in_namespace(namespace, partial(read_taps, known.get(namespace.name, ())))
        except CaptureError:
            if len(namespaces) == 1:  # the one that was asked for; of all, some go meanwhile
                raise
            continue
        yield from ((namespace.name, tap) for tap in taps)


def _as_object(tap: Tap, namespace: str) -> dict[str, Any]:
    """Return the object that `--json` prints for a tap; a key without a value is null."""
    first = tap.processes[0] if tap.processes else None
    return {
        "namespace": namespace or None,
        "interface": tap.interface,
        "protocol": _protocol(tap.protocol),
        "type": tap.type,
        "handler": tap.handler,
        "ring_size_bytes": tap.ring_size_bytes,
        "drops": tap.drops,
        "pid": first.pid if first else None,
        "pids": [process.pid for process in tap.processes],
        "user": tap.user,
        "unit": (first.unit or None) if first else None,
        "command": first.command if first else None,
    }


def _protocol(number: int) -> str:
    if number == ETH_P_ALL:
        return "all"
    return f"0x{number:04x}" if number else "none"


def _print(listed: list[dict[str, Any]], with_namespace: bool) -> None:
    columns = (("namespace", "namespace"), *_COLUMNS) if with_namespace else _COLUMNS
    print_table([title for title, _ in columns], [[each[key] for _, key in columns] for each in listed])
    for each in listed:
        if each["type"] == "handler":
            print(
                f"\n{printable(each['handler'])} takes packets of protocol {each['protocol']} and is not the kernel's "
                "own: a module, such as a VPN client's, stands before the IP stack. "
                "Ask `capfix doctor -i NAME` what that does to captures."
            )


def _watch(namespaces: list[Namespace] | None, as_json: bool) -> int:
    """Print what comes and goes. A tap that lives for less than a quarter of a second may be missed."""
    known: dict[str, list[Tap]] = {}
    try:
        while True:
            seen: dict[str, list[Tap]] = {}
            for name, tap in _look(namespaces, known):
                seen.setdefault(name, []).append(tap)
            for name in known.keys() | seen.keys():
                old, new = _listening(known.get(name, [])), _listening(seen.get(name, []))
                for key in old.keys() - new.keys():
                    _print_event("disappeared", _as_object(old[key], name), as_json)
                for key in new.keys() - old.keys():
                    _print_event("appeared", _as_object(new[key], name), as_json)
            known = seen
            time.sleep(_PERIOD_S)
    except KeyboardInterrupt:
        return 0


def _listening(taps: list[Tap]) -> dict[tuple[object, ...], Tap]:
    """Return the taps that take packets. libpcap opens its socket first and binds it then: that is one appearance."""
    return {(tap.identity, tap.interface, tap.handler): tap for tap in taps if tap.protocol}


def _print_event(event: str, tap: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"event": event, **tap}), flush=True)
        return
    process = f"{tap['command']} (pid {tap['pid']})" if tap["pid"] else "unknown process"
    where = f"{tap['interface']} in {tap['namespace']}" if tap["namespace"] else tap["interface"]
    print(
        printable(
            f"{time.strftime('%H:%M:%S')} {event}: {where}, protocol {tap['protocol']}, {tap['type']}, "
            f"{tap['handler']}, {process}"
        ),
        flush=True,
    )
