"""JSON log lines on stderr. Never coordinates, codes or tokens: log ids and reasons."""

from typing import Any

import structlog
from structlog.typing import EventDict, Processor

# What Django and the server put beside a line. A request prints its address with the query, where coordinates stand.
_UNWANTED = ("request", "server_time", "color_message", "message")


def _leave_out(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name in _UNWANTED:
        event.pop(name, None)
    return event


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.stdlib.ExtraAdder(),
    _leave_out,
]


def json_formatter() -> structlog.stdlib.ProcessorFormatter:
    """The formatter of the root handler, for `logging.config`."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
