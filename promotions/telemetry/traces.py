"""Spans of requests, tasks and the pipeline's verbs, sent to an OpenTelemetry collector.

A span holds names, durations and a status: no address with its query, no header, no id of a device, no place.
"""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog

from promotions.version import VERSION

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Called every few seconds by machines.
_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})

_NO_SPAN: AbstractContextManager[None] = nullcontext()

_provider: "TracerProvider | None" = None
_tracer: "Tracer | None" = None
_open_tasks: "dict[str, tuple[Span, Token[Context]]]" = {}


def start(endpoint: str, *, headers: str, share: float, process: str) -> None:
    """Collect spans of this share of requests and tasks, and send them in the background.

    `endpoint` is the collector's base address, `headers` reads `name=value,name=value`.
    """
    global _provider, _tracer

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    from opentelemetry.util.re import parse_env_headers

    about = {"service.name": "doorstep", "service.version": VERSION, "doorstep.process": process}
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces", headers=parse_env_headers(headers, liberal=True)
    )
    _provider = TracerProvider(resource=Resource.create(about), sampler=ParentBased(TraceIdRatioBased(share)))
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("doorstep", VERSION)


def stop() -> None:
    """Send what is still waiting and collect no more."""
    global _provider, _tracer

    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()


def span(name: str) -> AbstractContextManager[None]:
    """Return a context manager that records a step of the current request or task; it does nothing when off."""
    return _NO_SPAN if _tracer is None else _record(_tracer, name)


@contextmanager
def _record(tracer: "Tracer", name: str) -> Iterator[None]:
    # An exception's text may hold values: the span gets neither it nor its traceback.
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as current:
        try:
            yield
        except BaseException as error:
            _fail(current, type(error).__name__)
            raise


def begin_task(task_id: str, name: str) -> None:
    """Open the span of a Celery task in this thread."""
    if _tracer is None:
        return
    from opentelemetry import context, trace

    opened = _tracer.start_span(name, kind=trace.SpanKind.CONSUMER)
    _open_tasks[task_id] = opened, context.attach(trace.set_span_in_context(opened))


def end_task(task_id: str, *, error: str = "") -> None:
    """Close the task's span; `error` is the class of the exception that ended it."""
    found = _open_tasks.pop(task_id, None)
    if found is None:
        return
    from opentelemetry import context

    opened, token = found
    context.detach(token)
    if error:
        _fail(opened, error)
    opened.end()


def name_request(route: str) -> None:
    """Name the current request's span after its route, a pattern without values."""
    if _tracer is None:
        return
    from opentelemetry import trace

    current = trace.get_current_span()
    method = getattr(current, "attributes", {}).get("http.request.method")
    if method:
        current.update_name(f"{method} /{route}")
        current.set_attribute("http.route", f"/{route}")


def traced(application: Application, *, known_paths: frozenset[str]) -> Application:
    """Return the ASGI application with a span around each request; the same object when traces are off."""
    return application if _tracer is None else _Traced(application, _tracer, known_paths)


class _Traced:
    """ASGI application that opens a span. It ignores a client's trace id."""

    def __init__(self, inner: Application, tracer: "Tracer", known_paths: frozenset[str]) -> None:
        self._inner = inner
        self._tracer = tracer
        self._known_paths = known_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._inner(scope, receive, send)
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {"http.request.method": method}
        name = method
        if scope["path"] in self._known_paths:
            attributes["http.route"] = scope["path"]
            name = f"{method} {scope['path']}"
        with self._tracer.start_as_current_span(
            name,
            context=Context(),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as current:
            if not current.is_recording():
                await self._inner(scope, receive, send)
                return
            structlog.contextvars.bind_contextvars(trace_id=f"{current.get_span_context().trace_id:032x}")
            await self._inner(scope, receive, _note_status(current, send))


def _note_status(current: "Span", send: Send) -> Send:
    async def note(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            current.set_attribute("http.response.status_code", status)
            if status >= 500:
                _fail(current, str(status))
        await send(message)

    return note


def _fail(current: "Span", error: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    current.set_attribute("error.type", error)
    current.set_status(Status(StatusCode.ERROR))
