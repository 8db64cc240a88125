"""Unmodified apps of other vendors: each dialect creates a visit and gets its own form of answer."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from geofence.models import Store, Visit
from tests import factories
from tests.patience import wait_for
from tests.stories.test_phone import register
from tests.stories.waiting import let_fences_act
from tests.stories.web import Answer, Web

# Four minutes, a fix every half minute.
SECONDS_AGO = list(range(240, -1, -30))

Send = Callable[[Web, str, Store], list[Answer]]


def taken_at(seconds_ago: int) -> datetime:
    return datetime.now(tz=UTC) - timedelta(seconds=seconds_ago)


def owntracks(web: Web, key: str, store: Store) -> list[Answer]:
    basic = base64.b64encode(f"phone:{key}".encode()).decode()
    return [
        web.send(
            "POST",
            "/v1/ingest/owntracks",
            {
                "_type": "location",
                "lat": store.latitude_deg,
                "lon": store.longitude_deg,
                "tst": int(taken_at(seconds).timestamp()),
                "acc": 14,
                "batt": 81,
                "conn": "m",
                "tid": "ab",
                "topic": "owntracks/ab/pixel",
            },
            Authorization=f"Basic {basic}",
        )
        for seconds in SECONDS_AGO
    ]


def overland(web: Web, key: str, store: Store) -> list[Answer]:
    def feature(seconds: int) -> dict[str, Any]:
        return {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [store.longitude_deg, store.latitude_deg]},
            "properties": {
                "timestamp": taken_at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "horizontal_accuracy": 18,
                "vertical_accuracy": -1,
                "speed": -1,
                "motion": ["stationary"],
                "battery_level": 0.81,
                "device_id": "u-17",
                "wifi": "",
            },
        }

    return [web.send("POST", "/v1/ingest/overland", {"locations": [feature(s) for s in SECONDS_AGO]}, token=key)]


def osmand_query(web: Web, key: str, store: Store) -> list[Answer]:
    return [web.send("GET", "/v1/ingest/osmand?" + urlencode(_flat(key, store, seconds))) for seconds in SECONDS_AGO]


def osmand_json(web: Web, key: str, store: Store) -> list[Answer]:
    return [
        web.send(
            "POST",
            "/v1/ingest/osmand",
            {
                "location": {
                    "timestamp": taken_at(seconds).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "coords": {
                        "latitude": store.latitude_deg,
                        "longitude": store.longitude_deg,
                        "accuracy": 18,
                        "speed": -1,
                        "heading": -1,
                    },
                    "is_moving": False,
                    "battery": {"level": 0.81, "is_charging": False},
                },
                "device_id": key,
            },
        )
        for seconds in SECONDS_AGO
    ]


def osmand_form(web: Web, key: str, store: Store) -> list[Answer]:
    return [
        web.send(
            "POST",
            "/v1/ingest/osmand",
            urlencode(_flat(key, store, seconds)).encode(),
            Content_Type="application/x-www-form-urlencoded",
        )
        for seconds in SECONDS_AGO
    ]


def osmand_array(web: Web, key: str, store: Store) -> list[Answer]:
    return [
        web.send(
            "POST",
            "/v1/ingest/osmand",
            json.dumps([_flat(key, store, s) for s in SECONDS_AGO]).encode(),
            Content_Type="application/json",
        )
    ]


def _flat(key: str, store: Store, seconds_ago: int) -> dict[str, Any]:
    return {
        "id": key,
        "lat": store.latitude_deg,
        "lon": store.longitude_deg,
        "timestamp": int(taken_at(seconds_ago).timestamp()),
        "accuracy": 18,
        "speed": 0.0,
        "batt": 81,
    }


@pytest.mark.parametrize(
    ("send", "expected"),
    [
        (owntracks, b"[]"),
        (overland, b'{"result":"ok"}'),
        (osmand_query, b""),
        (osmand_json, b""),
        (osmand_form, b""),
        (osmand_array, b""),
    ],
    ids=["owntracks", "overland", "osmand query", "osmand JSON", "osmand form", "osmand array"],
)
def test_a_stock_app_makes_a_visit(web: Web, send: Send, expected: bytes) -> None:
    store = factories.store(latitude_deg=48.8484, longitude_deg=2.3959, name="Nation")
    let_fences_act()
    phone = register(web)

    answers = send(web, phone["ingest_key"], store)

    assert {(answer.status, answer.raw) for answer in answers} == {(200, expected)}
    wait_for(lambda: Visit.objects.filter(device_id=phone["device_id"], store=store, confirmed_by="dwell").exists())


def test_a_key_that_is_not_ours_is_refused(web: Web) -> None:
    store = factories.store(latitude_deg=48.8484, longitude_deg=2.3959, name="Nation")

    answers = [*overland(web, "not-a-key", store), *osmand_array(web, "not-a-key", store)]

    assert [answer.status for answer in answers] == [401, 401]
