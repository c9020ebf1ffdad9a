"""The options of `capfix run`, each stated once.

From these records come the command line's parser and its help, the configuration file and its checks, what a running
capture can change, and what a field of RunOptions is called. Defaults are those of RunOptions. An option that is new
takes a record here and a field there.
"""

from collections.abc import Mapping
from typing import Final

from capfix.options.dumpcap import rotate_criterion, stop_criterion
from capfix.options.expression_file import read_expression
from capfix.options.option import Group, Kind, Needs, Option, listed
from capfix.options.run import DIRECTIONS, LARGEST_RING_MIB, NETFILTER_SOURCES, NFLOG_RULES, SOURCES
from capfix.options.values import (
    parse_count,
    parse_group,
    parse_hooks,
    parse_mark,
    parse_snaplen,
    parse_vlans,
)
from capfix.units import parse_duration, parse_size, parse_size_or_percent
from capfix.wire.ethernet import parse_mac
from capfix.wire.link_types import LINK_TYPES
from capfix.wire.pcapng import SNAPLEN

_FLAG: Final = Kind("", constant=True)
_FLAG_OFF: Final = Kind("", constant=False)
_NAME: Final = Kind("NAME")
_FILE: Final = Kind("FILE")
_COUNT: Final = Kind("N", parse_count, limits=(1, None))
_MAC: Final = Kind("MAC", parse_mac)
_SIZE: Final = Kind("SIZE", parse_size)
_TIME: Final = Kind("TIME", parse_duration)

_OF_NETFILTER: Final = Needs(sources=NETFILTER_SOURCES, capability="CAP_NET_ADMIN")


def _expression(file_name: str) -> str:
    return read_expression(file_name)


def _choice(values: tuple[str, ...]) -> Kind:
    return Kind("{" + ",".join(values) + "}", choices=values)


_ESSENTIALS: Final = Group(
    "from where, to where, how long",
    (
        Option(
            name="interface",
            letters=("-i",),
            kind=_NAME,
            fills=("interfaces",),
            repeatable=True,
            help="capture on this interface, on those that a pattern matches ('tun*'), or on `any`; repeatable",
        ),
        Option(
            name="output",
            letters=("-o", "-w"),
            kind=_FILE,
            fills=("output",),
            required=True,
            help="write here; `-` is stdout; an existing file is replaced",
        ),
        Option(
            name="count",
            letters=("-c",),
            kind=_COUNT,
            fills=("stop_packets",),
            changeable=True,
            help="stop after N packets",
        ),
        Option(
            name="stop",
            letters=("-a",),
            kind=Kind("KEY:VALUE", stop_criterion),
            fills=("stop_after_s", "stop_size_bytes", "stop_packets", "stop_files"),
            repeatable=True,
            help="stop at duration:SECONDS, filesize:KB, packets:N or files:N; repeatable",
        ),
        Option(
            name="comment",
            kind=Kind("TEXT"),
            fills=("comments",),
            repeatable=True,
            help="put a comment into each file's section header; repeatable",
        ),
        Option(
            name="ring-size",
            letters=("-B",),
            kind=Kind("MIB", parse_count, limits=(1, LARGEST_RING_MIB)),
            fills=("ring_size_mib",),
            help="size of the kernel's ring, all interfaces together; default: by free memory, at most 64",
        ),
    ),
)

_HEADERS: Final = Group(
    "the link-layer header",
    (
        Option(
            name="link",
            kind=_choice(tuple(LINK_TYPES)),
            fills=("link",),
            help="the header to write: "
            + "; ".join(f"{link_type.name}: {link_type.summary}" for link_type in LINK_TYPES.values())
            + "; default {default}",
        ),
        Option(
            name="keep-headers",
            kind=_FLAG,
            fills=("keep_headers",),
            needs=Needs(sources=("packet",), reason="netfilter's log has no headers to keep"),
            help="with --link ethernet: keep the headers that are sound, make up the others",
        ),
        Option(
            name="local-mac",
            kind=_MAC,
            fills=("local_mac",),
            help="this host's address in Ethernet headers; default: the interface's, if it has one",
        ),
        Option(
            name="peer-mac",
            kind=_MAC,
            fills=("peer_mac",),
            help="the other side's address in Ethernet headers",
        ),
    ),
)

_SELECTION: Final = Group(
    "which packets, and how much of them",
    (
        Option(
            name="filter",
            letters=("-f",),
            kind=Kind("EXPRESSION"),
            fills=("filter",),
            help="capture only what matches, in libpcap's language",
        ),
        Option(
            name="filter-file",
            letters=("-F",),
            kind=Kind("FILE", _expression),
            fills=("filter",),
            help="read the expression from this file, where # begins a comment",
        ),
        Option(
            name="vlan",
            kind=Kind("LIST", parse_vlans),
            fills=("vlans",),
            needs=Needs(sources=("packet", "both", "auto"), reason="netfilter's log has no VLAN tags"),
            help="capture only these VLANs, by the outer tag, as in 5,7-9,none; none is no tag. -f then speaks of what "
            "follows the tag",
        ),
        Option(
            name="mark",
            kind=Kind("VALUE[/MASK]", parse_mark),
            fills=("mark",),
            help="capture only packets with this mark (skb->mark)",
        ),
        Option(
            name="direction",
            letters=("-Q",),
            kind=_choice(DIRECTIONS),
            fills=("direction",),
            help="capture what comes in, what goes out, or both; default {default}",
        ),
        Option(
            name="snaplen",
            letters=("-s",),
            kind=Kind("BYTES", parse_snaplen, limits=(1, SNAPLEN)),
            fills=("snaplen",),
            help="write at most this much of each packet, header included; 0, the default, is {default}",
        ),
        Option(
            name="no-promiscuous",
            letters=("-p",),
            kind=_FLAG_OFF,
            fills=("promiscuous",),
            help="do not put Ethernet interfaces into promiscuous mode",
        ),
        Option(
            name="fix-checksums",
            kind=_FLAG,
            fills=("fix_checksums",),
            help="compute checksums that were left to the network card",
        ),
    ),
)

_SOURCE: Final = Group(
    "the source",
    (
        Option(
            name="source",
            kind=_choice(SOURCES),
            fills=("source",),
            help="where packets come from: a packet socket (packet); netfilter's log (nflog), which sees what packet "
            "sockets never see; both; or the packet socket and what only netfilter sees (auto); default {default}",
        ),
        Option(
            name="nflog-group",
            kind=Kind("N", parse_group, limits=(0, 65535)),
            fills=("nflog_group",),
            needs=_OF_NETFILTER,
            help="the log group to use; default: the first free one from 1007 on",
        ),
        Option(
            name="nflog-rules",
            kind=_choice(NFLOG_RULES),
            fills=("nflog_rules",),
            needs=_OF_NETFILTER,
            help="make nftables rules that last as long as the capture (auto, the default), or use your own (none)",
        ),
        Option(
            name="nflog-hooks",
            kind=Kind("HOOKS", parse_hooks),
            fills=("nflog_hooks",),
            needs=_OF_NETFILTER,
            help="where to make rules: a comma list of prerouting, input, forward, output, postrouting; "
            "default: input,forward,output",
        ),
    ),
)

_FILES: Final = Group(
    "several files",
    (
        Option(name="rotate-size", kind=_SIZE, fills=("rotation.size_bytes",), help="100MB, 64MiB"),
        Option(
            name="rotate-every",
            kind=_TIME,
            fills=("rotation.every_ns",),
            help="1h, 100ms; at whole multiples of it on the clock, in UTC",
        ),
        Option(name="rotate-packets", kind=_COUNT, fills=("rotation.packets",), help="after N packets"),
        Option(
            name="rotate",
            letters=("-b",),
            kind=Kind("KEY:VALUE", rotate_criterion),
            fills=("rotation", "retention"),
            repeatable=True,
            help="as dumpcap: filesize:KB, duration:SECONDS, interval:SECONDS, packets:N; files:N keeps N of this run; "
            "repeatable",
        ),
        Option(
            name="skip-empty",
            kind=_FLAG,
            fills=("skip_empty",),
            help="go on with a file that has no packets when its time is over, so that no empty ones are made",
        ),
        Option(
            name="keep-files",
            kind=_COUNT,
            fills=("retention.keep_files",),
            changeable=True,
            help="remove the oldest beyond N, those of earlier runs too",
        ),
        Option(
            name="keep-size",
            kind=_SIZE,
            fills=("retention.keep_size_bytes",),
            changeable=True,
            help="remove the oldest beyond this size, all files together",
        ),
        Option(
            name="keep-age",
            kind=_TIME,
            fills=("retention.keep_age_ns",),
            changeable=True,
            help="remove files older than this",
        ),
        Option(
            name="keep-free",
            kind=Kind("SIZE", parse_size_or_percent),
            fills=("retention.keep_free",),
            changeable=True,
            help="keep 5GB or 10% of the filesystem free",
        ),
    ),
    "The output's name gets a number and the time: out_00001_20261122130801.pcapng. The first limit reached begins the "
    "next file; so does SIGHUP.",
)

_RUNNING: Final = Group(
    "running",
    (
        Option(
            name="wait",
            kind=_FLAG,
            fills=("wait",),
            help="wait for an interface that does not exist, at the start and whenever it goes; without it, the "
            "capture ends then",
        ),
        Option(
            name="user",
            kind=_NAME,
            fills=("user",),
            help="the user to continue as once the sockets are open; default under sudo: who called it",
        ),
        Option(
            name="quiet",
            letters=("-q",),
            kind=_FLAG,
            fills=("quiet",),
            help="no live line while capturing",
        ),
        Option(
            name="verbose",
            letters=("-v",),
            kind=_FLAG,
            fills=("verbose",),
            changeable=True,
            help="say more about what is done",
        ),
        Option(
            name="config",
            kind=_FILE,
            in_file=False,
            help="read options from this TOML file, by their long names; the command line overrides it",
        ),
        Option(
            name="check-config",
            kind=_FLAG,
            in_file=False,
            help="check the options and stop; capture nothing",
        ),
        Option(
            name="instance",
            kind=_NAME,
            in_file=False,
            help="capture as the service's instance NAME does: with /etc/capfix/NAME.toml if it exists, "
            "else on the interface NAME to /var/lib/capfix, within limits",
        ),
    ),
)

#: In the order in which `--help` shows them.
GROUPS: Final = (_ESSENTIALS, _HEADERS, _SELECTION, _SOURCE, _FILES, _RUNNING)

#: By their long names.
OPTIONS: Final[Mapping[str, Option]] = {option.name: option for group in GROUPS for option in group.options}

#: The fields of RunOptions that a running capture can take over from a configuration file that has changed.
CHANGEABLE: Final = frozenset(
    path.partition(".")[0] for option in OPTIONS.values() if option.changeable for path in option.fills
)


def option_name(field: str) -> str:
    """Return what the user calls a field of RunOptions: the long names of the options that fill it.

    Names that begin alike are shortened: `keep-files, -size or -age`.
    Those that fill it beside others, as dumpcap's criteria do, are named where there are no options of its own.
    """
    filling = [
        option for option in OPTIONS.values() if any(path.partition(".")[0] == field for path in option.fills)
    ]
    own = [option for option in filling if len(option.fills) == 1]
    first, *others = [option.name for option in own or filling]
    stem, dash, _ = first.partition("-")
    return listed((first, *(other.removeprefix(stem if dash else "") for other in others)))
