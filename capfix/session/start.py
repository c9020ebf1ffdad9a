"""From options to a running capture: what must be there is checked first, and nothing is made before that.

What only some options need is imported where they are looked at: a capture should see its first packets soon.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capfix.errors import NoSuchInterfaceError, UsageError
from capfix.framing import HEADER_LIMIT, LOCAL_FAKE, OTHER_FAKE, PEER_FAKE, Framer
from capfix.kernel import privileges
from capfix.kernel.links import Link, find_ifindex, link_names, read_link
from capfix.kernel.packet_socket import PacketRing
from capfix.options.interface_names import is_match, is_pattern
from capfix.options.run import ANY_NAME, RunOptions
from capfix.runtime.notify import ServiceManager
from capfix.runtime.report import Report
from capfix.session.capture import Capture
from capfix.session.order import Order
from capfix.session.output.section import Section, describe_fakes
from capfix.session.sources.packet import PacketSource
from capfix.sink.destination import STDOUT_NAME, check_output, is_streaming, open_output, places_to_write
from capfix.transcode.ring import COMPILED, Transcoder
from capfix.wire.numbers import LINK_HEADER_SIZES, LINK_TYPES, LINKTYPE_ETHERNET
from capfix.wire.pcapng import SNAPLEN

if TYPE_CHECKING:
    from capfix.filters.instructions import Program
    from capfix.session.sources.netfilter import NflogSource
    from capfix.sink.series import FileSeries
    from capfix.transcode.duplicates import SeenPackets

# How long a packet may wait in a ring block that is not full. A pipe has somebody watching behind it; a file is looked
# at later, and each wake-up costs.
STREAMING_RETIRE_MS: Final = 2
FILE_RETIRE_MS: Final = 100
MERGING_RETIRE_MS: Final = 50  # netfilter's packets wait for the tap's

LEAST_COPIED: Final = (
    64  # by netfilter: framing looks at so much of a packet, however little is to be written
)

LARGEST_DEFAULT_RING: Final = 64 << 20
SMALLEST_DEFAULT_RING: Final = 4 << 20


def run_capture(options: RunOptions, reread: Callable[[], RunOptions] | None = None) -> int:
    """Capture as `options` say until it ends, and return the exit status.

    `reread` returns the options as they are in the configuration file by then, where there is one.

    Raises:
        CapfixError: it could not be started. No file was made then.
    """
    # Whoever reads stdout mostly writes to the same terminal, where a live line would be in the way
    report = Report(quiet=options.quiet or options.output == STDOUT_NAME, verbose=options.verbose)
    service = ServiceManager()
    program = _filter(options, report)
    check_output(options.output)
    present = {name: _present(name, options.wait) for name in options.interfaces}
    streaming = is_streaming(options.output)
    if streaming and options.rotation:
        raise UsageError(f"{options.output} is not a file: what goes through a pipe cannot be rotated")
    retire_timeout_ms = STREAMING_RETIRE_MS if streaming else FILE_RETIRE_MS
    merging = options.source in ("both", "auto")
    if merging:
        retire_timeout_ms = min(retire_timeout_ms, MERGING_RETIRE_MS)
    sources = _sources(options, present, program, retire_timeout_ms)
    if not COMPILED:
        report.say("running uncompiled, hundreds of times slower: reinstall where a C compiler is")
    for source in sources:
        report.detail(f"{source.name}: {source.ring.description()}")
    if not service.is_there or os.geteuid() == 0:  # else the unit states what is held, and holds to it
        _give_up_privileges(options, report)
    target = _open_series(options, report) if options.rotation else open_output(options.output)
    section = Section(LINK_TYPES[options.link], _remarks(options), options.snaplen, options.filter)
    capture = Capture(
        options=options,
        sources=sources,
        order=Order(sources, merging),
        target=target,
        section=section,
        report=report,
        service=service,
        reread=reread,
        retire_timeout_ms=retire_timeout_ms,
        streaming=streaming,
    )
    return capture.run()


def _present(name: str, wait: bool) -> list[Link]:
    """Return the interfaces that are there of those called `name`, or matched by it; none for `any`.

    Raises:
        NoSuchInterfaceError: there is none, and none is waited for.
    """
    if name == ANY_NAME:
        return []
    try:
        names = [known for known in link_names() if is_match(known, name)]
        return [read_link(find_ifindex(known)) for known in names or [name]]
    except NoSuchInterfaceError:
        if wait:
            return []
        raise


def _sources(
    options: RunOptions, present: Mapping[str, list[Link]], program: "Program | None", retire_timeout_ms: int
) -> list[PacketSource]:
    """Return the sources, not yet open: those of the interfaces in `present`, and netfilter's log."""
    framer = Framer(LINK_TYPES[options.link], options.local_mac, options.peer_mac, options.keep_headers)
    seen = _seen_packets(options)
    logs: list[PacketSource] = []
    if options.source != "packet":  # first: it takes a capability that fewer have
        logs.append(_nflog_source(options, framer, seen, program))
    if options.source == "nflog":
        return logs
    code = None if program is None else _encoded(program)
    taps = [
        PacketSource(
            name,
            PacketRing(_buffer_size(options), retire_timeout_ms, options.keep_headers),
            Transcoder(framer, options.snaplen, options.fix_checksums, options.direction == "out"),
            links,
            code,
            options.promiscuous,
            seen,
        )
        for name, links in present.items()
    ]
    return taps + logs


def _buffer_size(options: RunOptions) -> int:
    """Return the bytes of one ring, or of what may wait in the socket of a log group."""
    size = options.ring_size_mib << 20 if options.ring_size_mib else default_ring_size()
    return size // len(options.interfaces)


def _seen_packets(options: RunOptions) -> "SeenPackets | None":
    """Return the memory that --source auto needs. What a snapshot length cut off cannot be compared."""
    if options.source != "auto":
        return None
    from capfix.transcode.duplicates import SeenPackets

    compared = max(options.snaplen - HEADER_LIMIT, 0)
    return SeenPackets(int.from_bytes(os.urandom(8), "little"), compared_bytes=compared)


def _nflog_source(
    options: RunOptions, framer: Framer, seen: "SeenPackets | None", program: "Program | None"
) -> "NflogSource":
    from capfix.kernel.nflog import NflogSocket
    from capfix.session.sources.netfilter import LogReads, NflogSource
    from capfix.transcode.netfilter import NflogTranscoder
    from capfix.wire.nflog import MAX_COPY_RANGE

    names = None if options.interfaces == (ANY_NAME,) else options.interfaces
    transcoder = NflogTranscoder(
        framer, options.snaplen, options.source != "nflog", seen, program, options.direction == "out"
    )
    # An expression may ask for any byte; else a little more than the file holds, which counts headers too
    copy_range = MAX_COPY_RANGE
    if options.filter is None:
        copy_range = min(max(options.snaplen, LEAST_COPIED), MAX_COPY_RANGE)
    group = NflogSocket(options.nflog_group, copy_range, _buffer_size(options))
    return NflogSource(
        names,
        LogReads(group, options.hooks, names, transcoder),
        transcoder,
        beside_tap=options.source != "nflog",
        waits_for_others=seen is not None,
    )


def _open_series(options: RunOptions, report: Report) -> "FileSeries":
    """Take hold of the output's directory and finish what a crash left there.

    Raises:
        SinkError: it cannot be written, or another capture holds it.
    """
    from capfix.sink.directory import CaptureDirectory
    from capfix.sink.recovery import recover
    from capfix.sink.series import FileSeries

    directory = CaptureDirectory(options.output)
    for part_name in directory.unfinished_names():
        try:
            report.say(recover(directory, part_name).sentence())
        except OSError as exc:
            report.say(f"cannot recover {part_name}: {os.strerror(exc.errno or 0).lower()}")
    report.say(f"{directory.pattern} in {directory.path}: {options.retention.sentence()}")
    return FileSeries(directory, options.retention, tell=report.detail, warn=report.say)


def _give_up_privileges(options: RunOptions, report: Report) -> None:
    """Keep no more than reading the open sockets and writing the output take, whoever started us."""
    plan = privileges.plan(options.user, places_to_write(options.output))
    if plan.remark:
        report.say(plan.remark)
    if plan.identity is not None:
        if options.wait or any(map(is_pattern, options.interfaces)):
            from capfix.kernel import link_events
            from capfix.session.sources import following  # noqa: F401, now: the program's files need not be readable for the user

            link_events.load()
        if options.rotation:
            from capfix.sink import recovery, series  # noqa: F401, for the same reason
        report.detail(f"going on as the user {plan.identity.name}")
    privileges.drop(plan.keep, plan.identity)


def default_ring_size() -> int:
    """Return the ring size in bytes for this machine: 64 MiB, less where memory is short."""
    return max(SMALLEST_DEFAULT_RING, min(LARGEST_DEFAULT_RING, _available_memory() // 32))


def _available_memory() -> int:
    """Return how many bytes of memory can be had; where /proc shows nothing but processes, half of all there are."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _filter(options: RunOptions, report: Report) -> "Program | None":
    """Return the filter program that takes what is asked for, None where all is."""
    if (options.filter, options.mark, options.direction, options.snaplen) == (None, None, "inout", SNAPLEN):
        return None
    from capfix.filters.instructions import program_text  # 12 ms that most captures need not wait
    from capfix.filters.selection import Selection, selection_program
    from capfix.kernel.libpcap import compiler

    # Both directions are all that there is: the transcoder leaves out, and counts, the loopback interface's copies
    direction = None if options.direction == "inout" else options.direction
    selection = Selection(options.filter, options.mark, direction, options.snaplen)
    header_size = LINK_HEADER_SIZES[LINK_TYPES[options.link]]
    program = selection_program(selection, header_size, compiler(), with_headers=options.keep_headers)
    if program is not None:
        report.detail(f"the filter in the kernel:\n{program_text(program)}")
    return program


def _encoded(program: "Program") -> bytes:
    from capfix.filters.instructions import encode_program

    return encode_program(program)


def _remarks(options: RunOptions) -> Iterator[str]:
    """Yield what a reader must know to be made here, for the descriptions of the interfaces."""
    if LINK_TYPES[options.link] == LINKTYPE_ETHERNET:
        yield describe_fakes(
            (
                ("peer", options.peer_mac or PEER_FAKE),
                ("others", OTHER_FAKE),
                ("local where there is none", options.local_mac or LOCAL_FAKE),
            )
        )
    if options.source == "nflog":
        yield "read from netfilter's log"
    if options.fix_checksums:
        yield "checksums left to the device were computed by capfix"
