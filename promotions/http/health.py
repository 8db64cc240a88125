"""Liveness, readiness and figures of the process."""

from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import clock, clocks, drain, logins, metrics, outages, stream
from promotions.checks import Unavailable, find_migration_faults, find_stream_faults
from promotions.errors import DomainError
from promotions.http.closing import closing
from promotions.http.gauges import GaugeCollector
from promotions.http.parts import Part
from promotions.http.schema import operation
from promotions.http.views import ApiView
from promotions.services.jobs import find_beat_faults

OK = "ok"
# A fault here does not take the process out of service: no other process would do better without beat.
_REPORTED = frozenset({"beat"})
# Queried in sequence, and an orchestrator waits a few seconds.
_WITHIN_S = 1.5


class Alive(serializers.Serializer[Any]):
    """The process answers."""

    status = serializers.ChoiceField(choices=[OK])


class Ready(serializers.Serializer[Any]):
    """All parts that the product needs are ready."""

    status = serializers.ChoiceField(choices=[OK])
    checks = serializers.DictField(
        child=serializers.CharField(),
        help_text="`ok` or the fault, by part. A fault of `beat` is reported, but does not cause a 503.",
    )
    backlog_entries = serializers.IntegerField(help_text="Unprocessed stream entries.")
    backlog_age_s = serializers.FloatField(help_text="Age of the oldest of them.")


class HealthView(ApiView):
    """`/healthz`"""

    @operation(summary="Liveness", answers={200: Alive}, operation_id="healthz")
    def get(self, request: Request) -> Response:
        """Return 200 while the process runs. Checks no other part."""
        return Response({"status": OK})


class ReadyView(ApiView):
    """`/readyz`"""

    @operation(summary="Readiness", answers={200: Ready}, problems=["unavailable"], operation_id="readyz")
    def get(self, request: Request) -> Response:
        """Check PostgreSQL and its migrations, the durability of Redis, the workers' backlog, and the clocks.

        Beat is reported only.

        503: `checks` names the faults. The answer shows whether fixes are accepted and processed. Redemption needs
        PostgreSQL only: do not use this answer to route tills.
        """
        checks = {"postgresql": _check(_POSTGRESQL), "redis": _check(_REDIS)}
        measured: dict[str, Any] = {}
        if checks["postgresql"] == OK:
            checks["migrations"] = _check(_MIGRATIONS)
        if all(state == OK for state in checks.values()):
            try:
                backlog = _BACKLOG.read()
            except Unavailable as error:
                checks["redis"] = str(error)
            else:
                measured = {"backlog_entries": backlog.entries, "backlog_age_s": backlog.oldest_age_ms / 1000}
                checks["workers"] = _check_age(measured["backlog_age_s"])
            checks["clocks"] = _check(_CLOCKS)
        if checks.get("migrations") == OK:
            checks["beat"] = _check(_BEAT)
        if closing.is_set():
            checks["process"] = "This process is about to end."
        failing = [name for name, state in checks.items() if state != OK and name not in _REPORTED]
        if failing:
            raise DomainError("unavailable", f"Not ready: {', '.join(failing)}.", checks=checks, **measured)
        return Response({"status": OK, "checks": checks, **measured})


def _check(part: Part[list[str]]) -> str:
    try:
        return " ".join(part.read()) or OK
    except Unavailable as error:
        return str(error)


def _check_age(age_s: float) -> str:
    if age_s <= settings.READY_MAX_AGE_S:
        return OK
    return f"The oldest entry has waited {age_s:.0f} s, more than {settings.READY_MAX_AGE_S}."


# Connections that any role may use, and those in use. A pool with an open connection answers even when none is left.
# `numbackends` counts parallel workers too, which take no connection. A role without rights to `pg_stat_activity` sees
# no type of other roles' backends.
POSTGRESQL_SQL = """
SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
    (SELECT count(*) FROM pg_stat_activity
     WHERE backend_type = 'client backend' OR backend_type IS NULL AND usesysid IS NOT NULL),
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
"""


def _query_postgresql() -> list[str]:
    """Reasons why PostgreSQL takes no writes or connections. Errors: those of the database."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(POSTGRESQL_SQL)
            is_standby, is_read_only, used, usable = cursor.fetchone()
    except (DatabaseError, InterfaceError):
        # A pool does not report why it has no connection; a separate connection does.
        logins.require_postgresql()
        raise
    if is_standby:
        return ["PostgreSQL is a standby and takes no writes."]
    if is_read_only:
        return ["PostgreSQL is read-only and takes no writes."]
    if outages.is_disk_full():
        return ["PostgreSQL's disk is full: a write failed (53100)."]
    if used >= usable:
        return [f"PostgreSQL has no free connection: {used} of {usable} are in use."]
    return []


def _measure_backlog() -> stream.Backlog:
    return stream.measure_backlog(stream.sync_client(), drain.read_cursors())


_POSTGRESQL = Part("PostgreSQL", _query_postgresql, within_s=_WITHIN_S)
_MIGRATIONS = Part("PostgreSQL", lambda: find_migration_faults(), within_s=_WITHIN_S)
_BEAT = Part("PostgreSQL", lambda: find_beat_faults(now=clock.now()), within_s=_WITHIN_S)
_REDIS = Part("Redis", find_stream_faults, within_s=_WITHIN_S)
_CLOCKS = Part("A clock", lambda: clocks.find_faults("web"), within_s=_WITHIN_S)
_BACKLOG = Part("Redis", _measure_backlog, within_s=_WITHIN_S)


@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """`/metrics`, in the Prometheus text format."""
    return HttpResponse(generate_latest(metrics.gather(GaugeCollector())), content_type=CONTENT_TYPE_LATEST)
