"""Forms of a setting's value that name a place in the network: URLs, hosts, listeners. Pure."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from promotions.conf.addresses import parse_postgis_url, parse_redis_url
from promotions.conf.forms import Whole, split_list


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """The address of a service, with scheme and host; or none."""

    allowed: str = "an absolute address such as `https://shop.example`"

    def parse(self, text: str) -> str:
        if not text.strip():
            return ""
        parts = _split_http(text.strip())
        if parts.query or parts.fragment:
            raise ValueError("it has a query or a fragment")
        return text.strip()


@dataclass(frozen=True, slots=True)
class SentryDsn:
    """The address for error reports, or empty. It contains a key."""

    allowed: str = "an address such as `https://key@sentry.example/1`, as Sentry shows it; empty: none"

    def parse(self, text: str) -> str:
        dsn = text.strip()
        if dsn and not re.fullmatch(r"https?://\w+(:\w+)?@[^\s/@?#]+(/[^\s?#]*)?/[0-9]+", dsn):
            raise ValueError
        return dsn


@dataclass(frozen=True, slots=True)
class TileUrl:
    """The template of a map tile's address; or none."""

    allowed: str = (
        "an address with `{z}`, `{x}` and `{y}` such as `https://tiles.example/{z}/{x}/{y}.png`, or a path of this "
        "host that begins with `/`; empty: none"
    )

    def parse(self, text: str) -> str:
        template = text.strip()
        if not template:
            return ""
        if not template.startswith("/") or template.startswith("//"):
            _split_http(template.replace("{s}", "s"))
        missing = [name for name in ("{z}", "{x}", "{y}") if name not in template]
        if missing:
            raise ValueError(f"{', '.join(missing)} is missing")
        if unknown := set(re.findall(r"\{[^}]*\}", template)) - {"{z}", "{x}", "{y}", "{s}", "{r}"}:
            raise ValueError(f"{min(unknown)} has no meaning")
        return template


@dataclass(frozen=True, slots=True)
class Listener:
    """An address and a port to listen at; empty: none."""

    allowed: str = "an IP address and a port from 1 to 65535, as in `127.0.0.1:9100` or `[::1]:9100`, or empty"

    def parse(self, text: str) -> tuple[()] | tuple[str, int]:
        """Return the address without brackets, and the port."""
        if not text.strip():
            return ()
        host, _, port = text.strip().rpartition(":")
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            return str(ip_address(host)), Whole(1, 65_535).parse(port)
        except ValueError:
            raise ValueError from None


@dataclass(frozen=True, slots=True)
class Hosts:
    """Host names without scheme and port."""

    allowed: str = (
        "host names or addresses separated by commas, without scheme and port; `.shop.example`: also subdomains"
    )

    def parse(self, text: str) -> list[str]:
        hosts = split_list(text)
        for host in hosts:
            if host != "*" and not is_host(host.removeprefix(".")):
                raise ValueError(f"{host!r} is no host name")
        return hosts


@dataclass(frozen=True, slots=True)
class Origins:
    """Schemes and hosts, without a path."""

    allowed: str = "origins such as `https://shop.example` separated by commas; empty: none"

    def parse(self, text: str) -> list[str]:
        origins = split_list(text)
        for origin in origins:
            parts = _split_http(origin.replace("://*.", "://", 1))
            if parts.path or parts.query or parts.fragment:
                raise ValueError(f"{origin!r} is more than scheme, host and port")
        return origins


@dataclass(frozen=True, slots=True)
class PostgisUrl:
    """The address of a database."""

    allowed: str = "an address such as `postgis://user:password@host:5432/name`"

    def parse(self, text: str) -> str:
        if text:
            parse_postgis_url(text)
        return text


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The address of a Redis, with `may_be_cluster` also of a cluster."""

    may_be_cluster: bool = False

    @property
    def allowed(self) -> str:
        cluster = ", or `redis+cluster://host:6379` for a cluster; empty: none" if self.may_be_cluster else ""
        return f"an address such as `redis://:password@host:6379/0`, with TLS `rediss://`{cluster}"

    def parse(self, text: str) -> str:
        if text:
            parse_redis_url(text, may_be_cluster=self.may_be_cluster)
        return text


def is_host(text: str) -> bool:
    """Return whether the text is a DNS name, an IPv4 address or an IPv6 address in brackets."""
    if text.startswith("["):
        return text.endswith("]") and _is_address(IPv6Address, text[1:-1])
    if re.fullmatch(r"[0-9.]+", text):
        return _is_address(IPv4Address, text)
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", label) for label in labels)


def _is_address(kind: type[IPv4Address] | type[IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _split_http(text: str) -> SplitResult:
    """Scheme http or https, a host, perhaps a port and a path. Errors: ValueError."""
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise ValueError("it contains a space or a control character")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("it does not begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if not is_host(host):
        raise ValueError("its host is no host name")
    if parts.port == 0:
        raise ValueError("port 0 is no port")
    return parts
