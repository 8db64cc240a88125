"""What the phones put on the wire is what the product's own readers understand."""

import base64
import json
from urllib.parse import urlsplit

import pytest

from promotions.http.lane.dialects.osmand import parse_osmand
from promotions.http.lane.dialects.overland import parse_overland
from promotions.http.lane.dialects.owntracks import parse_owntracks
from promotions.http.lane.fixes import decode_fixes
from promotions.simulation.dialects import Credentials, Fix, WireRequest, is_accepted, next_request
from promotions.simulation.population import Dialect

WHO = Credentials("0a0b0c0d-0000-4000-8000-000000000001", "access", "dk_key")
BACKLOG = [Fix(1_790_000_000.0 + 45 * number, 48.8675, 2.3635 + number / 1e4, 18.4, 1.3) for number in range(120)]


def request(dialect: Dialect, shape: int = 0) -> WireRequest:
    return next_request(dialect, WHO, BACKLOG, shape)


def test_the_api_takes_at_most_a_hundred_oldest_first() -> None:
    sent = request(Dialect.API)

    fixes = decode_fixes(sent.body)
    assert sent.fixes == len(fixes) == 100
    assert fixes[0].fix_time.timestamp() == BACKLOG[0].at_epoch_s
    assert (fixes[0].latitude, fixes[0].longitude) == (48.8675, 2.3635)
    assert sent.headers["Authorization"] == "Bearer access"


def test_a_mock_fix_is_marked() -> None:
    mock = Fix(1_790_000_000.0, 48.8675, 2.3635, 10.0, 0.0, is_mock=True)

    (posted,) = decode_fixes(next_request(Dialect.API, WHO, [mock], 0).body)

    assert posted.mock is True


def test_owntracks_sends_one_location_with_basic_login() -> None:
    sent = request(Dialect.OWNTRACKS)

    (fix,) = parse_owntracks(sent.body).fixes
    login = base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode()
    assert sent.fixes == 1
    assert login.endswith(":dk_key")
    assert (fix.latitude_deg, fix.longitude_deg, fix.fix_time_ms) == (48.8675, 2.3635, 1_790_000_000_000)
    assert fix.accuracy_m == 18
    # Whole kilometres an hour: 5 for 1.3 m/s.
    assert fix.speed_mps == pytest.approx(5 / 3.6)


def test_owntracks_leaves_out_a_speed_of_zero() -> None:
    still = Fix(1_790_000_000.0, 48.8675, 2.3635, 18.0, 0.0)

    assert "vel" not in json.loads(next_request(Dialect.OWNTRACKS, WHO, [still], 0).body)


def test_overland_sends_batches_and_the_newest_beside_a_long_queue() -> None:
    sent = request(Dialect.OVERLAND)

    fixes = parse_overland(sent.body).fixes
    assert sent.fixes == len(fixes) == 50
    assert fixes[1].fix_time_ms - fixes[0].fix_time_ms == 45_000
    assert json.loads(sent.body)["current"]["properties"]["timestamp"] == "2026-09-21T15:42:35Z"
    assert sent.headers["Authorization"] == "Bearer dk_key"


@pytest.mark.parametrize("shape", range(4))
def test_osmand_speaks_in_four_shapes(shape: int) -> None:
    sent = request(Dialect.OSMAND, shape)

    message = parse_osmand(
        key=None,
        query=urlsplit(sent.path).query.encode(),
        content_type=sent.headers.get("Content-Type", ""),
        body=sent.body,
    )
    assert message.key == "dk_key"
    assert len(message.parsed.fixes) == sent.fixes == (100 if shape == 3 else 1)
    fix = message.parsed.fixes[0]
    assert (fix.latitude_deg, fix.longitude_deg, fix.fix_time_ms) == (48.8675, 2.3635, 1_790_000_000_000)
    assert fix.speed_mps == pytest.approx(1.3, abs=0.01)


@pytest.mark.parametrize(
    ("dialect", "status", "answer", "expected"),
    [
        (Dialect.API, 202, {"accepted": 1, "rejected": []}, True),
        (Dialect.API, 503, {"code": "unavailable"}, False),
        (Dialect.OWNTRACKS, 200, [], True),
        (Dialect.OWNTRACKS, 200, {"result": "ok"}, False),
        (Dialect.OVERLAND, 200, {"result": "ok"}, True),
        (Dialect.OVERLAND, 200, None, False),
        (Dialect.OSMAND, 200, None, True),
        (Dialect.OSMAND, 0, None, False),
    ],
)
def test_a_phone_forgets_only_what_its_own_app_would_forget(
    dialect: Dialect, status: int, answer: object, expected: bool
) -> None:
    assert is_accepted(dialect, status, answer) is expected
