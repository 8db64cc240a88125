"""Errors as Sentry events. What an event holds is listed here; everything else is left out before it is sent.

Messages of exceptions are left out too: a database error quotes the row, a parser the text it could not read.
"""

import logging
import re
from typing import TYPE_CHECKING, Any

import structlog

from promotions.version import VERSION

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

# Their messages are fixed texts; those of libraries may hold values.
_OWN_LOGGERS = frozenset({"promotions", "geofence", "notifications"})

_KEPT = ("event_id", "timestamp", "level", "logger", "platform", "release", "environment", "server_name", "sdk")
_KEPT_OF_FRAME = (
    *("filename", "function", "module", "lineno", "in_app"),
    *("pre_context", "context_line", "post_context"),  # source lines, not values
)

# Ids that we made. A caller may send any other text as `X-Request-Id`.
_OUR_REQUEST_ID = re.compile(r"[0-9a-f]{32}")

_is_started = False


def start(dsn: str, process: str) -> None:
    """Send every log line of level ERROR that `reduce_event` passes; uncaught exceptions are logged too."""
    global _is_started

    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn,
        release=f"doorstep@{VERSION}",
        before_send=reduce_event,
        # The integrations of Django and Celery would collect requests and arguments. Both log what fails, and so do we.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR, sentry_logs_level=None),
            DedupeIntegration(),
            AtexitIntegration(callback=_wait_silently),
        ],
        include_local_variables=False,
        max_request_body_size="never",
        send_default_pii=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        enable_metrics=False,
        propagate_traces=False,
    )
    sentry_sdk.get_global_scope().set_tag("process", process)
    _is_started = True


def stop() -> None:
    """Send what is still waiting, for two seconds at most."""
    if _is_started:
        import sentry_sdk

        sentry_sdk.flush(timeout=2)


def _wait_silently(_pending: int, _timeout_s: float) -> None:
    """Keep the library from printing a line that is no JSON."""


def reduce_event(event: "Event", hint: "Hint") -> "Event | None":
    """Return the event with its listed parts only; None for a library's line that carries no exception."""
    record = hint.get("log_record")
    own = record if record is not None and record.name.partition(".")[0] in _OWN_LOGGERS else None
    exceptions = event.get("exception", {}).get("values") or []
    if not exceptions and own is None:
        return None
    kept: dict[str, Any] = {name: event[name] for name in _KEPT if name in event}  # type: ignore[literal-required]
    if exceptions:
        kept["exception"] = {"values": [_reduce_exception(one) for one in exceptions]}
    if own is not None:
        kept["logentry"] = {"message": str(own.msg)}
    kept["tags"] = {name: value for name, value in (event.get("tags") or {}).items() if name == "process"}
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    if _OUR_REQUEST_ID.fullmatch(str(request_id)):
        kept["tags"]["request_id"] = request_id
    return kept  # type: ignore[return-value]


def _reduce_exception(exception: dict[str, Any]) -> dict[str, Any]:
    frames = (exception.get("stacktrace") or {}).get("frames") or []
    return {
        "type": exception.get("type"),
        "module": exception.get("module"),
        "stacktrace": {"frames": [{name: frame[name] for name in _KEPT_OF_FRAME if name in frame} for frame in frames]},
    }
