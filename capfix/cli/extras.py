"""What to install where a module of somebody else's is missing."""

from typing import Final

_UNCOMPILED: Final = (
    "this capfix is not compiled and needs Cython to run; install it with `pip install 'capfix[pure]'`"
)
_DEMO: Final = "the demo needs pyroute2 and scapy; install them with `pip install 'capfix[demo]'`"

_TABLES: Final = "tables need rich; install it with `pip install rich`, or use --json"

_ADVICE: Final = {"cython": _UNCOMPILED, "pyroute2": _DEMO, "rich": _TABLES, "scapy": _DEMO}


def advice(missing: ModuleNotFoundError) -> str | None:
    """Return a sentence that says how to get the package that is missing; None where no extra brings it."""
    return _ADVICE.get((missing.name or "").partition(".")[0])
