"""The wallet: pages, one unlock and its QR, for the owner only."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from promotions.models import Campaign, Unlock
from promotions.simulation.world import CouponInHand
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.promotions.http.device.doors import request_unlock

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    return factories.campaign()


@pytest.fixture
def bo_client(now: Any) -> DeviceClient:
    """Another device."""
    return DeviceClient(factories.device())


def fill(client: DeviceClient, count: int, *, since: datetime = NOW) -> list[str]:
    """Unlocks of the device, the last one first; three share an instant."""
    store = factories.store()
    unlocks = [
        Unlock.objects.create(
            campaign=factories.campaign(store, kind="instant_win"),
            device=client.device,
            store=store,
            outcome="lost",
            level=1,
            granted_at=since + timedelta(seconds=number // 3),
        )
        for number in range(count)
    ]
    unlocks.sort(key=lambda unlock: (unlock.granted_at, unlock.pk), reverse=True)
    return [str(unlock.pk) for unlock in unlocks]


def test_the_wallet_comes_in_pages_without_gaps_or_repeats(ada_client: DeviceClient) -> None:
    expected = fill(ada_client, 7)

    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = ada_client.get("/v1/unlocks", {"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += [unlock["unlock_id"] for unlock in page["unlocks"]]
        cursor, pages = page["next"], pages + 1

    assert found == expected
    assert pages == 4


def test_an_unlock_that_arrives_while_paging_shifts_nothing(ada_client: DeviceClient) -> None:
    expected = fill(ada_client, 4)
    first = ada_client.get("/v1/unlocks", {"limit": 2}).json()
    fill(ada_client, 9, since=NOW + timedelta(minutes=1))

    second = ada_client.get("/v1/unlocks", {"limit": 2, "cursor": first["next"]}).json()

    assert [unlock["unlock_id"] for unlock in second["unlocks"]] == expected[2:4]


def test_a_page_needs_the_same_number_of_queries_for_any_length(
    ada_client: DeviceClient, django_assert_num_queries: Any
) -> None:
    fill(ada_client, 20)

    # The device, the unlocks; no coupon of these has redemptions to look for.
    with django_assert_num_queries(2):
        ada_client.get("/v1/unlocks")


def test_a_cursor_of_another_device_is_refused(ada_client: DeviceClient, bo_client: DeviceClient) -> None:
    fill(ada_client, 3)
    cursor = ada_client.get("/v1/unlocks", {"limit": 1}).json()["next"]

    assert_problem(bo_client.get("/v1/unlocks", {"cursor": cursor}), "invalid_input", pointers=["?cursor"])


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("cursor=nonsense", ["?cursor"]),
        ("cursor=", ["?cursor"]),
        ("cursor=%00", ["?cursor"]),
        ("cursor=%ff%fe", ["?cursor"]),
        ("cursor=" + "x" * 301, ["?cursor"]),
        ("limit=0", ["?limit"]),
        ("limit=101", ["?limit"]),
        ("limit=1_0", ["?limit"]),
        ("limit=9" + "9" * 400, ["?limit"]),
        ("limit=ten&page=2", ["?limit", "?page"]),
        ("limit=1&limit=2", ["?limit"]),
    ],
)
def test_bad_parameters_are_named(ada_client: DeviceClient, query: str, pointers: list[str]) -> None:
    assert_problem(ada_client.get(f"/v1/unlocks?{query}"), "invalid_input", pointers=pointers)


def test_an_unlock_can_be_looked_at_again(ada_client: DeviceClient, campaign: Campaign) -> None:
    granted = request_unlock(ada_client, campaign).json()

    assert ada_client.get(f"/v1/unlocks/{granted['unlock_id']}").json() == granted
    assert ada_client.get("/v1/unlocks").json() == {"unlocks": [granted], "next": None}


def test_the_qr_is_an_svg_without_anything_from_elsewhere(ada_client: DeviceClient, campaign: Campaign) -> None:
    granted = request_unlock(ada_client, campaign).json()

    response = ada_client.get(granted["coupon"]["qr_path"])

    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")
    assert response.content.startswith(b"<?xml")
    assert b"<svg" in response.content
    assert b"href" not in response.content
    assert response["Cache-Control"] == "private, no-store"


def test_the_qr_contains_the_token(ada_client: DeviceClient, campaign: Campaign) -> None:
    import segno

    granted = request_unlock(ada_client, campaign).json()

    path = segno.make_qr(granted["coupon"]["qr_token"], error="m").svg_inline(scale=8, border=4)

    rendered = ada_client.get(granted["coupon"]["qr_path"]).content.decode()
    assert path.split(' d="')[1].split('"')[0] in rendered


def test_the_qr_of_a_later_step_is_another_one(
    ada_client: DeviceClient, campaign: Campaign, set_clock: Callable[[datetime], None]
) -> None:
    granted = request_unlock(ada_client, campaign, key="unlock-1").json()["coupon"]
    image = ada_client.get(granted["qr_path"]).content

    set_clock(NOW + timedelta(seconds=15))
    later = ada_client.get("/v1/unlocks").json()["unlocks"][0]["coupon"]
    repeated = request_unlock(ada_client, campaign, key="unlock-1").json()["coupon"]

    assert later["qr_token"] != granted["qr_token"]
    assert later["rotation"] == granted["rotation"]
    assert ada_client.get(granted["qr_path"]).content != image
    # A replayed answer has the current QR: the old one would soon be rejected as a screenshot.
    assert repeated == later
    assert granted["qr_valid_until"] == "2026-09-22T10:30:45Z"
    assert later["qr_valid_until"] == "2026-09-22T10:31:00Z"


def test_the_app_can_draw_the_next_qr_itself(
    ada_client: DeviceClient, campaign: Campaign, set_clock: Callable[[datetime], None]
) -> None:
    rotation = request_unlock(ada_client, campaign).json()["coupon"]["rotation"]
    later = NOW + timedelta(seconds=15)

    shown = CouponInHand("", rotation["signed"], rotation["key"], rotation["step_s"]).render_qr(later.timestamp())

    set_clock(later)
    assert ada_client.get("/v1/unlocks").json()["unlocks"][0]["coupon"]["qr_token"] == shown


@pytest.mark.parametrize("suffix", ["", "/qr.svg"])
def test_the_unlock_of_another_device_is_not_found(
    ada_client: DeviceClient, bo_client: DeviceClient, campaign: Campaign, suffix: str
) -> None:
    unlock_id = request_unlock(ada_client, campaign).json()["unlock_id"]

    assert_problem(bo_client.get(f"/v1/unlocks/{unlock_id}{suffix}"), "not_found")
    assert_problem(bo_client.get(f"/v1/unlocks/{uuid.uuid4()}{suffix}"), "not_found")


def test_a_play_without_luck_has_no_qr(ada_client: DeviceClient) -> None:
    campaign = factories.campaign(kind="instant_win")
    unlock_id = request_unlock(ada_client, campaign).json()["unlock_id"]

    assert_problem(ada_client.get(f"/v1/unlocks/{unlock_id}/qr.svg"), "not_found")


def test_a_problem_is_json_also_for_an_image(ada_client: DeviceClient) -> None:
    response = ada_client.get(f"/v1/unlocks/{uuid.uuid4()}/qr.svg", headers={"Accept": "image/svg+xml"})

    assert_problem(response, "not_found")
