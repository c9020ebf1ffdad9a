"""Reading the configuration again while a capture runs."""

from collections.abc import Callable
from typing import Final

from capfix.errors import CapfixError
from capfix.options.run import RunOptions
from capfix.options.table import CHANGEABLE, option_name
from capfix.runtime.events import NOTICE, TROUBLE, EventKind
from capfix.runtime.report import Report

KEPT: Final = EventKind("configuration-kept", TROUBLE, "the configuration stays as it was: {reason}")
READ: Final = EventKind("configuration-read", NOTICE, "read the configuration again; changed: {changed}")
NOT_CHANGEABLE: Final = EventKind(
    "configuration-needs-restart", NOTICE, "cannot change while running: {options}; restart for that"
)


class Reload:
    """Makes of a changed configuration what can be made of it while running, and tells of the rest.

    Whatever is wrong with the configuration, it then stays as it was: a capture does not end for that.
    """

    def __init__(self, reread: Callable[[], RunOptions], report: Report) -> None:
        """`reread` returns the options as the configuration file has them now."""
        self._reread = reread
        self._report = report

    def read(self, options: RunOptions) -> RunOptions:
        """Return `options` with what the configuration says by now, as far as that can change."""
        try:
            wanted = self._reread()
        except CapfixError as exc:
            self._report.tell(KEPT(reason=str(exc)))
            return options
        except (OSError, ValueError, RecursionError) as exc:  # no file can be so wrong that it ends a capture
            self._report.tell(KEPT(reason=str(exc) or type(exc).__name__))
            return options
        differences = options.differences(wanted)
        taken = differences & CHANGEABLE
        if not options.rotation:
            taken -= {"retention"}  # there is one file
        self._report.tell(READ(changed=_names(taken) or "nothing"))
        if differences - taken:
            self._report.tell(NOT_CHANGEABLE(options=_names(differences - taken)))
        return options._replace(**{name: getattr(wanted, name) for name in taken})


def _names(fields: set[str]) -> str:
    return ", ".join(sorted(map(option_name, fields)))
