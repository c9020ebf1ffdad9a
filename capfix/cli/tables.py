"""Tables on the terminal: rich's where somebody looks, the same words without colour where nobody does.

rich is imported when the first table is printed, not before.
"""

import io
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from capfix.runtime.report import printable

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_A_TERMINAL: Final = 200  # a pipe's reader looks for words, which must not be wrapped


def console() -> "Console":
    """Return a rich console on stdout. Not a terminal: no colour, no wrapping at 80 columns."""
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):  # a dash is not worth failing for in a locale without it
        sys.stdout.reconfigure(errors="replace")
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _WIDTH_WITHOUT_A_TERMINAL
    return made


def print_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` under `titles`; None is a dash."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else printable(str(cell))) for cell in row))
    console().print(table)


def print_json(value: Any) -> None:
    """Print one JSON document. Bytes of a name that are no UTF-8 come out as surrogate escapes, in ASCII."""
    print(json.dumps(value, indent=2))
