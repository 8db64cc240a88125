"""JSON log lines on stderr. Never coordinates, codes or tokens: log ids and reasons."""

import logging
import sys
import threading
from collections.abc import Iterable
from typing import Any, NoReturn

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

_uncaught = logging.getLogger("uncaught")


def _write_exception(logger: Any, method: str, event: EventDict) -> EventDict:
    """Write the traceback. Of a database's error keep the first line: the others quote the row."""
    given = event.get("exc_info")
    error = given[1] if isinstance(given, tuple) else given
    event = structlog.processors.format_exc_info(logger, method, event)
    for text in _list_database_texts(error):
        first, quotes_row, _rest = text.partition("\n")
        if quotes_row:
            # Celery puts the error's `repr` into the line itself.
            event["event"] = str(event["event"]).replace(repr(text)[1:-1], first).replace(text, first)
            event["exception"] = event["exception"].replace(text, first)
    return event


def _list_database_texts(error: Any) -> list[str]:
    """Messages of psycopg's errors, which Django's carry too, among an error and those that it came from."""
    texts: list[str] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            if hasattr(one, "sqlstate"):
                texts.append(str(one))
    return texts


def json_formatter() -> structlog.stdlib.ProcessorFormatter:
    """The formatter of the root handler, for `logging.config`."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _write_exception,
            structlog.processors.JSONRenderer(),
        ],
    )


def format_line(event: str, level: int) -> str:
    """A log line for when logging is not set up yet, or cannot be used, as in a signal handler."""
    given = {"msg": event, "levelno": level, "levelname": logging.getLevelName(level), "name": "doorstep"}
    return json_formatter().format(logging.makeLogRecord(given))


def refuse_start(sentences: Iterable[str], *, is_command: bool = False) -> NoReturn:
    """Leave the process with one line per sentence: plain text at a terminal or from a command, else JSON."""
    lines = [f"Doorstep does not start: {sentence}" for sentence in sentences]
    if not (is_command or sys.stderr.isatty()):
        lines = [format_line(line, logging.CRITICAL) for line in lines]
    sys.exit("\n".join(lines))


def capture_output() -> None:
    """Write what Python itself would print, warnings and uncaught errors, as log lines. Repeatable."""
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_of_thread


def _log_uncaught(kind: Any, error: Any, traceback: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        _uncaught.info("interrupted")
        return
    _uncaught.critical("uncaught error", exc_info=(kind, error, traceback))


def _log_unraisable(given: Any) -> None:
    where = f"{given.err_msg or 'ignored'}: {given.object!r}"
    _uncaught.error("error outside of any call", extra={"where": where}, exc_info=given.exc_value)


def _log_of_thread(given: Any) -> None:
    # A thread that ends itself is no error.
    if given.exc_type is not SystemExit:
        extra = {"thread_name": given.thread.name if given.thread else ""}
        _uncaught.error("uncaught error", extra=extra, exc_info=given.exc_value)
