"""The error tree.

    CapfixError
        UsageError              the command line or the configuration asks for something that cannot be
            ContradictionError  options that cannot be together
        FormatError             the input is wrong: bytes that do not follow their format
            TruncatedError      the input ends before a structure does
        EncodeError             we were asked to write what the format cannot hold
        CaptureError            the kernel refused, or took something away
            NoSuchInterfaceError
                NoMatchingInterfaceError
            FilterTooLargeError     the kernel has no room for a filter; user space can run it
            PrivilegeError      a capability is missing
        SinkError               the output failed
            ReaderGoneError     nobody reads the pipe any more

Errors carry values; the sentence a person reads is made from them here. `exit_status` is what the program
ends with when the error reaches the command line: 1 trouble, 2 wrong usage.
"""

from typing import NamedTuple


class CapfixError(Exception):
    """Whatever capfix has to say to its user, in one sentence."""

    exit_status = 1


class UsageError(CapfixError):
    """The request itself is wrong; nothing was tried."""

    exit_status = 2


class Contradiction(NamedTuple):
    """Options that cannot be together, by their long names without dashes, and a sentence that says why."""

    options: tuple[str, ...]
    text: str


class ContradictionError(UsageError):
    """Options that are sound one by one and cannot be together: all such cases."""

    def __init__(self, problems: list[Contradiction]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; and ".join(problem.text for problem in self.problems)


class FormatError(CapfixError):
    """Bytes that do not follow their format.

    `structure` and `field` name the place in the words of the format's specification, `offset` is in bytes from
    the start of the input.
    """

    def __init__(self, structure: str, field: str, found: object, expected: object, offset: int = 0) -> None:
        super().__init__(structure, field, found, expected, offset)
        self.structure = structure
        self.field = field
        self.found = found
        self.expected = expected
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.structure} at offset {self.offset}: {self.field} is {self.found}, expected {self.expected}"


class TruncatedError(FormatError):
    """The input ends before the structure does. `found` and `expected` are numbers of bytes."""

    def __init__(self, structure: str, found: int, expected: int, offset: int = 0) -> None:
        FormatError.__init__(self, structure, "length", found, expected, offset)

    def __str__(self) -> str:
        return f"offset {self.offset}: {self.structure} needs {self.expected} bytes, {self.found} left"


class EncodeError(CapfixError):
    """A value that the format has no room for."""


class CaptureError(CapfixError):
    """The kernel refused what the capture needs, or took it away."""


class NoSuchInterfaceError(CaptureError):
    """There is no interface of that name. `known` are the names that exist."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"no interface named {self.name}; there are: {', '.join(self.known) or 'none'}, and any"


class NoMatchingInterfaceError(NoSuchInterfaceError):
    """No interface matches a pattern, which is `name`."""

    def __str__(self) -> str:
        return f"{super().__str__()}; add --wait to wait for one that matches"


class FilterTooLargeError(CaptureError):
    """The kernel has no room for a filter of `count` instructions. `limit` says what sets the limit."""

    def __init__(self, count: int, limit: str) -> None:
        super().__init__(count, limit)
        self.count = count
        self.limit = limit

    def __str__(self) -> str:
        return f"the kernel has no room for a filter of {self.count} instructions; {self.limit}"


class PrivilegeError(CaptureError):
    """A capability is missing. `capability` is its name in capabilities(7)."""

    def __init__(self, what: str, capability: str) -> None:
        super().__init__(what, capability)
        self.what = what
        self.capability = capability

    def __str__(self) -> str:
        return (
            f"cannot {self.what}: operation not permitted; {self.capability} is missing: run it with sudo, "
            f"or from a systemd service with AmbientCapabilities={self.capability}"
        )


class SinkError(CapfixError):
    """The output could not be opened, written or finished.

    `written` is how many bytes of what was to be written arrived, `errno` the system's number where it gave one.
    """

    def __init__(self, message: str, written: int = 0, errno: int | None = None) -> None:
        super().__init__(message)
        self.written = written
        self.errno = errno

    @classmethod
    def from_os(cls, what: str, error: OSError, written: int = 0) -> "SinkError":
        """Return the error for what the system refused, in one sentence."""
        return cls(f"{what}: {(error.strerror or str(error)).lower()}", written, error.errno)


class ReaderGoneError(SinkError):
    """Nobody reads the pipe any more. For a capture that is a reason to end, not a trouble."""

    exit_status = 0
