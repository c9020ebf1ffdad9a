"""Texts of option values, and what they mean."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from capfix.errors import UsageError
from capfix.options.dumpcap import Criterion, StopRules, rotate_rules
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules
from capfix.wire.numbers import HOOKS
from capfix.wire.pcapng import SNAPLEN

if TYPE_CHECKING:
    from capfix.filters.vlan_set import VlanSet


def parse_count(text: str) -> int:
    """Return a number of packets or MiB, at least 1.

    Raises:
        UsageError: it is not such a number.
    """
    if not re.fullmatch("[0-9]{1,18}", text) or int(text) < 1:
        raise UsageError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def least(*limits: int | None) -> int | None:
    """Return the smallest of those that are given; None if none is."""
    return min((limit for limit in limits if limit is not None), default=None)


def file_rules(
    criteria: Iterable[Criterion], rotation: RotationRules, retention: RetentionRules, stop: StopRules
) -> tuple[RotationRules, RetentionRules, StopRules]:
    """Return what ends a file, which files stay and what ends the capture.

    `criteria` are the values of -b, which add to `rotation` and `retention` as the other options gave them: of two
    limits the smaller holds. Where files are rotated, a size to stop at begins a new file instead.
    """
    also, ring = rotate_rules(criteria)
    rotation = RotationRules(
        size_bytes=least(rotation.size_bytes, also.size_bytes),
        packets=least(rotation.packets, also.packets),
        every_ns=least(rotation.every_ns, also.every_ns),
        duration_ns=also.duration_ns,
    )
    rotation, stop = stop.rotating(rotation)
    return rotation, retention._replace(run_files=ring.run_files), stop


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


def parse_vlans(text: str) -> "VlanSet":
    """Return the VLANs of a comma list of IDs, ranges of IDs and `none`, which is no tag: `5,7-9,none`.

    Raises:
        UsageError: it is not such a list.
    """
    from capfix.filters.vlan_set import LAST_VLAN_ID, VlanSet  # most captures have no such option

    ids: set[int] = set()
    parts = text.split(",")
    for part in parts:
        if part == "none":
            continue
        numbers = re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        first, last = (int(numbers[1]), int(numbers[2] or numbers[1])) if numbers else (1, 0)
        if not first <= last <= LAST_VLAN_ID:
            raise UsageError(
                f"{part!r} is not a VLAN; say IDs from 0 to {LAST_VLAN_ID}, ranges and none, as in 5,7-9,none"
            )
        ids.update(range(first, last + 1))
    return VlanSet(frozenset(ids), "none" in parts)


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
