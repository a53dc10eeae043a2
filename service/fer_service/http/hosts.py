"""Hosts in Host and Origin headers (RFC 9110, section 7.2; RFC 6454)."""

import re
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

FORWARDED_FOR: Final = b"x-forwarded-for"
_MAPPED_BITS: Final = 96  # of an IPv6 address before the IPv4 address in it
_AUTHORITY: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s\x00-\x1f\x7f/?#@:,\[\]\\]+)(?::([0-9]{0,5}))?")
_ORIGIN: Final = re.compile(r"(https?)://(.+)", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65535
_PORT: Final = re.compile(r"[0-9]{1,5}")


class Authority(NamedTuple):
    """A host and its port.

    Attributes:
        name: In lower case; an IPv6 address has brackets.
        port: Port, or None.
    """

    name: str
    port: int | None


def parse_authority(text: str, default_port: int | None = None) -> Authority | None:
    """Return the host and the port of a Host header, or None if it is invalid.

    Args:
        text: Value of the header.
        default_port: Port if the text names none.
    """
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    port = int(found[2]) if found[2] else default_port
    return None if port is not None and port > _MAX_PORT else Authority(found[1].lower(), port)


def is_same_origin(
    origin: str, hosts: Collection[str], schemes: Collection[str] = (), ports: Collection[str] = ()
) -> bool:
    """Return True if a page of this origin comes from one of the hosts.

    Args:
        origin: Value of the Origin header.
        hosts: Values of Host headers.
        schemes: Schemes that proxies forward: one of them must be that of the page. If there are none, the scheme
            is unknown, because a proxy that ends TLS may not forward it; it only decides the default port.
        ports: Ports that proxies forward, for hosts without a port. 80 and 443 stand for the default of the
            scheme: a proxy behind another one that ends TLS forwards 80.
    """
    found = _ORIGIN.fullmatch(origin)
    if found is None:  # "null", or a page that no web server sent
        return False
    scheme = found[1].lower()
    if schemes and scheme not in schemes:
        return False
    default = _PORTS[scheme]
    page = parse_authority(found[2], default)
    numbers = {int(port) for port in ports if _PORT.fullmatch(port)}
    defaults = {default if number in _PORTS.values() else number for number in numbers} or {default}
    return page is not None and any(parse_authority(host, each) == page for host in hosts for each in defaults)


def is_allowed(name: str, patterns: Collection[str]) -> bool:
    """Return True if the name of an `Authority` is in a list of hosts.

    Args:
        name: Name of the authority; a trailing dot, which marks a complete name, is ignored.
        patterns: Names in lower case, addresses without brackets, `*.example.org` for all names below
            example.org, or `*` for all.
    """
    name = name.removesuffix(".").strip("[]")
    below = [name[at:] for at, character in enumerate(name) if character == "." and at]
    return not {"*", name, *(f"*{end}" for end in below)}.isdisjoint(patterns)


def is_address(name: str) -> bool:
    """Return True if the name of an `Authority` is this machine or an IP address: no name of another site."""
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return name == "localhost"
    return True


class TrustedProxies:
    """Reverse proxies whose headers about their clients are believed."""

    def __init__(self, proxies: Iterable[str]) -> None:
        """Remember the proxies.

        Args:
            proxies: Addresses and networks.

        Raises:
            ValueError: one of them is neither.
        """
        networks = [ip_network(proxy) for proxy in proxies]
        self._networks = [_unmapped_network(each) if isinstance(each, IPv6Network) else each for each in networks]

    def __contains__(self, address: str) -> bool:
        """Return True if an address is that of such a proxy."""
        try:
            parsed = ip_address(address) if self._networks else None
        except ValueError:
            return False
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_address(self, address: str, forwarded: Sequence[bytes]) -> str:
        """Return the address of a client: of those that its connection passed, the last one that is no proxy.

        Args:
            address: Address of the connection.
            forwarded: Entries of X-Forwarded-For; each proxy adds the address of its own client at the end.
        """
        address = _unmapped(address)
        hops = self.hops(forwarded) if address in self else 0
        return _forwarded_address(forwarded[-min(hops, len(forwarded))]) if hops and forwarded else address

    def hops(self, forwarded: Sequence[bytes]) -> int:
        """Return how many proxies a request passed that comes from one of them, by the end of X-Forwarded-For."""
        hops = 1
        for entry in reversed(forwarded):
            if _forwarded_address(entry) not in self:
                break
            hops += 1
        return hops


def _forwarded_address(entry: bytes) -> str:
    """Return the address in an entry of X-Forwarded-For, which may have a port."""
    text = entry.decode("latin-1")
    found = parse_authority(text)
    return _unmapped(found.name.strip("[]") if found else text)


def _unmapped(address: str) -> str:
    """Return the IPv4 address of a client on an IPv6 socket (RFC 4291, section 2.5.5.2); any other as it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped) if parsed.version == 6 and parsed.ipv4_mapped else address


def _unmapped_network(network: IPv6Network) -> IPv4Network | IPv6Network:
    first = network.network_address.ipv4_mapped
    return IPv4Network((int(first), network.prefixlen - _MAPPED_BITS)) if first else network


def entries_of(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    """Return the entries of a header that each proxy may extend.

    Args:
        headers: Headers with names in lower case.
        wanted: Name of the header.
    """
    values = [value for name, value in headers if name == wanted]
    return [entry.strip() for value in values for entry in value.split(b",") if entry.strip()]


def client_of(address: str) -> str:
    """Return whom an address belongs to, for limits per client.

    A site has at least 2⁶⁴ IPv6 addresses (RFC 6177, section 2), so there the network counts, such as
    2001:db8:1:2::/64.

    Args:
        address: Address of a connection; text that is not an address is returned as it is.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or IPv6Network((int(parsed), 64), strict=False))
