"""This process's own connection, turned to another database for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.gis.db.backends.postgis.base import DatabaseWrapper
from django.db import connection

from geofence.services.snapshots import forget_snapshot


@contextmanager
def use_database(**address: Any) -> Iterator[None]:
    """Read and write there, given what differs in the connection's settings."""
    former = dict(connection.settings_dict)
    _turn_to(address)
    try:
        yield
    finally:
        _turn_to(former)


def _turn_to(address: dict[str, Any]) -> None:
    connection.close()
    connection.settings_dict.update(address)
    # Django keeps the number of PostGIS's types for each connection's name. Every database has its own, and one that
    # means a shape here may mean a list of them there.
    for known in DatabaseWrapper._type_infos.values():  # type: ignore[attr-defined]
        known.pop(connection.alias, None)
    forget_snapshot()
