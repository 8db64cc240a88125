"""Error reports (Sentry) and traces (OpenTelemetry), each off until its setting is given. Then only it is imported."""

import asyncio
from typing import Literal

from django.conf import settings

from promotions.telemetry import reports, traces
from promotions.telemetry.traces import Application, Message, Receive, Scope, Send

Process = Literal["web", "worker", "beat"]


def start(process: Process, *, with_traces: bool = True) -> None:
    """Start reporting errors and collecting spans. Call it after a fork: the threads that send do not live on in it."""
    if settings.SENTRY_DSN:
        reports.start(settings.SENTRY_DSN, process)
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT and with_traces:
        traces.start(
            settings.OTEL_EXPORTER_OTLP_ENDPOINT,
            headers=settings.OTEL_EXPORTER_OTLP_HEADERS,
            share=settings.OTEL_TRACES_SAMPLER_ARG,
            process=process,
        )


def stop() -> None:
    """Send what is still waiting. Servers and Celery's children end without running exit handlers."""
    reports.stop()
    traces.stop()


def observe(application: Application, *, known_paths: frozenset[str]) -> Application:
    """Return the ASGI application with a span around each request; the same object when both settings are empty.

    `known_paths` are routes that never reach Django.
    """
    if not (settings.SENTRY_DSN or settings.OTEL_EXPORTER_OTLP_ENDPOINT):
        return application
    return _Observed(traces.traced(application, known_paths=known_paths))


class _Observed:
    """ASGI application that sends what is still waiting before the server ends."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, _stop_before_the_end(send))
        else:
            await self._inner(scope, receive, send)


def _stop_before_the_end(send: Send) -> Send:
    async def stop_and_send(message: Message) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            await asyncio.to_thread(stop)
        await send(message)

    return stop_and_send
