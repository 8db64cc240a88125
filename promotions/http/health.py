"""Whether the process lives, whether it can do its work, and its figures."""

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import stream
from promotions.checks import Away, find_migration_faults, find_redis_faults
from promotions.errors import DomainError
from promotions.http.schema import operation
from promotions.http.views import ApiView
from promotions.models import ShardCursor

OK = "ok"


class Alive(serializers.Serializer[Any]):
    """The process answers."""

    status = serializers.ChoiceField(choices=[OK])


class Ready(serializers.Serializer[Any]):
    """Every part the product needs does its work."""

    status = serializers.ChoiceField(choices=[OK])
    checks = serializers.DictField(child=serializers.CharField(), help_text="`ok`, or what is wrong, by part.")
    backlog_entries = serializers.IntegerField(help_text="Stream entries not yet worked.")
    backlog_age_s = serializers.FloatField(help_text="How long the oldest of them has waited.")


class HealthView(ApiView):
    """`/healthz`"""

    @operation(summary="Liveness", answers={200: Alive}, operation_id="healthz")
    def get(self, request: Request) -> Response:
        """Answers without asking anybody."""
        return Response({"status": OK})


class ReadyView(ApiView):
    """`/readyz`"""

    @operation(summary="Readiness", answers={200: Ready}, problems=["unavailable"], operation_id="readyz")
    def get(self, request: Request) -> Response:
        """PostgreSQL, its migrations, and a Redis that loses nothing. 503 names the part that fails in `checks`."""
        checks = {
            "postgresql": _say(_ask_postgresql),
            "migrations": _say(find_migration_faults),
            "redis": _say(lambda: find_redis_faults(stream.sync_client())),
        }
        failing = [name for name, said in checks.items() if said != OK]
        if failing:
            raise DomainError("unavailable", f"Not ready: {', '.join(failing)}.", checks=checks)
        backlog = _measure_backlog()
        return Response({"status": OK, "checks": checks, **backlog})


def _say(check: Callable[[], list[str]]) -> str:
    try:
        return " ".join(check()) or OK
    except Away as away:
        return str(away)


def _ask_postgresql() -> list[str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        raise Away(f"PostgreSQL does not answer ({type(error).__name__}).") from error
    return []


def _measure_backlog() -> dict[str, Any]:
    cursors = dict(ShardCursor.objects.values_list("shard", "last_entry_id"))
    try:
        backlog = stream.measure_backlog(stream.sync_client(), cursors)
    except RedisError as error:
        raise DomainError("unavailable", "Not ready: redis.") from error
    return {"backlog_entries": backlog.entries, "backlog_age_s": backlog.oldest_age_ms / 1000}


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """`/metrics`, in the Prometheus text format."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
