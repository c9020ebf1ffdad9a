"""From options to a running capture: what must be there is checked first, and nothing is made before that.

What only some options need is imported where they are looked at: a capture should see its first packets soon.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from capfix.errors import NoMatchingInterfaceError, NoSuchInterfaceError, UsageError
from capfix.framing import LOCAL_FAKE, OTHER_FAKE, PEER_FAKE
from capfix.kernel import privileges
from capfix.kernel.links import Link, find_ifindex, link_names, read_link
from capfix.options.interface_names import is_match, is_pattern
from capfix.options.run import ANY_NAME, RunOptions
from capfix.rotation.closed_file import ClosedFile
from capfix.runtime.events import DETAIL, NOTICE, TROUBLE, EventKind
from capfix.runtime.loop import Loop
from capfix.runtime.notify import ServiceManager
from capfix.runtime.report import Report
from capfix.session import privilege_policy
from capfix.session.capture import Capture, Parts
from capfix.session.conversion import Conversion
from capfix.session.order import Order
from capfix.session.output.content import SectionContent
from capfix.session.output.output import Output, OutputRules
from capfix.session.reload import Reload
from capfix.session.section import Section, describe_fakes
from capfix.session.sources.attachment import Scope, scope_of
from capfix.session.sources.attachments import Attachments, Patience
from capfix.session.sources.known_links import KnownLinks
from capfix.session.sources.making import Demand, make_sources
from capfix.session.sources.packet import PacketSource
from capfix.session.status import Status
from capfix.sink.destination import STDOUT_NAME, check_output, is_streaming, open_output, places_to_write
from capfix.sink.writer import Target
from capfix.transcode.ring import COMPILED
from capfix.wire.link_types import LINK_TYPES, LINKTYPE_ETHERNET, LINKTYPE_RAW
from capfix.wire.pcapng import SNAPLEN

if TYPE_CHECKING:
    from capfix.filters.instructions import Program
    from capfix.session.sources.following import LinkFollower

# How long a packet may wait in a ring block that is not full. A pipe has somebody watching behind it; a file is looked
# at later, and each wake-up costs.
STREAMING_RETIRE_MS: Final = 2
FILE_RETIRE_MS: Final = 100
MERGING_RETIRE_MS: Final = 50  # netfilter's packets wait for the tap's

LARGEST_DEFAULT_RING: Final = 64 << 20
SMALLEST_DEFAULT_RING: Final = 4 << 20

SHOWN_NAMES: Final = 3  # of files that are left alone

UNCOMPILED: Final = EventKind(
    "uncompiled", TROUBLE, "running uncompiled, hundreds of times slower: reinstall where a C compiler is"
)
SOURCE: Final = EventKind("source", DETAIL, "{description}")
FILTER: Final = EventKind("filter", DETAIL, "the filter in the kernel:\n{program}")
VLAN_MISREAD: Final = EventKind("vlan-misread", NOTICE, "the filter: {warning}")
USER_KEPT: Final = EventKind("user-kept", NOTICE, "{reason}")
USER_CHANGED: Final = EventKind("user-changed", DETAIL, "going on as the user {user}")
RECOVERED: Final = EventKind("file-recovered", NOTICE, "{outcome}")
NOT_RECOVERED: Final = EventKind("file-not-recovered", TROUBLE, "cannot recover {file}: {reason}")
RETENTION: Final = EventKind("retention", NOTICE, "{files} in {directory}: {rules}")
FILE_REMOVED: Final = EventKind("file-removed", DETAIL, "{outcome}")
FILES_UNTRUSTED: Final = EventKind(
    "files-untrusted",
    NOTICE,
    "leaving alone what looks like this output's and is another user's, no regular file or numbered far from all "
    "others: {files}",
)
FILE_CLOSED: Final = EventKind("file-closed", DETAIL, "{outcome}")
DIRECTORY_TROUBLE: Final = EventKind("directory-trouble", TROUBLE, "{trouble}")


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
    streaming = is_streaming(options.output)
    if streaming and options.rotation:
        raise UsageError(f"{options.output} is not a file: what goes through a pipe cannot be rotated")
    loop, known = Loop(), KnownLinks()
    follower = _follower(options, loop, known)  # before the links that are there are looked for
    present = {name: _present(name, options.wait) for name in options.interfaces}
    for link in (link for links in present.values() for link in links):
        known.remember(link)
    retire_timeout_ms = _retire_timeout_ms(options, streaming)
    tap, sources = make_sources(
        Demand(options, present, known, program, _buffer_size(options), retire_timeout_ms)
    )
    if not COMPILED:
        report.tell(UNCOMPILED())
    for source in sources:
        report.tell(SOURCE(description=source.description()))
    if not service.is_there or os.geteuid() == 0:  # else the unit states what is held, and holds to it
        _give_up_privileges(options, report)

    section = Section(
        LINK_TYPES[options.link].number, _remarks(options), options.snaplen, options.filter, options.comments
    )
    rules = OutputRules(
        options.file_limits, bool(options.rotation), options.stop_files, streaming, options.skip_empty
    )
    output = Output(loop, _target(options, report), SectionContent(section, sources), rules, report)
    # A ring block that began to fill retires at the second run of its timer at the latest
    retired_s = 2 * retire_timeout_ms / 1000 + 0.01
    retiring_s = max(retired_s, *(source.settling_s for source in sources))
    parts = Parts(
        loop,
        sources,
        Conversion(loop, sources, Order(sources, _is_merging(options)), output, streaming),
        output,
        _attachments(loop, tap, follower, output, report, Patience(options.wait, retiring_s)),
        Status(loop, sources, output, report, service),
    )
    reload = None if reread is None else Reload(reread, report)
    return Capture(options, parts, report, service, reload, retiring_s).run()


def _follower(options: RunOptions, loop: Loop, known: KnownLinks) -> "LinkFollower | None":
    """Return who follows links, where they are to be followed, or their names to be known."""
    scope = scope_of(options.interfaces)
    if scope is Scope.ONE and not options.wait:
        return None
    from capfix.session.sources.following import LinkFollower

    return LinkFollower(loop, known, ("*",) if scope is Scope.ALL else options.interfaces)


def _attachments(
    loop: Loop,
    tap: PacketSource | None,
    follower: "LinkFollower | None",
    output: Output,
    report: Report,
    patience: Patience,
) -> Attachments | None:
    """Return what keeps the packet source attached; netfilter's rules go by names, and keep themselves."""
    if tap is None:
        return None

    def write(blocks: list[bytes]) -> None:
        if output.append(blocks):
            output.flush_later()

    return Attachments(loop, tap, follower, write, report, patience)


def _retire_timeout_ms(options: RunOptions, streaming: bool) -> int:
    timeout_ms = STREAMING_RETIRE_MS if streaming else FILE_RETIRE_MS
    return min(timeout_ms, MERGING_RETIRE_MS) if _is_merging(options) else timeout_ms


def _is_merging(options: RunOptions) -> bool:
    """Return whether packets of several sources are put in order."""
    return options.source in ("both", "auto")


def _present(name: str, wait: bool) -> list[Link]:
    """Return the interfaces that are there of those called `name`, or matched by it; none for `any`.

    Raises:
        NoSuchInterfaceError: there is none, and none is waited for.
    """
    if name == ANY_NAME:
        return []
    try:
        names = [known for known in link_names() if is_match([known], name)] if is_pattern(name) else []
        return [read_link(find_ifindex(known)) for known in names or [name]]
    except NoSuchInterfaceError:
        if wait:
            return []
        if is_pattern(name):
            raise NoMatchingInterfaceError(name, sorted(link_names())) from None
        raise


def _buffer_size(options: RunOptions) -> int:
    """Return the bytes of the ring, or of what may wait in the socket of a log group."""
    return options.ring_size_mib << 20 if options.ring_size_mib else default_ring_size()


def default_ring_size() -> int:
    """Return the ring size in bytes for this machine: 64 MiB, less where memory is short."""
    return max(SMALLEST_DEFAULT_RING, min(LARGEST_DEFAULT_RING, _available_memory() // 32))


def _available_memory() -> int:
    """Return how many bytes of memory can be had; where /proc shows nothing but processes, half of all there are."""
    with contextlib.suppress(OSError), open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _target(options: RunOptions, report: Report) -> Target:
    """Return what is written to.

    Raises:
        SinkError: it cannot be written, or another capture holds it.
    """

    def closed(file: ClosedFile) -> None:
        report.tell(FILE_CLOSED(outcome=file.sentence()))

    if not options.rotation:
        return open_output(options.output, closed)
    from capfix.sink.directory import CaptureDirectory
    from capfix.sink.recovery import recover
    from capfix.sink.series import FileSeries

    directory = CaptureDirectory(options.output)
    if directory.untrusted:
        report.tell(FILES_UNTRUSTED(files=_some(directory.untrusted)))
    for part_name in directory.unfinished_names():
        try:
            report.tell(RECOVERED(outcome=recover(directory, part_name, closed=closed).sentence()))
        except OSError as exc:
            report.tell(NOT_RECOVERED(file=part_name, reason=os.strerror(exc.errno or 0).lower()))
    rules = options.retention.sentence()
    report.tell(RETENTION(files=directory.pattern, directory=str(directory.path), rules=rules))
    return FileSeries(
        directory,
        options.retention,
        tell=lambda outcome: report.tell(FILE_REMOVED(outcome=outcome)),
        warn=lambda trouble: report.tell(DIRECTORY_TROUBLE(trouble=trouble)),
        closed=closed,
    )


def _some(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(name if len(name) <= 80 else f"{name[:80]}..." for name in names[:SHOWN_NAMES]) + (
        f" and {more} more" if more > 0 else ""
    )


def _give_up_privileges(options: RunOptions, report: Report) -> None:
    """Keep no more than reading the open sockets and writing the output take, whoever started us."""
    plan = privilege_policy.plan(options.user, places_to_write(options.output))
    if plan.remark:
        report.tell(USER_KEPT(reason=plan.remark))
    if (
        plan.identity is not None
    ):  # the program's files need not be readable for the user: imports of later, now
        if options.rotation:
            from capfix.sink import recovery, series  # noqa: F401
        if scope_of(options.interfaces) is Scope.MATCHING:
            from capfix.filters import composition, fitting  # noqa: F401
        report.tell(USER_CHANGED(user=plan.identity.name))
    privileges.drop(plan.keep, plan.identity)


def _filter(options: RunOptions, report: Report) -> "Program | None":
    """Return the filter program that takes what is asked for, None where all is."""
    asked = (options.filter, options.mark, options.vlans, options.direction, options.snaplen)
    if asked == (None, None, None, "inout", SNAPLEN):
        return None
    from capfix.filters.instructions import program_text  # 12 ms that most captures need not wait
    from capfix.filters.misreadings import vlan_warning
    from capfix.filters.selection import Selection, selection_program
    from capfix.kernel.libpcap import compiler

    # Both directions are all that there is: the transcoder leaves out, and counts, the loopback interface's copies
    direction = None if options.direction == "inout" else options.direction
    selection = Selection(options.filter, options.mark, direction, options.snaplen, options.vlans)
    header_size = LINK_TYPES[options.link].header_size
    program = selection_program(selection, header_size, compiler(), with_headers=options.keep_headers)
    if options.filter is not None and (warning := vlan_warning(options.filter)):
        report.tell(VLAN_MISREAD(warning=warning))
    if program is not None:
        report.tell(FILTER(program=program_text(program)))
    return program


def _remarks(options: RunOptions) -> Iterator[str]:
    """Yield notes on everything in the file that capfix made up, for the descriptions of the interfaces."""
    if LINK_TYPES[options.link].number == LINKTYPE_RAW:
        yield "link-layer headers left out, VLAN tags with them"
    if LINK_TYPES[options.link].number == LINKTYPE_ETHERNET:
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
