"""From the words of the command line to what they mean."""

import re

from capfix.errors import UsageError


def parse_count(text: str) -> int:
    """Return a number of packets or MiB, at least 1.

    Raises:
        UsageError: it is not such a number.
    """
    if not re.fullmatch("[0-9]{1,18}", text) or int(text) < 1:
        raise UsageError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def parse_stop(text: str) -> float:
    """Return the seconds of `duration:SECONDS`, dumpcap's grammar for when to stop.

    Raises:
        UsageError: it is not of that form.
    """
    match = re.fullmatch(r"duration:([0-9]{1,9}(?:\.[0-9]{1,9})?)", text)
    if not match or float(match[1]) <= 0:
        raise UsageError(f"cannot stop at {text!r}; say duration:SECONDS, as in duration:60")
    return float(match[1])
