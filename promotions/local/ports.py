"""Free TCP ports on this machine, and the addresses a server listens at."""

import ipaddress
import socket

EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(host: str) -> str:
    """Return an address at which this machine reaches a server that listens at the host."""
    return EVERY_ADDRESS.get(host, host)


def url_of(host: str, port: int) -> str:
    """Return the URL at which this machine reaches the server."""
    address = address_of(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port on which no process listens. Another process may take it before it is used: the caller then retries."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def next_free_port(preferred: int, *, host: str = "127.0.0.1") -> int:
    """`preferred`, or the first free port after it."""
    return next(
        (port for port in range(preferred, min(preferred + 1000, 65536)) if is_free(port, host=host)), free_port()
    )
