"""The rules that send packets to a log group, in an nftables table that lives as long as this process.

The table has the owner flag: only the socket that made it can change it, and the kernel takes it away when that
socket closes, however the process ends. It is named `capfix_GROUP` and of family inet, IPv4 and IPv6 alike.

Packets that come in are logged before the host's own rules can drop or change them, packets that go out after
those, so that both are what the wire has. A forwarded packet is logged once.

Source: linux/netfilter/nf_tables.h; nft(8) for the chains' priorities.
"""

import errno
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from capfix.errors import CaptureError, PrivilegeError
from capfix.kernel.netfilter import first_error, has_net_admin, open_socket, reason, request
from capfix.wire import netlink
from capfix.wire.netlink import encode_attribute, encode_be16, encode_be32, encode_nested, encode_string
from capfix.wire.numbers import HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT, HOOK_POSTROUTING, HOOK_PREROUTING

_FAMILY_INET: Final = 1
_SUBSYSTEM: Final = 10  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_NEW_TABLE: Final = _SUBSYSTEM << 8 | 0
_GET_TABLE: Final = _SUBSYSTEM << 8 | 1
_NEW_CHAIN: Final = _SUBSYSTEM << 8 | 3
_NEW_RULE: Final = _SUBSYSTEM << 8 | 6

_TABLE_OWNED: Final = 2  # NFT_TABLE_F_OWNER
_ACCEPT: Final = 1
_REGISTER_VERDICT: Final = 0
_REGISTER: Final = 1
_META_IIFNAME: Final = 6
_META_OIFNAME: Final = 7
_EQUAL: Final = 0
_NAME_SIZE: Final = 16  # IFNAMSIZ: what the kernel compares, zeros included

_LIST_ELEMENT: Final = 1

# Before defragmentation and connection tracking (-400), and before any rule that could drop or translate.
_FIRST: Final = -450
# After source address translation (100) and connection tracking helpers (300).
_LAST: Final = 350


class _Chain(NamedTuple):
    """One base chain: the hook it hangs on, where in the hook's order, and the side its packets are taken from."""

    name: str
    hook: int
    priority: int
    key: int


_CHAINS: Final = (
    _Chain("prerouting", HOOK_PREROUTING, _FIRST, _META_IIFNAME),
    _Chain("input", HOOK_INPUT, _FIRST, _META_IIFNAME),
    _Chain("forward_in", HOOK_FORWARD, _FIRST, _META_IIFNAME),
    _Chain("forward_out", HOOK_FORWARD, _LAST, _META_OIFNAME),
    _Chain("output", HOOK_OUTPUT, _LAST, _META_OIFNAME),
    _Chain("postrouting", HOOK_POSTROUTING, _LAST, _META_OIFNAME),
)


class NflogRules:
    """Rules that log the packets of some interfaces at some hooks to a group, until `close`."""

    def __init__(self, group: int, hooks: Sequence[int], interfaces: Sequence[str] | None) -> None:
        """Make the table `capfix_GROUP`, or nothing at all.

        `hooks` are HOOK_ numbers. `interfaces` are names, which need not exist yet; None is any interface. With
        names a forwarded packet is taken where it comes in by one of them, else where it goes out by one; on any
        where it comes in.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
            CaptureError: the table exists already, or the kernel lacks what the rules need.
        """
        self.table = f"capfix_{group}"
        self._sequence = 0
        self._socket = open_socket()
        try:
            error = first_error(request(self._socket, self._batch(group, hooks, interfaces)))
            if error:
                raise self._refusal(error)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the table; the kernel does it when its owner's socket closes."""
        self._socket.close()

    def _batch(self, group: int, hooks: Sequence[int], interfaces: Sequence[str] | None) -> list[bytes]:
        chains = [chain for chain in _CHAINS if chain.hook in hooks]
        if interfaces is None:
            chains = [chain for chain in chains if chain.name != "forward_out"]
        messages = [self._message(_BATCH_BEGIN, 0, b"", resource=_SUBSYSTEM, family=0)]
        messages.append(self._new(_NEW_TABLE, encode_string(1, self.table) + encode_be32(2, _TABLE_OWNED)))
        for chain in chains:
            messages.append(self._new(_NEW_CHAIN, _chain(self.table, chain)))
            messages.extend(
                self._new(_NEW_RULE, encode_string(1, self.table) + encode_string(2, chain.name) + rule)
                for rule in _rules(chain, group, interfaces)
            )
        messages.append(self._message(_BATCH_END, 0, b"", resource=_SUBSYSTEM, family=0))
        return messages

    def _new(self, kind: int, attributes: bytes) -> bytes:
        flags = netlink.NLM_F_ACK | netlink.NLM_F_CREATE
        # Rules follow each other in the order they are given; tables and chains must be ours.
        flags |= netlink.NLM_F_APPEND if kind == _NEW_RULE else netlink.NLM_F_EXCL
        return self._message(kind, flags, attributes)

    def _message(
        self, kind: int, flags: int, attributes: bytes, resource: int = 0, family: int = _FAMILY_INET
    ) -> bytes:
        self._sequence += 1
        payload = netlink.encode_netfilter_header(family, resource) + attributes
        return netlink.encode_message(kind, flags | netlink.NLM_F_REQUEST, self._sequence, payload)

    def _refusal(self, error: int) -> CaptureError:
        if error == errno.EPERM and not self._exists():
            return PrivilegeError("make nftables rules", "CAP_NET_ADMIN")
        if error in (errno.EPERM, errno.EEXIST):
            return CaptureError(
                f"cannot make nftables rules: a table inet {self.table} is there already and not ours; choose another "
                f"group by --nflog-group, or see `nft list table inet {self.table}`"
            )
        if error in (errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL):
            return CaptureError(
                f"cannot make nftables rules: {reason(error)}; the kernel may lack nf_tables or nfnetlink_log"
            )
        return CaptureError(f"cannot make nftables rules: {reason(error)}")

    def _exists(self) -> bool:
        """Return whether a table of our name exists; without the capability the kernel does not even tell."""
        asked = self._message(_GET_TABLE, netlink.NLM_F_ACK, encode_string(1, self.table))
        return has_net_admin() and first_error(request(self._socket, [asked])) == 0


def _chain(table: str, chain: _Chain) -> bytes:
    hook = encode_nested(4, encode_be32(1, chain.hook), encode_be32(2, chain.priority & 0xFFFFFFFF))
    names = encode_string(1, table) + encode_string(3, chain.name)
    return names + hook + encode_be32(5, _ACCEPT) + encode_string(7, "filter")


def _rules(chain: _Chain, group: int, interfaces: Sequence[str] | None) -> list[bytes]:
    """Return the expression lists of one chain's rules.

    What a rule has logged or passed over is accepted, which ends this chain alone: no packet meets two rules.
    """
    log = _expression("log", encode_be16(1, group))
    if interfaces is None:
        return [encode_nested(4, log)]
    rules = []
    if chain.name == "forward_out":
        rules += [encode_nested(4, *_match(_META_IIFNAME, name), _accept()) for name in interfaces]
    rules += [encode_nested(4, *_match(chain.key, name), log, _accept()) for name in interfaces]
    return rules


def _match(key: int, name: str) -> tuple[bytes, bytes]:
    """Return the expressions that let packets of one interface name pass on."""
    value = encode_attribute(1, os.fsencode(name).ljust(_NAME_SIZE, b"\0"))
    return (
        _expression("meta", encode_be32(1, _REGISTER), encode_be32(2, key)),
        _expression("cmp", encode_be32(1, _REGISTER), encode_be32(2, _EQUAL), encode_nested(3, value)),
    )


def _accept() -> bytes:
    verdict = encode_nested(2, encode_nested(2, encode_be32(1, _ACCEPT)))
    return _expression("immediate", encode_be32(1, _REGISTER_VERDICT), verdict)


def _expression(name: str, *attributes: bytes) -> bytes:
    return encode_nested(_LIST_ELEMENT, encode_string(1, name), encode_nested(2, *attributes))
