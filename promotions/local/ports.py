"""Free TCP ports on this machine."""

import socket


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on. Somebody may take it before it is used: whoever starts a server tries again."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def next_free_port(wanted: int, *, host: str = "127.0.0.1") -> int:
    """`wanted`, or the first free port after it."""
    return next((port for port in range(wanted, min(wanted + 1000, 65536)) if is_free(port, host=host)), free_port())
