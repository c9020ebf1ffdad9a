"""What libpcap makes of an interface: the link type it captures with, by hardware type and name.

Source: libpcap 1.10, pcap-linux.c, map_arphrd_to_dlt and setup_socket.
"""

from typing import Final

COOKED: Final = "cooked (SLL)"
_ETHERNET: Final = 1
_COOKED_NAMES: Final = ("isdn", "isdY")
_RAW_NAMES: Final = ("cdma_rmnet",)

_BY_HARDWARE_TYPE: Final = {
    _ETHERNET: "Ethernet",
    772: "Ethernet",  # loopback
    23: "Ethernet",  # Metricom
    65534: "raw IP",
    768: "raw IP",
    776: "raw IP",
    256: "raw IP",
    257: "raw IP",
    258: "raw IP",
    259: "raw IP",
    264: "raw IP",
    518: "raw IP",
    15: "raw IP",
    513: "Cisco HDLC",
    770: "Frame Relay",
    773: "LocalTalk",
    774: "FDDI",
    280: "CAN",
    801: "802.11",
    802: "802.11 with Prism header",
    803: "802.11 with radiotap",
    783: "IrDA",
    8445: "LAPD",
    824: "netlink",
    826: "vsock",
    804: "802.15.4",
}


def libpcap_link_type(hardware_type: int, name: str) -> str:
    """Return in words the link type libpcap gives an interface; COOKED also where it falls back to that."""
    if hardware_type == _ETHERNET and name.startswith(_COOKED_NAMES):
        return COOKED
    if hardware_type == _ETHERNET and name.startswith(_RAW_NAMES):
        return "raw IP"
    return _BY_HARDWARE_TYPE.get(hardware_type, COOKED)
