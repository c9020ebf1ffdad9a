"""The gaps in which an interface was gone, to be noted with the first packet after each."""

import time
from typing import Final

REMEMBERED: Final = 1024  # names whose gap is noted when they come back; a pattern may match ever new names


class Gaps:
    """What to note of interfaces that were gone. Both memories are bounded; the oldest are forgotten."""

    def __init__(self) -> None:
        self._gone_since_ns: dict[str, int] = {}  # by name
        self._notes: dict[int, str] = {}  # by ifindex

    def begin(self, name: str, now_ns: int) -> None:
        """An interface has gone."""
        self._gone_since_ns.pop(name, None)  # the newest stand last
        self._gone_since_ns[name] = now_ns
        _forget_oldest(self._gone_since_ns)

    def end(self, name: str, ifindex: int, now_ns: int) -> bool:
        """One of that name is there; return whether it was gone before."""
        since_ns = self._gone_since_ns.pop(name, None)
        if since_ns is None:
            return False
        gone, back = in_words(since_ns), in_words(now_ns)
        self._notes.pop(ifindex, None)
        self._notes[ifindex] = f"{name} was gone from {gone} to {back} UTC; now it is ifindex {ifindex}"
        _forget_oldest(self._notes)
        return True

    def maybe_note(self, ifindex: int) -> str | None:
        """Return, once, what to note with the next packet of an interface."""
        return self._notes.pop(ifindex, None)


def _forget_oldest(memory: dict[str, int] | dict[int, str]) -> None:
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]  # type: ignore[arg-type]


def in_words(time_ns: int) -> str:
    """Return a time in words, UTC, to the millisecond."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return time.strftime(f"%Y-%m-%d %H:%M:%S.{rest_ns // 1_000_000:03}", time.gmtime(seconds))
