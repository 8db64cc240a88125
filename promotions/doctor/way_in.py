"""Checks of the route from a client through the proxies to the web process: by its settings, and by a request."""

import json
import secrets
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection as PlainConnection
from http.client import HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from promotions.doctor.context import Context
from promotions.http.probe import HEADER, sign_probe
from promotions.logic.diagnosis import Arrival, ProxyFacts, ProxyTrial, Row, evaluate_proxy, evaluate_trial, fault

_WITHIN_S = 4.0
# A path that proxies forward. The probe is answered before the page.
_PATH = "/staff/"
# An address of a network for documentation, so no client has it.
_FORGED_ADDRESS = "192.0.2.77"


class _NoArrival(Exception):
    """A probe did not arrive; the message contains the reason and the remedy."""


def check_settings(context: Context) -> Iterator[Row]:
    """Check that PUBLIC_BASE_URL, ALLOWED_HOSTS and TRUSTED_PROXIES fit together."""
    skipped = list(context.explain_skip("PUBLIC_BASE_URL", "ALLOWED_HOSTS", "TRUSTED_PROXIES"))
    if skipped:
        yield from skipped
        return
    parts = urlsplit(settings.PUBLIC_BASE_URL)
    host = _bracket(parts.hostname or "")
    yield from evaluate_proxy(
        ProxyFacts(
            is_debug=settings.DEBUG,
            trusted_proxies=settings.TRUSTED_PROXIES,
            scheme=parts.scheme,
            host=host,
            is_host_allowed=validate_host(host, settings.ALLOWED_HOSTS),
        )
    )


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def check_trial(context: Context) -> Iterator[Row]:
    """Send two signed probes to `--url` and check how they arrive. Without `--url`, check nothing."""
    if not context.url:
        return
    parts = urlsplit(context.url)
    is_https = parts.scheme == "https"
    forged = {"X-Forwarded-For": _FORGED_ADDRESS, "X-Forwarded-Proto": "http" if is_https else "https"}
    try:
        trial = ProxyTrial(
            host=parts.netloc,
            is_https=is_https,
            trusted_proxies=settings.TRUSTED_PROXIES,
            forged_address=_FORGED_ADDRESS,
            plain=_send(context.url, {}),
            forged=_send(context.url, forged),
        )
    except _NoArrival as error:
        yield fault(f"{context.url}: {error}")
        return
    yield from evaluate_trial(trial)


def _send(url: str, headers: Mapping[str, str]) -> Arrival:
    """Send one probe. Errors: _NoArrival."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else PlainConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_WITHIN_S)
    try:
        connection.request(
            "GET", parts.path.rstrip("/") + _PATH, headers={HEADER: sign_probe(secrets.token_hex(8)), **headers}
        )
        answer = connection.getresponse()
        text = answer.read(10_000)
    except ssl.SSLError as error:
        raise _NoArrival(
            f"no TLS ({error.reason or error}). Give the proxy a certificate for this name; name a private authority's "
            "file by SSL_CERT_FILE."
        ) from error
    except (OSError, HTTPException) as error:
        raise _NoArrival(f"no answer ({error or type(error).__name__}). Is the proxy running?") from error
    finally:
        connection.close()
    try:
        seen: Any = json.loads(text)
        return Arrival(
            host=str(seen["host"]),
            is_secure=bool(seen["is_secure"]),
            address=str(seen["address"]),
            forwarded_for=[str(entry) for entry in seen["forwarded_for"]],
        )
    except (ValueError, KeyError, TypeError) as error:
        where = f" to {answer.headers['Location']}" if answer.headers["Location"] else ""
        raise _NoArrival(
            f"the answer ({answer.status}{where}) is not that of a web process with this SECRET_KEY. Correct the "
            "address, or run the doctor with the settings of the service."
        ) from error
