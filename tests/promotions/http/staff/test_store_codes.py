"""`GET /v1/staff/store-codes`: ten minutes of codes with their pictures, for the store's kiosk alone."""

import base64
from typing import Any

import pytest
import segno

from geofence.models import Store
from promotions.logic.store_codes import StoreCode
from promotions.models import StaffDevice
from promotions.services.presence.store_codes import check_store_code
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(now: Any) -> Store:
    return factories.store(radius_m=None)


def test_a_kiosk_gets_forty_codes_by_the_servers_clock(store: Store) -> None:
    answer = tills.kiosk(store).get("store-codes")

    body = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (body["server_time"], body["step_s"]) == ("2026-09-22T10:30:00Z", 15)
    assert body["store"] == {"id": str(store.uuid), "name": "République", "timezone": "Europe/Paris"}
    first = NOW.timestamp() // 15
    assert [code["step"] for code in body["codes"]] == [first + ahead for ahead in range(40)]
    shown = check_store_code(store_uuid=store.uuid, proof=body["codes"][0]["proof"], now=NOW)
    assert shown == StoreCode(int(first), body["codes"][0]["proof"])


def test_the_picture_is_the_qr_of_the_proof(store: Store) -> None:
    code = tills.kiosk(store).get("store-codes").json()["codes"][7]

    side, packed = code["qr"]["modules"], base64.b64decode(code["qr"]["bits"])
    bits = "".join(f"{byte:08b}" for byte in packed)
    rows = [[int(bit) for bit in bits[row * side : (row + 1) * side]] for row in range(side)]
    assert rows == [list(row) for row in segno.make_qr(code["proof"], error="m").matrix]
    assert set(bits[side * side :]) <= {"0"}


def test_no_two_stores_show_the_same(store: Store) -> None:
    other = factories.store(radius_m=None)

    proofs = {each["proof"] for at in (store, other) for each in tills.kiosk(at).get("store-codes").json()["codes"]}

    assert len(proofs) == 80


def test_a_till_gets_none(store: Store) -> None:
    answer = tills.till(store, is_manager=True).get("store-codes")

    assert tills.problem_of(answer) == (403, "profile_forbidden")


def test_a_kiosk_that_was_switched_off_gets_none(store: Store) -> None:
    kiosk = tills.kiosk(store)
    StaffDevice.objects.update(revoked_at=NOW)

    assert tills.problem_of(kiosk.get("store-codes")) == (401, "token_revoked")


def test_strangers_and_parameters_are_refused(store: Store) -> None:
    kiosk = tills.kiosk(store)

    assert tills.problem_of(tills.Till(kiosk.row, "x" * 43).get("store-codes")) == (401, "token_malformed")
    assert tills.problem_of(kiosk.get("store-codes", count=1000)) == (400, "invalid_input")
