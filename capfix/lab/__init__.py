"""The lab: networks made of nothing, in namespaces of their own, in which an interface misbehaves as a VPN's does.

    NetworkNamespace        a network stack apart from the system's, kept by an open descriptor
    HeaderlessVpn           in it, an interface whose inbound packets lack their Ethernet header
    bypass.BypassingTunnel  two of them, with an interface whose inner packets never meet a tap
    enter_user_namespace    the way to both for a process without privileges

`capfix demo` shows the fault and the cure in it, and the tests use the same. Nothing here outlives the process:
namespaces and devices are gone with the descriptors that hold them, also after SIGKILL. pyroute2 is imported when
the first interface is made, not before.
"""

from capfix.lab.namespace import NetworkNamespace, can_make_namespaces, enter_user_namespace
from capfix.lab.vpn import HeaderlessVpn

__all__ = ["HeaderlessVpn", "NetworkNamespace", "can_make_namespaces", "enter_user_namespace"]
