"""`capfix interfaces`: what can be captured on, and what a reader of the capture would get."""

import argparse
from typing import Any

from capfix.cli.tables import print_json, print_table
from capfix.kernel.link_table import LinkRecord, read_link_table
from capfix.wire.ethernet import format_mac
from capfix.wire.libpcap_links import COOKED, libpcap_link_type
from capfix.wire.numbers import HARDWARE_TYPE_NAMES

CAPFIX_FRAMING = "cooked or Ethernet"
_COLUMNS = (
    ("interface", "interface"),
    ("#", "index"),
    ("kind", "kind"),
    ("hardware type", "hardware_type_name"),
    ("state", "state"),
    ("MTU", "mtu"),
    ("MAC", "mac"),
    ("master", "master"),
    ("libpcap gives", "libpcap"),
    ("capfix gives", "capfix"),
)


def add_parser(subparsers: Any) -> None:
    """Add the command `interfaces`."""
    parser = subparsers.add_parser(
        "interfaces",
        help="list the interfaces that can be captured on (also: capfix -D)",
        description="List the interfaces that can be captured on, `any` first. Takes no privilege.",
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects; see docs/doctor.md")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the interfaces of this network namespace."""
    listed = list_interfaces()
    if options.json:
        print_json(listed)
    else:
        rows = [[_cell(each, key) for _, key in _COLUMNS] for each in listed]
        print_table([title for title, _ in _COLUMNS], rows)
    return 0


def list_interfaces() -> list[dict[str, Any]]:
    """Return what `--json` prints: an object an interface, `any` first, then in the order of their indexes."""
    table = read_link_table()
    names = {link.ifindex: link.name for link in table}
    return [_any(), *(_describe(link, names) for link in table)]


def _any() -> dict[str, Any]:
    return {
        "interface": "any",
        "alternative_names": [],
        "index": 0,
        "kind": None,
        "hardware_type": None,
        "hardware_type_name": None,
        "state": None,
        "mtu": None,
        "mac": None,
        "master": None,
        "libpcap": COOKED,
        "capfix": CAPFIX_FRAMING,
    }


def _describe(link: LinkRecord, names: dict[int, str]) -> dict[str, Any]:
    return {
        "interface": link.name,
        "alternative_names": list(link.alternative_names),
        "index": link.ifindex,
        "kind": link.kind or None,
        "hardware_type": link.hardware_type,
        "hardware_type_name": HARDWARE_TYPE_NAMES.get(link.hardware_type, f"type {link.hardware_type}"),
        "state": link.state,
        "mtu": link.mtu,
        "mac": format_mac(link.address) if any(link.address) else None,
        # The master may be in another network namespace, where its index is another's here
        "master": names.get(link.master, f"#{link.master}") if link.master else None,
        "libpcap": libpcap_link_type(link.hardware_type, link.name),
        "capfix": CAPFIX_FRAMING,
    }


def _cell(described: dict[str, Any], key: str) -> object:
    if key == "interface" and described["alternative_names"]:
        return f"{described['interface']} ({', '.join(described['alternative_names'])})"
    return described[key]
