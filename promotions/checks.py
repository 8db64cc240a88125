"""Start-up checks: settings that a deployment must not run with, and checks of readiness; a sentence per fault."""

import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from django.apps import apps
from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model

from promotions import conf, logins, stream
from promotions.logins import Refused
from promotions.logins import Unavailable as Unavailable
from promotions.logs import refuse_start
from promotions.row_policies.faults import find_entry_faults, find_faults
from promotions.row_policies.libraries import LIBRARIES
from promotions.version import VERSION

logger = logging.getLogger(__name__)

OWN_APPS = (*LIBRARIES, "promotions")
_NEEDS_RELEASE = re.compile(r"_needs_(\d+)_(\d+)_(\d+)\Z")


def find_redis_faults(client: "redis.Redis", *, setting: str = "REDIS_URL") -> list[str]:
    """Settings of Redis with which acknowledged fixes could be lost. Errors: Away, Refused."""
    try:
        persistence, memory = _query_nodes(client, "persistence"), _query_nodes(client, "memory")
    except redis.RedisError as error:
        raise logins.explain_redis(error, setting=setting) from error
    faults = []
    if not all(node.get("aof_enabled") for node in persistence):
        faults.append("Redis runs without its append-only file and would lose fixes: set `appendonly yes`.")
    policies = {node.get("maxmemory_policy") for node in memory} - {"noeviction"}
    if policies:
        policy = policies.pop()
        faults.append(f"Redis may throw fixes away when full (policy {policy}): set `maxmemory-policy noeviction`.")
    return faults


def find_stream_faults() -> list[str]:
    """`find_redis_faults` of the Redis that holds the streams: of each node of a cluster. Errors: Away, Refused."""
    setting = "REDIS_URL"
    try:
        stream.hub_client().ping()
        setting = "STREAM_URL" if settings.STREAM_URL else setting
        client = stream.sync_client()
    except redis.RedisError as error:
        raise logins.explain_redis(error, setting=setting) from error
    return find_redis_faults(client, setting=setting)


def _query_nodes(client: "redis.Redis", section: str) -> list[dict[str, Any]]:
    """Answers of each node about itself; one Redis is one node."""
    if isinstance(client, redis.RedisCluster):
        info: Any = client.info(section, target_nodes=redis.RedisCluster.PRIMARIES)
        return list(info.values()) if len(client.get_primaries()) > 1 else [info]
    alone: Any = client.info(section)
    return [alone]


def find_migration_faults() -> list[str]:
    """Migrations not yet applied, and those that this release is too old for. Errors: Away, Refused."""
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError) as error:
        logins.require_postgresql()
        raise logins.explain_postgresql(error) from error
    applied = {name for app, name in executor.loader.applied_migrations if app in OWN_APPS}
    known = {name for app, name in executor.loader.disk_migrations if app in OWN_APPS}
    faults = list(find_too_old(applied - known, VERSION))
    if plan:
        first = plan[0][0]
        faults.append(
            f"The database is behind the code by {len(plan)} migration(s), first {first.app_label}.{first.name}: "
            "run `manage.py migrate`."
        )
    return faults


def find_too_old(newer_migrations: Collection[str], version: str) -> Iterator[str]:
    """Yield a sentence when this release still reads what a newer one has dropped.

    A database that is ahead is no fault by itself: an upgrade migrates first, and until the processes are replaced the
    release before works on the new schema. A migration that drops something names the oldest release that can do
    without it, `..._needs_0_2_0`.
    """
    needed = [tuple(map(int, found.groups())) for name in newer_migrations if (found := _NEEDS_RELEASE.search(name))]
    if needed and max(needed) > tuple(map(int, version.split("."))):
        oldest = ".".join(map(str, max(needed)))
        yield (
            f"This is release {version}, and the database was migrated for releases from {oldest} on: "
            f"start release {oldest} or a newer one."
        )


def list_own_models() -> list[type[Model]]:
    """Return the models of the three apps, sorted by name."""
    models = [model for label in OWN_APPS for model in apps.get_app_config(label).get_models()]
    return sorted(models, key=lambda model: model._meta.label)


def find_policy_faults() -> list[str]:
    """Return models without a row policy, policies without a model, and policies that are wrong."""
    return [*find_faults(list_own_models()), *find_entry_faults()]


def find_start_faults() -> list[str]:
    """Return every fault that keeps web, worker and beat from starting. Settings were checked before they were used.

    A part that is unavailable is no fault: it comes back, and redemption continues without Redis until then. Readiness
    shows it. A part that refuses us is a fault: it refuses until an operator corrects a setting or a right.
    """
    faults: list[str] = []
    checks: list[Callable[[], Sequence[str]]] = [
        find_stream_faults,
        find_migration_faults,
        find_policy_faults,
    ]
    for check in checks:
        try:
            faults += check()
        except Refused as refused:
            faults.append(str(refused))
        except Unavailable as error:
            logger.warning("start_check_skipped", extra={"reason": str(error)})
    return faults


def refuse_unsafe_start() -> None:
    """Exit with one sentence per fault; return when there is none."""
    # A server may import us inside its event loop, where Django refuses to query the database, so use a thread.
    with ThreadPoolExecutor(1) as pool:
        faults = pool.submit(_find_and_disconnect).result()
    if faults:
        refuse_start(faults)


def _find_and_disconnect() -> list[str]:
    try:
        return find_start_faults()
    finally:
        connection.close()


@register()
def check_names(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Warn of variables that look like misspelt settings: they set nothing."""
    return [Warning(sentence, id="doorstep.W003") for sentence in conf.find_misspelt()]


@register(Tags.models)
def check_row_policies(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Refuse models without a row policy: their rows would have no owner and no end."""
    return [Error(sentence, id="doorstep.E001") for sentence in find_policy_faults()]


@register(Tags.security, deploy=True)
def check_proxies(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Warn only: a web process that ends TLS itself has no proxy in front of it."""
    if settings.TRUSTED_PROXIES > 0 or settings.DEBUG:
        return []
    warning = (
        "TRUSTED_PROXIES is 0, so X-Forwarded-Proto is ignored: behind a proxy that ends TLS, every page redirects to "
        "itself."
    )
    return [Warning(warning, hint="Set it to the number of proxies in front of the web process.", id="doorstep.W002")]
