"""Bodies that a phone sends: our own API's fixes, and those of real stock phone apps. Pure."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from promotions.simulation.population import Dialect

MAX_API_FIXES = 100
OVERLAND_BATCH = 50
MPS_PER_KMH = 1 / 3.6
MPS_PER_KNOT = 0.514444


@dataclass(frozen=True, slots=True)
class Fix:
    """One position as the phone sees it; `at_epoch_s` on the shown clock."""

    at_epoch_s: float
    latitude_deg: float
    longitude_deg: float
    accuracy_m: float
    speed_mps: float
    is_mock: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials from the registration."""

    device_id: str
    access_token: str
    ingest_key: str


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request ready to be sent, and the number of its fixes of the backlog."""

    method: str
    path: str
    fixes: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def next_request(dialect: Dialect, credentials: Credentials, backlog: Sequence[Fix], shape: int) -> WireRequest:
    """The request with the oldest fixes of the backlog. `shape` chooses among a dialect's forms."""
    if dialect is Dialect.OWNTRACKS:
        return _owntracks(credentials, backlog[0])
    if dialect is Dialect.OVERLAND:
        return _overland(credentials, backlog)
    if dialect is Dialect.OSMAND:
        return _osmand(credentials, backlog, shape)
    return _api(credentials, backlog)


def is_accepted(dialect: Dialect, status: int, answer: object) -> bool:
    """Return whether the phone may delete its fixes after this answer, by the rules of its app."""
    if dialect is Dialect.OWNTRACKS:
        return status == 200 and isinstance(answer, list)
    if dialect is Dialect.OVERLAND:
        return isinstance(answer, dict) and answer.get("result") == "ok"
    return 200 <= status < 300


def api_fix(fix: Fix) -> dict[str, object]:
    """One fix as our own API takes it, in `POST /v1/fixes` and in an unlock."""
    posted: dict[str, object] = {
        "latitude": fix.latitude_deg,
        "longitude": fix.longitude_deg,
        "horizontal_accuracy_m": fix.accuracy_m,
        "fix_time": _iso(fix.at_epoch_s),
        "speed_mps": fix.speed_mps,
    }
    if fix.is_mock:
        posted["mock"] = True
    return posted


def _iso(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _api(credentials: Credentials, backlog: Sequence[Fix]) -> WireRequest:
    sent = backlog[:MAX_API_FIXES]
    headers = {"Authorization": f"Bearer {credentials.access_token}", "Content-Type": "application/json"}
    return WireRequest("POST", "/v1/fixes", len(sent), _json({"fixes": [api_fix(fix) for fix in sent]}), headers)


def _owntracks(credentials: Credentials, fix: Fix) -> WireRequest:
    """One location a request, HTTP Basic, km/h, whole seconds and metres; zero fields are left out."""
    message: dict[str, object] = {
        "_type": "location",
        "lat": fix.latitude_deg,
        "lon": fix.longitude_deg,
        "tst": int(fix.at_epoch_s),
        "created_at": int(fix.at_epoch_s) + 2,
        "acc": round(fix.accuracy_m),
        "batt": 71,
        "conn": "m",
        "m": 1,
        "tid": credentials.device_id[:2],
        "topic": f"owntracks/{credentials.device_id}/phone",
    }
    if round(fix.speed_mps / MPS_PER_KMH):
        message["vel"] = round(fix.speed_mps / MPS_PER_KMH)
    login = base64.b64encode(f"{credentials.device_id}:{credentials.ingest_key}".encode()).decode()
    headers = {
        "Authorization": f"Basic {login}",
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Owntracks-Android/gms/420508000",
        "X-Limit-U": credentials.device_id,
        "X-Limit-D": "phone",
    }
    return WireRequest("POST", "/v1/ingest/owntracks", 1, _json(message), headers)


def _overland(credentials: Credentials, backlog: Sequence[Fix]) -> WireRequest:
    """A batch of GeoJSON features, oldest first; a longer queue adds `current`, which comes again in its batch."""
    sent = backlog[:OVERLAND_BATCH]
    body: dict[str, object] = {"locations": [_feature(credentials, fix) for fix in sent]}
    if len(backlog) > OVERLAND_BATCH:
        body["current"] = _feature(credentials, backlog[-1])
    headers = {"Authorization": f"Bearer {credentials.ingest_key}", "Content-Type": "application/json"}
    return WireRequest("POST", "/v1/ingest/overland", len(sent), _json(body), headers)


def _feature(credentials: Credentials, fix: Fix) -> dict[str, object]:
    properties = {
        "timestamp": datetime.fromtimestamp(fix.at_epoch_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "horizontal_accuracy": round(fix.accuracy_m),
        "vertical_accuracy": -1,
        "altitude": 38,
        "speed": round(fix.speed_mps, 1) or -1,
        "course": -1,
        "motion": ["walking"] if fix.speed_mps > 0.3 else ["stationary"],
        "battery_state": "unplugged",
        "battery_level": 0.71,
        "device_id": credentials.device_id,
        "wifi": "",
    }
    point = {"type": "Point", "coordinates": [fix.longitude_deg, fix.latitude_deg]}
    return {"type": "Feature", "geometry": point, "properties": properties}


def _osmand(credentials: Credentials, backlog: Sequence[Fix], shape: int) -> WireRequest:
    """The four shapes in the field: query parameters, JSON of the background kind, a form, an array of flat objects."""
    path, kind = "/v1/ingest/osmand", shape % 4
    flat = [_flat(credentials, fix) for fix in backlog[: 1 if kind < 3 else MAX_API_FIXES]]
    if kind == 0:
        return WireRequest("GET", f"{path}?{urlencode(flat[0])}", 1)
    if kind == 1:
        return WireRequest("POST", path, 1, _background(credentials, backlog[0]), {"Content-Type": "application/json"})
    if kind == 2:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return WireRequest("POST", path, 1, urlencode(flat[0]).encode(), form)
    return WireRequest("POST", path, len(flat), _json(flat), {"Content-Type": "application/json"})


def _flat(credentials: Credentials, fix: Fix) -> dict[str, object]:
    return {
        "id": credentials.ingest_key,
        "lat": fix.latitude_deg,
        "lon": fix.longitude_deg,
        "timestamp": int(fix.at_epoch_s),
        "accuracy": fix.accuracy_m,
        "speed": round(fix.speed_mps / MPS_PER_KNOT, 2),
        "bearing": 90,
        "batt": 71,
        "charge": "false",
    }


def _background(credentials: Credentials, fix: Fix) -> bytes:
    coords = {
        "latitude": fix.latitude_deg,
        "longitude": fix.longitude_deg,
        "accuracy": fix.accuracy_m,
        "speed": round(fix.speed_mps, 2) or -1,
        "heading": -1,
        "altitude": 38,
    }
    location = {
        "timestamp": _iso(fix.at_epoch_s),
        "coords": coords,
        "is_moving": fix.speed_mps > 0.3,
        "odometer": 0.5,
        "battery": {"level": 0.71, "is_charging": False},
        "activity": {"type": "walking" if fix.speed_mps > 0.3 else "still"},
        "extras": {},
    }
    return _json({"location": location, "device_id": credentials.ingest_key})
