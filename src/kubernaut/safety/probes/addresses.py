"""Which addresses an HTTP probe may ask: whoever writes a probe speaks with the controller's network.

Refused unless a setting allows it: loopback, link-local (where clouds hand out credentials: 169.254.169.254),
their IPv6 forms, and whatever is not a host at all. Private addresses are allowed: the services of a cluster have
such. The addresses that are judged are the very ones that are connected to, so a name that changes between the two
helps nobody.
"""

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        # IANA's special-purpose registries; metadata services of AWS (also fd00:ec2::254), Azure, Google, Alibaba.
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "fe80::/10",
        "fd00:ec2::254/128",
        "ff00::/8",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddress(OSError):
    """An address that may not be asked."""


class Fence:
    """The addresses that may be asked."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """`allowed`: networks (CIDR) or addresses. Raises ValueError for what is neither."""
        self._allowed = [ipaddress.ip_network(text, strict=False) for text in allowed]

    def refuse(self, text: str, host: str) -> None:
        """Raises RefusedAddress."""
        address = _plain(ipaddress.ip_address(text.partition("%")[0]))
        if any(address in network for network in self._allowed):
            return
        if any(address in network for network in _REFUSED):
            shown = host if host == text else f"{host} ({text})"
            raise RefusedAddress(f"{shown} is an address of this machine or of its cloud, and is not asked")

    def refuse_literal(self, host: str) -> None:
        """Of a host that is an address, which nobody resolves. Raises RefusedAddress."""
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
        self.refuse(host, host)


class FencedResolver(AbstractResolver):
    """Resolves names, and gives only addresses that may be asked."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises RefusedAddress if any of a name's addresses may not be asked, OSError for a name without one."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            self._fence.refuse(one["host"], host)
        return found

    async def close(self) -> None:
        await self._inner.close()


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
