"""Stores and fences in the admin: saved through the service, every fault at its field, never a broken page."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from geofence.models import Geofence, Partner, Store
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

ADD = "admin:geofence_geofence_add"
SQUARE = [[2.362, 48.867], [2.365, 48.867], [2.365, 48.869], [2.362, 48.869], [2.362, 48.867]]


def polygon(ring: Any = SQUARE) -> str:
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


def circle_fields(store: Store, /, **given: Any) -> dict[str, Any]:
    return {
        "store": store.pk,
        "role": "store",
        "shape": "circle",
        "latitude_deg": LATITUDE_DEG,
        "longitude_deg": LONGITUDE_DEG,
        "radius_m": 120,
        "dwell_s": 180,
        "is_active": "on",
        **given,
    }


def polygon_fields(store: Store, text: str, **given: Any) -> dict[str, Any]:
    return {"store": store.pk, "role": "store", "shape": "polygon", "area_geojson": text, "dwell_s": 180, **given}


def faults(answer: HttpResponse) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return dict(answer.context_data["adminform"].form.errors)  # type: ignore[attr-defined]


@pytest.fixture
def store() -> Store:
    return factories.store(radius_m=None)


@pytest.fixture
def client(store: Store) -> Client:
    return rows.partner_manager(store.partner)


def test_a_circle_is_saved_with_its_first_revision(client: Client, store: Store) -> None:
    answer = client.post(reverse(ADD), circle_fields(store))

    fence = Geofence.objects.get()
    assert answer.status_code == 302
    assert (fence.store, fence.shape, fence.radius_m, fence.version) == (store, "circle", 120, 1)
    assert fence.updated_at == NOW
    assert fence.revisions.get().radius_m == 120


def test_a_polygon_is_saved_with_its_computed_centre(client: Client, store: Store) -> None:
    client.post(reverse(ADD), polygon_fields(store, polygon()))

    fence = Geofence.objects.get()
    assert (fence.shape, fence.radius_m) == ("polygon", None)
    assert fence.area is not None
    assert fence.area.num_coords == 5
    assert fence.latitude_deg == pytest.approx(48.868)


def test_a_change_raises_the_version_and_keeps_the_row(client: Client, store: Store) -> None:
    fence = factories.circle(store)

    client.post(reverse("admin:geofence_geofence_change", args=[fence.pk]), circle_fields(store, radius_m=200))

    fence.refresh_from_db()
    assert (fence.version, fence.radius_m, fence.is_active) == (2, 200, True)
    assert fence.revisions.get().version == 2


def test_a_circle_becomes_a_polygon_and_can_be_switched_off(client: Client, store: Store) -> None:
    fence = factories.circle(store)

    client.post(reverse("admin:geofence_geofence_change", args=[fence.pk]), polygon_fields(store, polygon()))

    fence.refresh_from_db()
    assert (fence.shape, fence.version, fence.is_active) == ("polygon", 2, False)


def test_a_radius_left_over_from_the_circle_does_not_spoil_a_polygon(client: Client, store: Store) -> None:
    client.post(reverse(ADD), polygon_fields(store, polygon(), radius_m=120, latitude_deg=1, longitude_deg=1))

    fence = Geofence.objects.get()
    assert (fence.radius_m, fence.latitude_deg) == (None, pytest.approx(48.868))


def test_a_fence_cannot_be_moved_to_another_store(client: Client, store: Store) -> None:
    fence, other = factories.circle(store), factories.store(partner=store.partner, radius_m=None)

    client.post(reverse("admin:geofence_geofence_change", args=[fence.pk]), circle_fields(other))

    fence.refresh_from_db()
    assert fence.store == store


def test_a_fence_of_a_foreign_store_cannot_be_drawn(client: Client) -> None:
    foreign = factories.store(radius_m=None)

    assert "store" in faults(client.post(reverse(ADD), circle_fields(foreign)))
    assert not Geofence.objects.exists()


def test_a_small_circle_is_saved_with_a_warning(client: Client, store: Store) -> None:
    answer = client.post(reverse(ADD), circle_fields(store, radius_m=60), follow=True)

    assert Geofence.objects.get().radius_m == 60
    assert "Below 100 m many phones" in answer.content.decode()


BAD_CIRCLES: list[tuple[dict[str, Any], set[str]]] = [
    ({"radius_m": ""}, {"radius_m"}),
    ({"radius_m": "nan"}, {"radius_m"}),
    ({"radius_m": "1e999"}, {"radius_m"}),
    ({"radius_m": "49"}, {"radius_m"}),
    ({"radius_m": "1001"}, {"radius_m"}),
    ({"latitude_deg": "91", "radius_m": "5"}, {"latitude_deg", "radius_m"}),
    ({"latitude_deg": "", "longitude_deg": "181", "radius_m": "120"}, {"latitude_deg"}),
    ({"latitude_deg": LONGITUDE_DEG, "longitude_deg": LATITUDE_DEG}, {"latitude_deg"}),
    ({"latitude_deg": "0", "longitude_deg": "0"}, {"latitude_deg"}),
    ({"dwell_s": "-1"}, {"dwell_s"}),
    ({"dwell_s": "99999999999999"}, {"dwell_s"}),
    ({"shape": "star"}, {"shape"}),
    ({"role": "moon"}, {"role"}),
    ({"store": "x"}, {"store"}),
    ({"store": ""}, {"store"}),
]


@pytest.mark.parametrize(("given", "fields"), BAD_CIRCLES)
def test_every_fault_of_a_circle_is_shown_at_its_field(
    client: Client, store: Store, given: dict[str, Any], fields: set[str]
) -> None:
    answer = client.post(reverse(ADD), circle_fields(store, **given))

    assert set(faults(answer)) == fields
    assert not Geofence.objects.exists()


BOW_TIE = [[2.362, 48.867], [2.365, 48.869], [2.365, 48.867], [2.362, 48.869], [2.362, 48.867]]
BAD_POLYGONS = [
    "",
    "   ",
    "{",
    "[]",
    "null",
    "[" * 100_000,
    '{"type": "Point", "coordinates": [2.3, 48.8]}',
    '{"type": "Polygon", "coordinates": []}',
    '{"type": "Polygon", "coordinates": [[[2.362, 48.867], [null, "x"], [NaN, Infinity]]]}',
    polygon(BOW_TIE),
    polygon(SQUARE[:-1]),
    polygon([[[x, y]] for x, y in SQUARE]),
    polygon([[y, x] for x, y in SQUARE]),
    polygon([[x * 1e300, y] for x, y in SQUARE]),
    polygon([[2.0 + n / 1e5, 48.0] for n in range(2_000)] + [[2.0, 48.0]]),
    "x" * 250_000,
    "\N{SNOWMAN}",
]


@pytest.mark.parametrize("text", BAD_POLYGONS, ids=range(len(BAD_POLYGONS)))
def test_a_bad_polygon_is_refused_at_its_field(client: Client, store: Store, text: str) -> None:
    answer = client.post(reverse(ADD), polygon_fields(store, text))

    assert set(faults(answer)) == {"area_geojson"}
    assert not Geofence.objects.exists()


def test_a_polygon_of_megabytes_is_refused_and_breaks_nothing(client: Client, store: Store) -> None:
    answer = client.post(reverse(ADD), polygon_fields(store, "x" * 3_000_000))

    assert answer.status_code == 400
    assert not Geofence.objects.exists()


def test_what_was_typed_stays_in_the_form(client: Client, store: Store) -> None:
    answer = client.post(reverse(ADD), polygon_fields(store, '{"type": "Polygon", "coordinates": "<b>"}'))

    assert "&lt;b&gt;" in answer.content.decode()


def test_the_map_gets_the_neighbours_but_not_the_fence_itself(client: Client, store: Store) -> None:
    fence = factories.circle(store)
    ring = factories.circle(store, role="approach", radius_m=450)
    factories.store(name="Stranger")

    answer = client.get(reverse("admin:geofence_geofence_surroundings"), {"fence": fence.pk}).json()

    assert answer["store"]["id"] == store.pk
    assert [outline["radius_m"] for outline in answer["fences"]] == [ring.radius_m]
    assert [place["name"] for place in answer["stores"]] == [store.name]


@pytest.mark.parametrize("requested", [{"store": "x"}, {"store": "9" * 40}, {"fence": "-1"}, {"store": "²"}, {}])
def test_the_map_answers_any_question(client: Client, requested: dict[str, str]) -> None:
    answer = client.get(reverse("admin:geofence_geofence_surroundings"), requested)

    assert answer.status_code == 200
    assert answer.json()["store"] is None


@pytest.mark.parametrize("store_id", ["x", "-1", "9" * 18, "9" * 40, "\N{SNOWMAN}", "1,2"])
def test_any_store_in_the_address_opens_the_form(client: Client, store_id: str) -> None:
    assert client.get(reverse(ADD), {"store": store_id}).status_code == 200


def test_the_map_returns_nothing_to_a_user_without_a_role(store: Store) -> None:
    assert rows.log_in().get(reverse("admin:geofence_geofence_surroundings")).status_code == 403


def test_a_store_of_the_user_s_partner_is_created_with_valid_hours(client: Client, store: Store) -> None:
    answer = client.post(
        reverse("admin:geofence_store_add"),
        store_fields(store.partner, opening_hours_mon="9:00-12:30, 14:00 – 19:00", opening_hours_sat="10:00-16:00"),
        follow=True,
    )

    made = Store.objects.get(name="Bastille")
    assert made.opening_hours == {"mon": [["09:00", "12:30"], ["14:00", "19:00"]], "sat": [["10:00", "16:00"]]}
    assert "Bastille has no fence yet" in answer.content.decode()


def store_fields(partner: Partner, /, **given: Any) -> dict[str, Any]:
    return {
        "partner": partner.pk,
        "name": "Bastille",
        "timezone": "Europe/Paris",
        "latitude_deg": "48.853",
        "longitude_deg": "2.369",
        "is_active": "on",
        "geofences-TOTAL_FORMS": 0,
        "geofences-INITIAL_FORMS": 0,
        **given,
    }


BAD_STORES: list[tuple[dict[str, Any], str]] = [
    ({"opening_hours_mon": "nine to five"}, "opening_hours"),
    ({"opening_hours_mon": "25:00-26:00"}, "opening_hours"),
    ({"opening_hours_mon": "09:00-12:00, 11:00-13:00"}, "opening_hours"),
    ({"timezone": "Europe/Atlantis"}, "timezone"),
    ({"latitude_deg": "nan"}, "latitude_deg"),
    ({"latitude_deg": "95"}, "latitude_deg"),
    ({"longitude_deg": "1e400"}, "longitude_deg"),
    ({"name": ""}, "name"),
    ({"name": "x" * 121}, "name"),
    ({"partner": "0"}, "partner"),
]


@pytest.mark.parametrize(("given", "field"), BAD_STORES)
def test_a_bad_store_is_refused_at_its_field(client: Client, store: Store, given: dict[str, Any], field: str) -> None:
    answer = client.post(reverse("admin:geofence_store_add"), store_fields(store.partner, **given))

    assert field in faults(answer)
    assert Store.objects.count() == 1


def test_each_invalid_day_has_a_sentence(client: Client, store: Store) -> None:
    hours = {
        "mon": "nine to five",
        "tue": "25:00-26:00",
        "wed": "10:00-09:00",
        "thu": "08:00-12:00",
        "fri": "9:00-12:00, 11:00-13:00",
    }
    posted = {f"opening_hours_{day}": line for day, line in hours.items()}

    answer = client.post(reverse("admin:geofence_store_add"), store_fields(store.partner, **posted))

    assert faults(answer)["opening_hours"] == [
        "Monday: “nine to five” does not have the form 09:00-19:00.",
        "Tuesday: “25:00” is no time; times go from 00:00 to 24:00.",
        "Thursday: 08:00-12:00 begins before Wednesday’s 10:00-09:00 is over, past midnight.",
        "Friday: 11:00-13:00 begins before 09:00-12:00 is over.",
    ]


def test_hours_that_cannot_be_changed_are_shown_as_they_are_read(store: Store) -> None:
    store.opening_hours = {"mon": [["09:00", "12:30"], ["14:00", "19:00"]]}
    store.save()
    analyst = rows.brand_analyst(factories.campaign(store).brand)

    page = analyst.get(reverse("admin:geofence_store_change", args=[store.pk])).content.decode()

    assert "Mon 09:00–12:30, 14:00–19:00<br>Tue closed<br>" in page
    assert "&quot;mon&quot;" not in page


def test_a_fence_is_offered_only_to_who_may_draw_it_there(client: Client, store: Store) -> None:
    brand = factories.campaign(store).brand
    address = reverse("admin:geofence_store_change", args=[store.pk])
    offer = "Draw a fence on the map"

    assert offer in client.get(address).content.decode()
    for stranger in (rows.brand_analyst(brand), rows.brand_manager(brand)):
        answer = stranger.get(address)
        assert answer.status_code == 200
        assert offer not in answer.content.decode()


def test_a_border_that_crosses_itself_is_reported_with_the_position(client: Client, store: Store) -> None:
    answer = client.post(reverse(ADD), polygon_fields(store, polygon(BOW_TIE)))

    assert faults(answer)["area_geojson"] == ["The border crosses itself near 48.86800, 2.36350."]


def test_a_store_cannot_be_given_to_a_foreign_partner(client: Client) -> None:
    answer = client.post(reverse("admin:geofence_store_add"), store_fields(factories.partner()))

    assert "partner" in faults(answer)


def test_tiles_are_asked_for_only_where_an_address_is_set(client: Client, store: Store, settings: Any) -> None:
    without = client.get(reverse(ADD)).content.decode()
    settings.MAP_TILE_URL = "https://tiles.example/{z}/{x}/{y}.png"
    with_tiles = client.get(reverse(ADD)).content.decode()

    assert 'data-tile-url=""' in without
    assert 'data-tile-url="https://tiles.example/{z}/{x}/{y}.png"' in with_tiles
