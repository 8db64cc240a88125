"""A database and Redis keys of the run's own, and worlds of any size in seconds: stores, fences, phones, campaigns.

The benchmarks do not touch a deployment, for any DATABASE_URL and REDIS_URL: they create a database beside it and drop
it at the end, and every Redis key has a separate prefix.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse, urlunparse

import numpy as np
import numpy.typing as npt
import psycopg

if TYPE_CHECKING:
    from geofence.logic.fixes import DeviceColumns

FloatArray = npt.NDArray[np.float64]

# A box around France: south, north, west, east.
FRANCE_DEG = (42.4, 51.0, -4.7, 8.2)
CITIES = 50
# One standard deviation of how far stores lie from the middle of their city.
CITY_DEG = 0.05
RADIUS_M = 150.0

_TABLES = "geofence_partner, promotions_brand, promotions_device, geofence_lastfix, notifications_pushaddress"


@dataclass(frozen=True, slots=True)
class World:
    """Seeded data: places of the stores, each with one circle of 150 m, and the phones."""

    latitude_deg: FloatArray
    longitude_deg: FloatArray
    devices: "DeviceColumns"


@contextmanager
def open_world() -> Iterator[dict[str, str]]:
    """Create the database, migrate it, set Django up on it; gives the servers' versions. Once per process."""
    given = os.environ.get("DATABASE_URL", "postgis://doorstep@127.0.0.1:5432/doorstep")
    name = f"doorstep_bench_{secrets.token_hex(4)}"
    maintenance = _replace_name(given, "postgresql", urlparse(given).path.strip("/"))
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            _set_up_django(_replace_name(given, "postgis", name))
            yield {"postgresql": str(connection.info.server_version // 10_000), "redis": _read_redis_version()}
        finally:
            _clean_up()
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _replace_name(url: str, scheme: str, name: str) -> str:
    return urlunparse(urlparse(url)._replace(scheme=scheme, path=f"/{name}"))


def _set_up_django(database_url: str) -> None:
    os.environ.update(
        DJANGO_SETTINGS_MODULE="promotions.settings",
        DATABASE_URL=database_url,
        REDIS_PREFIX=f"bench-{secrets.token_hex(4)}",
        # As a deployment runs: DEBUG keeps every query in memory.
        DEBUG="0",
        ALLOWED_HOSTS="127.0.0.1",
        PUBLIC_BASE_URL="https://127.0.0.1",
        # The load says `X-Forwarded-Proto: https` as the one proxy before it would.
        TRUSTED_PROXIES="1",
        LOG_LEVEL="ERROR",
        QUIET_HOURS="",
        **{name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "DEVICE_TOKEN_SECRET", "CODE_SECRET")},
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _read_redis_version() -> str:
    from promotions import stream

    info: Any = stream.sync_client().info("server")
    return str(info["redis_version"])


def _clean_up() -> None:
    from django.apps import apps
    from django.conf import settings
    from django.db import connections

    if not apps.ready:
        return
    from promotions import stream

    connections.close_all()
    client = stream.sync_client()
    for key in client.scan_iter(f"{settings.REDIS_PREFIX}:*", count=1000):
        client.delete(key)


def scatter_places(count: int, *, clustered: bool, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Latitudes and longitudes: uniform over France, or around its fifty cities."""
    south, north, west, east = FRANCE_DEG
    if not clustered:
        return rng.uniform(south, north, count), rng.uniform(west, east, count)
    city_latitude, city_longitude = rng.uniform(south, north, CITIES), rng.uniform(west, east, CITIES)
    city = rng.integers(0, CITIES, count)
    return city_latitude[city] + rng.normal(0, CITY_DEG, count), city_longitude[city] + rng.normal(0, CITY_DEG, count)


def seed(*, fences: int, devices: int, campaigns: int, now: datetime) -> World:
    """Empty the database and fill it. Every store is in one campaign; every phone consents and can be reached."""
    from django.db import connection

    rng = np.random.default_rng(20_260_922)
    latitude_deg, longitude_deg = scatter_places(fences, clustered=False, rng=rng)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {_TABLES} CASCADE")
    _seed_stores(latitude_deg, longitude_deg, now)
    phones = _seed_devices(devices, now, rng)
    _seed_campaigns(campaigns, now)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return World(latitude_deg, longitude_deg, phones)


def _seed_stores(latitude_deg: FloatArray, longitude_deg: FloatArray, now: datetime) -> None:
    from django.db import connection

    from geofence.models import Partner
    from geofence.services.columns import execute_columns, pack_values, spread

    Partner.objects.create(name="Benchmark")
    execute_columns(
        "INSERT INTO geofence_store (uuid, partner_id, name, address, timezone, opening_hours, latitude_deg, "
        "longitude_deg, is_active) SELECT gen_random_uuid(), (SELECT id FROM geofence_partner), 'Store', '', "
        f"'Europe/Paris', '{{}}', k.latitude, k.longitude, true FROM {spread('latitude float8', 'longitude float8')}",
        [pack_values(latitude_deg), pack_values(longitude_deg)],
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO geofence_geofence (uuid, store_id, role, shape, latitude_deg, longitude_deg, radius_m, "
            "dwell_s, version, is_active, updated_at) SELECT gen_random_uuid(), id, 'store', 'circle', latitude_deg, "
            "longitude_deg, %s, 180, 1, true, %s FROM geofence_store ORDER BY id",
            [RADIUS_M, now],
        )


def _seed_devices(count: int, now: datetime, rng: np.random.Generator) -> "DeviceColumns":
    from django.db import connection

    from geofence.logic.fixes import DeviceColumns
    from geofence.services.columns import execute_columns, pack_devices, spread

    halves = rng.integers(1, 2**64 - 1, (2, count), dtype=np.uint64)
    devices = DeviceColumns(halves[0], halves[1])
    # Formatted here: the timestamp is the only parameter beside the column.
    registered_at = f"'{now.isoformat()}'"
    execute_columns(
        "INSERT INTO promotions_device (id, platform, app_id, locale, consents, registered_at, is_blocked) "
        f"SELECT k.id, 'android', '', 'fr', '{{geo_match,messages}}', {registered_at}, false "
        f"FROM {spread('id uuid')}",
        [pack_devices(devices)],
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notifications_pushaddress (device_id, kind, address, app_id, environment, is_active, "
            "registered_at) SELECT id, 'console', id::text, '', '', true, registered_at FROM promotions_device"
        )
    return devices


def _seed_campaigns(count: int, now: datetime) -> None:
    from django.db import connection

    from promotions.models import Brand, Campaign

    brand = Brand.objects.create(name="Benchmark")
    Campaign.objects.bulk_create(
        Campaign(
            brand=brand,
            name=f"Campaign {number}",
            state=Campaign.State.LIVE,
            starts_on=(now - timedelta(days=30)).date(),
            ends_on=(now + timedelta(days=30)).date(),
            offer_title="Free coffee with any sandwich",
            benefit="1 free coffee",
            message_title="A coffee for you",
            message_body="{offer} at {store} until {until}",
            holdout_percent=10,
            salt=f"{number:032x}",
            created_at=now,
            opened_at=now,
        )
        for number in range(count)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO promotions_campaign_stores (campaign_id, store_id) "
            "SELECT c.id, s.id FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM promotions_campaign) c "
            "JOIN (SELECT id, row_number() OVER (ORDER BY id) AS place FROM geofence_store) s "
            "ON c.place = s.place %% %s + 1",
            [count],
        )
