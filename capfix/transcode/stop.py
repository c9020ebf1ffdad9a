"""Why a transcoder stopped, and the limit that never stops it."""

from enum import IntEnum
from typing import Final


class Stop(IntEnum):
    """Why a transcoder stopped."""

    DONE = 0  # the ring block is finished and can be given back
    UNKNOWN_INTERFACE = 1  # `unknown_ifindex` has no interface block yet
    OUTPUT_FULL = 2  # the next packet might not fit the output buffer
    LIMIT_REACHED = 3  # as many packets are written as were asked for
    LATER = 4  # the next packet, of `waiting_ns`, is not before `until_ns`


NO_LIMIT: Final = (1 << 62) - 1  # more packets than there can be, and later than any time
