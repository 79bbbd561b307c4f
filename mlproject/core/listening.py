"""The address that a page is served at: IPv4, IPv6 or a name."""

import socket

from mlproject.core.errors import UserError

LOCAL = ("localhost", "127.0.0.1", "[::1]")  # under which a browser on this machine reaches it


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; of a name that has both, at its IPv4 address.

    So a port in use is reported before anything heavy is imported, and whoever is told the address may
    connect at once.

    Args:
        port: 0 for a free one.

    Raises:
        UserError: the address cannot be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except (OSError, OverflowError) as error:
        place = f"{bracketed(host)}:{port}"
        raise UserError(f"{place} cannot be used ({error}). Choose another --port or --host.") from None
    return listener
