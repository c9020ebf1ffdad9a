"""`capfix run`: the capture."""

import argparse
import functools
import gc
from collections.abc import Callable
from typing import Any

from capfix.errors import CapfixError, FormatError
from capfix.options.dumpcap import parse_stop
from capfix.options.layers import Layers
from capfix.options.run import DEFAULT_LINK, DIRECTIONS, NFLOG_RULES, SOURCES, RunOptions
from capfix.options.values import (
    file_rules,
    least,
    parse_count,
    parse_group,
    parse_hooks,
    parse_mark,
    parse_snaplen,
)
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules
from capfix.units import parse_duration, parse_size, parse_size_or_percent
from capfix.wire.ethernet import parse_mac
from capfix.wire.link_types import LINK_TYPES
from capfix.wire.pcapng import SNAPLEN


def add_parser(subparsers: Any) -> None:
    """Add the parser of `capfix run`."""
    parser = subparsers.add_parser(
        "run",
        help="capture packets and write them as pcapng",
        description="Capture packets, rebuild their link-layer header, and write them as pcapng.",
    )
    for add_group in (
        _add_essentials,
        _add_headers,
        _add_selection,
        _add_source,
        _add_file_options,
        _add_running,
    ):
        add_group(parser)
    layers = Layers(parser)
    parser.set_defaults(run=functools.partial(_run, layers))


def _add_essentials(parser: argparse.ArgumentParser) -> None:
    """Add what to capture on, where to write it, and when to stop."""
    group = parser.add_argument_group("from where, to where, how long")
    group.add_argument(
        "-i",
        "--interface",
        action="append",
        default=[],
        metavar="NAME",
        help="capture on this interface, on those that a pattern matches ('tun*'), or on `any`; may be given several "
        "times",
    )
    group.add_argument(
        "-o",
        "-w",
        "--output",
        required=True,
        metavar="FILE",
        help="write here; `-` is stdout; an existing file is replaced",
    )
    group.add_argument("-c", "--count", type=_argument(parse_count), metavar="N", help="stop after N packets")
    group.add_argument(
        "-a",
        "--stop",
        action="append",
        default=[],
        metavar="KEY:VALUE",
        help="stop at duration:SECONDS, filesize:KB, packets:N or files:N; may be given several times",
    )
    group.add_argument(
        "-B",
        "--ring-size",
        type=_argument(parse_count),
        metavar="MIB",
        help="size of the kernel's ring, all interfaces together; default: by free memory, at most 64",
    )


def _add_headers(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which link-layer header to write."""
    group = parser.add_argument_group("the link-layer header")
    group.add_argument(
        "--link",
        choices=LINK_TYPES,
        default=DEFAULT_LINK,
        help=f"the header to write: {_link_summaries()}; default %(default)s",
    )
    group.add_argument(
        "--keep-headers",
        action="store_true",
        help="with --link ethernet: keep the headers that are sound, and make up the others",
    )
    group.add_argument(
        "--local-mac",
        type=_argument(parse_mac),
        metavar="MAC",
        help="our own address in ethernet headers; default: the interface's, if it has one",
    )
    group.add_argument(
        "--peer-mac",
        type=_argument(parse_mac),
        metavar="MAC",
        help="the address of whoever we talk to in ethernet headers",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to run, and where more options stand."""
    group = parser.add_argument_group("running")
    group.add_argument(
        "--wait",
        action="store_true",
        help="wait for an interface that is not there, now and whenever it goes; without it that ends the capture",
    )
    group.add_argument(
        "--user",
        metavar="NAME",
        help="the user to go on as once the sockets are open; default under sudo: who called it",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no live line while capturing")
    group.add_argument("-v", "--verbose", action="store_true", help="say more about what is done")
    group.add_argument(
        "--config",
        metavar="FILE",
        help="read options from this TOML file, with the long names as keys; the command line goes before it",
    )
    group.add_argument(
        "--check-config", action="store_true", help="say whether the options are sound; capture nothing"
    )
    group.add_argument(
        "--instance",
        metavar="NAME",
        help="capture as the service's instance NAME does: with /etc/capfix/NAME.toml where that is there, "
        "else on the interface NAME to /var/lib/capfix, within limits",
    )


def _add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where packets come from."""
    group = parser.add_argument_group("the source")
    group.add_argument(
        "--source",
        choices=SOURCES,
        default="packet",
        help="where packets come from: a packet socket (packet), netfilter's log (nflog), which sees what taps never "
        "see, both, or what netfilter shows beyond the packet socket (auto); default %(default)s",
    )
    group.add_argument(
        "--nflog-group",
        type=_argument(parse_group),
        metavar="N",
        help="the log group to use; default: the first free one from 1007 on",
    )
    group.add_argument(
        "--nflog-rules",
        choices=NFLOG_RULES,
        help="make nftables rules that last as long as the capture (auto, the default), or use your own (none)",
    )
    group.add_argument(
        "--nflog-hooks",
        type=_argument(parse_hooks),
        metavar="HOOKS",
        help="where to make rules: a comma list of prerouting, input, forward, output, postrouting; "
        "default: input,forward,output",
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which packets to take, and how much of each."""
    group = parser.add_argument_group("which packets, and how much of them")
    group.add_argument(
        "-f", "--filter", metavar="EXPRESSION", help="take only what matches, in libpcap's language"
    )
    group.add_argument(
        "--mark",
        type=_argument(parse_mark),
        metavar="VALUE[/MASK]",
        help="take only packets with this mark (skb->mark)",
    )
    group.add_argument(
        "-Q",
        "--direction",
        choices=DIRECTIONS,
        default="inout",
        help="take what comes in, what goes out, or both; default %(default)s",
    )
    group.add_argument(
        "-s",
        "--snaplen",
        type=_argument(parse_snaplen),
        default=SNAPLEN,
        metavar="BYTES",
        help="write at most so much of each packet, header included; 0, the default, is %(default)s",
    )
    group.add_argument(
        "-p",
        "--no-promiscuous",
        action="store_true",
        help="do not have Ethernet interfaces take in frames for others",
    )
    group.add_argument(
        "--fix-checksums",
        action="store_true",
        help="compute checksums that were left to the network card",
    )


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes several files of the output, and what becomes of them."""
    files = parser.add_argument_group(
        "several files",
        "The output's name gets a number and the time: out_00001_20261122130801.pcapng. Whichever limit comes first "
        "begins the next file; SIGHUP does too.",
    )
    files.add_argument("--rotate-size", type=_argument(parse_size), metavar="SIZE", help="100MB, 64MiB")
    files.add_argument(
        "--rotate-every",
        type=_argument(parse_duration),
        metavar="TIME",
        help="1h, 100ms; at whole multiples of it on the clock, in UTC",
    )
    files.add_argument("--rotate-packets", type=_argument(parse_count), metavar="N")
    files.add_argument(
        "-b",
        "--rotate",
        action="append",
        default=[],
        metavar="KEY:VALUE",
        help="as dumpcap: filesize:KB, duration:SECONDS, interval:SECONDS, packets:N; files:N keeps N of this run",
    )
    files.add_argument(
        "--keep-files",
        type=_argument(parse_count),
        metavar="N",
        help="remove the oldest beyond N, of earlier runs too",
    )
    files.add_argument("--keep-size", type=_argument(parse_size), metavar="SIZE", help="all files together")
    files.add_argument(
        "--keep-age", type=_argument(parse_duration), metavar="TIME", help="remove what is older"
    )
    files.add_argument(
        "--keep-free",
        type=_argument(parse_size_or_percent),
        metavar="SIZE",
        help="keep 5GB or 10%% of the filesystem free",
    )


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return `parse` as an argument type: its error becomes argparse's, which names the option."""

    def parse_argument(text: str) -> Any:
        try:
            return parse(text)
        except FormatError as exc:
            raise argparse.ArgumentTypeError(f"{exc.found} is not {exc.expected}") from exc
        except CapfixError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc

    return parse_argument


def _run(layers: Layers, arguments: argparse.Namespace) -> int:
    options = layers.resolve(arguments, _options)
    path = layers.source(arguments)
    if hasattr(arguments, "check_config"):
        print(f"{path or 'the command line'} is sound")
        return 0
    gc.disable()  # modules stay: looking for garbage among them costs a capture milliseconds, now and at the end
    from capfix.session.start import run_capture

    gc.freeze()
    gc.enable()
    is_filed = hasattr(arguments, "config") or hasattr(arguments, "instance")
    return run_capture(options, (lambda: layers.resolve(arguments, _options)) if is_filed else None)


def _options(arguments: argparse.Namespace) -> RunOptions:
    rotation, retention, stop = file_rules(
        arguments.rotate,
        RotationRules(arguments.rotate_size, arguments.rotate_packets, arguments.rotate_every),
        RetentionRules(arguments.keep_files, arguments.keep_size, arguments.keep_age, arguments.keep_free),
        parse_stop(arguments.stop),
    )
    return RunOptions(
        interfaces=tuple(dict.fromkeys(arguments.interface)),
        output=arguments.output,
        link=arguments.link,
        keep_headers=arguments.keep_headers,
        local_mac=arguments.local_mac,
        peer_mac=arguments.peer_mac,
        ring_size_mib=arguments.ring_size,
        filter=arguments.filter,
        mark=arguments.mark,
        direction=arguments.direction,
        snaplen=arguments.snaplen,
        promiscuous=not arguments.no_promiscuous,
        fix_checksums=arguments.fix_checksums,
        wait=arguments.wait,
        user=arguments.user,
        source=arguments.source,
        nflog_group=arguments.nflog_group,
        nflog_rules=arguments.nflog_rules,
        nflog_hooks=arguments.nflog_hooks,
        rotation=rotation,
        retention=retention,
        stop_packets=least(arguments.count, stop.packets),
        stop_files=stop.files,
        stop_size_bytes=stop.size_bytes,
        stop_after_s=None if stop.duration_ns is None else stop.duration_ns / 1e9,
        quiet=arguments.quiet,
        verbose=arguments.verbose,
    ).checked()


def _link_summaries() -> str:
    return "; ".join(f"{link_type.name}: {link_type.summary}" for link_type in LINK_TYPES.values())
