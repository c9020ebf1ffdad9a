"""Who a capture runs as once its sockets are open, and what it keeps."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from capfix.errors import CaptureError, UsageError
from capfix.kernel.privileges import CAP_DAC_OVERRIDE, Identity, can_write, user_identity


class Plan(NamedTuple):
    """What a capture keeps: an identity to change to (None: the user stays), and capabilities.

    `remark` tells why the user stays although a change was wanted, and is empty otherwise.
    """

    identity: Identity | None
    keep: frozenset[int]
    remark: str


def sudo_identity(environment: Mapping[str, str] = os.environ) -> Identity | None:
    """Return the user who called sudo, None when root was not come by that way.

    The variables are believed only as root: nobody else could gain or lose anything by them. An id without an entry
    in the user database has its main group alone.
    """
    uid, gid = environment.get("SUDO_UID", ""), environment.get("SUDO_GID", "")
    if os.geteuid() != 0 or not uid.isdecimal() or not gid.isdecimal() or int(uid) == 0:
        return None
    try:
        return user_identity(uid)
    except UsageError:
        return Identity(uid, int(uid), int(gid), (int(gid),))


def plan(
    user: str | None, places: Sequence[str | os.PathLike[str]], environment: Mapping[str, str] = os.environ
) -> Plan:
    """Return what to keep for a capture that writes `places`: directories to make files in, and files.

    The user wanted is `user`, else who called sudo. Who called sudo is passed over, with a remark, where a place would
    not be writable by it; then the user stays, without capabilities; only root that could write in a place by no
    permission keeps CAP_DAC_OVERRIDE, as files yet to be made need it.

    Raises:
        UsageError: there is no such user, or nobody but root may change to it.
        CaptureError: `user` could not write a place.
    """
    wanted = user_identity(user) if user is not None else sudo_identity(environment)
    if wanted is not None and wanted.uid == os.geteuid():
        wanted = None
    if wanted is None:
        return Plan(None, _kept(places), "")
    if os.geteuid() != 0:
        raise UsageError(f"only root can capture as another user, {wanted.name}")
    barred = [place for place in places if not can_write(place, wanted)]
    if not barred:
        return Plan(wanted, frozenset(), "")
    if user is not None:
        raise CaptureError(
            f"cannot capture as the user {wanted.name}, who cannot write {barred[0]}; change its permissions, or leave "
            "--user out"
        )
    remark = f"not changing to the user {wanted.name}, who cannot write {barred[0]}"
    return Plan(None, _kept(places), remark)


def _kept(places: Sequence[str | os.PathLike[str]]) -> frozenset[int]:
    sufficient = all(can_write(place, None) for place in places)
    return frozenset() if sufficient else frozenset({CAP_DAC_OVERRIDE})
