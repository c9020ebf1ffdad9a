"""From the words of the command line to what they mean."""

import re

from capfix.errors import UsageError
from capfix.wire.nflog import HOOKS
from capfix.wire.pcapng import SNAPLEN


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


def parse_snaplen(text: str) -> int:
    """Return a snapshot length in bytes; 0 stands for the largest.

    Raises:
        UsageError: it is not such a number.
    """
    if not re.fullmatch("[0-9]{1,18}", text) or int(text) > SNAPLEN:
        raise UsageError(f"{text!r} is not a number of bytes from 0 to {SNAPLEN}")
    return int(text) or SNAPLEN


def parse_mark(text: str) -> tuple[int, int]:
    """Return value and mask of `VALUE[/MASK]`, 32-bit numbers, decimal or hexadecimal with 0x; no mask is all ones.

    Raises:
        UsageError: it is not of that form, or no packet can have such a mark.
    """
    value, slash, mask = text.partition("/")
    try:
        mark = _mark_number(value), _mark_number(mask) if slash else 0xFFFFFFFF
    except ValueError as exc:
        raise UsageError(
            f"{text!r} is not a mark; say VALUE or VALUE/MASK, as in 1007 or 0x100/0xff00"
        ) from exc
    if mark[0] & ~mark[1]:
        raise UsageError(f"no packet has the mark {text}: the value has bits that the mask leaves out")
    return mark


def _mark_number(text: str) -> int:
    if not re.fullmatch("0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", text):
        raise ValueError(text)
    number = int(text, 16 if text[:2] in ("0x", "0X") else 10)
    if number > 0xFFFFFFFF:
        raise ValueError(text)
    return number


def parse_group(text: str) -> int:
    """Return a netfilter log group, 0 to 65535.

    Raises:
        UsageError: it is not such a number.
    """
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise UsageError(f"{text!r} is not a log group, a number from 0 to 65535")
    return int(text)


def parse_hooks(text: str) -> tuple[int, ...]:
    """Return the netfilter hooks of a comma list of their names, as HOOK_ numbers.

    Raises:
        UsageError: one of them is not a hook's name.
    """
    names = text.split(",")
    for name in names:
        if name not in HOOKS:
            raise UsageError(f"{name!r} is not a netfilter hook; choose from {', '.join(HOOKS)}")
    return tuple(HOOKS[name] for name in dict.fromkeys(names))
