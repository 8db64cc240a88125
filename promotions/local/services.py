"""Private services of one command: started if no address was given, always stopped."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from promotions.local import postgres, redis
from promotions.local.console import sign_of_life
from promotions.local.interrupts import Interrupts
from promotions.local.keys import missing_secrets
from promotions.local.lock import held
from promotions.local.processes import stop_recorded
from promotions.local.workspaces import FOLDER_VARIABLE, OWN_SERVICES_VARIABLE, Workspace


@contextmanager
def private_services(
    place: Workspace, *, keep: bool, durable: bool, environment: Mapping[str, str], interrupts: Interrupts
) -> Iterator[dict[str, str]]:
    """The environment for a command that needs PostgreSQL and Redis.

    An address in the environment is used as it is, and no server of that kind is started. Without `keep` the workspace
    starts empty; without `durable` a power cut may lose its database. Processes that an earlier command of the same
    workspace left running are ended first.
    """
    with held(place.lock, what=f"var/{place.name}"), ExitStack() as stack:
        stop_recorded(place.command_pids)
        stop_recorded(place.server_pids)
        if not keep:
            place.remove()
        place.create()
        added = {FOLDER_VARIABLE: str(place.folder)}
        own = []
        if not environment.get("DATABASE_URL"):
            interrupts.check()
            with sign_of_life("starting PostgreSQL"):
                cluster = postgres.start_cluster(place, durable=durable)
            stack.callback(postgres.stop_cluster, cluster.child)
            added["DATABASE_URL"] = cluster.url
            own.append("postgres")
        if not environment.get("REDIS_URL"):
            interrupts.check()
            with sign_of_life("starting Redis"):
                server = redis.start_server(place)
            stack.callback(redis.stop_server, server.child)
            added["REDIS_URL"] = server.url
            own.append("redis")
        interrupts.check()
        stack.callback(stop_recorded, place.command_pids)
        yield {**environment, **added, OWN_SERVICES_VARIABLE: " ".join(own)}


def default_environment(root: Path) -> dict[str, str]:
    """The caller's environment, in development mode unless it says otherwise; missing secrets are the clone's own."""
    environment = {"DEBUG": "1", **os.environ, "DJANGO_SETTINGS_MODULE": "promotions.settings"}
    return {**environment, **missing_secrets(root, environment)}
