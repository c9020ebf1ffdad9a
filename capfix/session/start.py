"""From options to a running capture: what must be there is checked first, and nothing is made before that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from capfix.framing import LOCAL_FAKE, OTHER_FAKE, PEER_FAKE, Framer
from capfix.kernel.filters import Selection, selection_program
from capfix.kernel.links import find_ifindex, read_link
from capfix.kernel.packet_socket import ANY, PacketRing
from capfix.session.capture import Capture
from capfix.session.options import ANY_NAME, RunOptions
from capfix.session.report import Report
from capfix.session.section import Section, describe_fakes
from capfix.session.source import PacketSource
from capfix.sink.output import STDOUT_NAME, check_output, is_streaming, open_output
from capfix.transcode import COMPILED, Transcoder
from capfix.wire.bpf import program_text
from capfix.wire.numbers import ARPHRD_ETHER, LINK_HEADER_SIZES, LINK_TYPES, LINKTYPE_ETHERNET

# How long a packet may wait in a ring block that is not full. A pipe has somebody watching behind it; a file is looked
# at later, and each wake-up costs.
STREAMING_RETIRE_MS: Final = 2
FILE_RETIRE_MS: Final = 100

LARGEST_DEFAULT_RING: Final = 64 << 20
SMALLEST_DEFAULT_RING: Final = 4 << 20


def run_capture(options: RunOptions) -> int:
    """Capture as `options` say until it ends, and return the exit status.

    Raises:
        CapfixError: it could not be started. No file was made then.
    """
    # Whoever reads stdout mostly writes to the same terminal, where a live line would be in the way
    report = Report(quiet=options.quiet or options.output == STDOUT_NAME, verbose=options.verbose)
    link_type = LINK_TYPES[options.link]
    program = selection_program(_selection(options), LINK_HEADER_SIZES[link_type])
    check_output(options.output)
    ifindexes = [ANY if name == ANY_NAME else find_ifindex(name) for name in options.interfaces]
    streaming = is_streaming(options.output)
    retire_timeout_ms = STREAMING_RETIRE_MS if streaming else FILE_RETIRE_MS
    ring_size = options.ring_size_mib << 20 if options.ring_size_mib else default_ring_size()
    framer = Framer(link_type, options.local_mac, options.peer_mac, options.keep_headers)
    sources = [
        PacketSource(
            name,
            ifindex,
            PacketRing(ring_size // len(ifindexes), retire_timeout_ms, options.keep_headers),
            Transcoder(framer, options.snaplen, options.fix_checksums, options.direction == "out"),
        )
        for name, ifindex in zip(options.interfaces, ifindexes, strict=True)
    ]
    if not COMPILED:
        report.say("running uncompiled, hundreds of times slower: reinstall where a C compiler is")
    if program is not None:
        report.detail(f"the filter in the kernel:\n{program_text(program)}")
    for source in sources:
        ring = source.ring
        report.detail(
            f"{source.name}: ring of {ring.block_count} blocks of {ring.block_size >> 10} KiB, "
            f"retired after {retire_timeout_ms} ms"
        )
        if program is not None:
            ring.attach_filter(program)
        if options.promiscuous and source.ifindex != ANY and _is_ethernet(source.ifindex):
            ring.be_promiscuous(source.ifindex)
    target = open_output(options.output)
    section = Section(link_type, _remarks(options), options.snaplen, options.filter)
    capture = Capture(
        options=options,
        sources=sources,
        target=target,
        section=section,
        report=report,
        retire_timeout_ms=retire_timeout_ms,
        streaming=streaming,
    )
    return capture.run()


def default_ring_size() -> int:
    """Return the ring size in bytes for this machine: 64 MiB, less where memory is short."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) << 10
            return max(SMALLEST_DEFAULT_RING, min(LARGEST_DEFAULT_RING, available // 32))
    return LARGEST_DEFAULT_RING


def _selection(options: RunOptions) -> Selection:
    # Both directions are all that there is: the transcoder leaves out, and counts, the loopback interface's copies
    direction = None if options.direction == "inout" else options.direction
    return Selection(options.filter, options.mark, direction, options.snaplen)


def _is_ethernet(ifindex: int) -> bool:
    return read_link(ifindex).hardware_type == ARPHRD_ETHER


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
    if options.fix_checksums:
        yield "checksums left to the device were computed by capfix"
