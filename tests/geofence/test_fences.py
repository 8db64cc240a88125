"""The fence services: snapshot, nearby fences, nearest stores, evaluation of a fix, creation and change."""

import math
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import shapely
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from geofence.errors import InvalidFenceError, UnknownGeofenceError, UnknownStoreError
from geofence.logic.geodesy import Point, measure_distance_m
from geofence.logic.matching import FenceRole
from geofence.models import Geofence, GeofenceRevision, Store
from geofence.services import snapshots
from geofence.services.fences import CircleShape, PolygonShape, change_geofence, create_geofence, list_shape_faults
from geofence.services.snapshots import current_snapshot, forget_snapshot
from geofence.services.surroundings import evaluate_fix, nearby, nearest_stores
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW, circle, partner, store
from tests.geofence.fixmaking import METRE_DEG
from tests.patience import SLACK_S

pytestmark = pytest.mark.django_db

SQUARE = {
    "type": "Polygon",
    "coordinates": [[[2.36, 48.866], [2.362, 48.866], [2.362, 48.868], [2.36, 48.868], [2.36, 48.866]]],
}
BOW_TIE = {
    "type": "Polygon",
    "coordinates": [[[2.36, 48.866], [2.362, 48.868], [2.362, 48.866], [2.36, 48.868], [2.36, 48.866]]],
}


def make_street(count: int, apart_m: float) -> list[Store]:
    """Stores in a line to the north of the Place de la République."""
    owner = partner()
    return [
        store(partner=owner, name=f"No {place}", latitude_deg=LATITUDE_DEG + place * apart_m * METRE_DEG)
        for place in range(count)
    ]


class TestCurrentSnapshot:
    def test_it_holds_active_fences_of_active_stores(self) -> None:
        shop = store(radius_m=None)
        kept = circle(shop, radius_m=120.0, dwell_s=60)
        ring = circle(shop, role="approach", radius_m=450.0)
        circle(shop, is_active=False)
        store(is_active=False)

        snapshot = current_snapshot()

        columns = snapshot.columns
        assert columns.geofence_id.tolist() == [kept.id, ring.id]
        assert columns.store_id.tolist() == [shop.id, shop.id]
        assert columns.role.tolist() == [FenceRole.STORE, FenceRole.APPROACH]
        assert (columns.radius_m.tolist(), columns.dwell_s.tolist()) == ([120.0, 450.0], [60.0, 180.0])

    def test_it_holds_polygons(self) -> None:
        shop = store(radius_m=None)
        create_geofence(store_id=shop.id, shape=PolygonShape(SQUARE), now=NOW)

        fixes, _ = current_snapshot().match([48.867, 48.8681], [2.361, 2.361])

        assert fixes.tolist() == [0]

    def test_it_is_the_same_object_and_costs_nothing_while_fresh(self) -> None:
        store()
        snapshot = current_snapshot()

        with CaptureQueriesContext(connection) as queries:
            assert current_snapshot() is snapshot

        assert len(queries) == 0

    def test_it_costs_one_query_when_nothing_changed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store()
        snapshot = current_snapshot()
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)

        with CaptureQueriesContext(connection) as queries:
            assert current_snapshot() is snapshot

        assert len(queries) == 1

    @pytest.mark.parametrize("edit", ["save", "update", "raw", "store", "delete"])
    def test_an_edit_of_any_kind_acts(self, edit: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.1)
        shop = store()
        before = current_snapshot()
        fence = Geofence.objects.get()
        edits: dict[str, Any] = {
            "save": lambda: fence.save(),
            "update": lambda: Geofence.objects.filter(pk=fence.id).update(radius_m=80.0),
            "raw": lambda: connection.cursor().execute("UPDATE geofence_geofence SET radius_m = 80"),
            "store": lambda: Store.objects.filter(pk=shop.id).update(is_active=False),
            "delete": lambda: fence.delete(),
        }
        fence.radius_m = 80.0

        edits[edit]()
        deadline = time.monotonic() + SLACK_S
        while current_snapshot() is before and time.monotonic() < deadline:
            time.sleep(0.05)

        expected = [] if edit in ("store", "delete") else [80.0]
        assert current_snapshot().columns.radius_m.tolist() == expected

    def test_an_edit_acts_within_two_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 1.0)
        store()
        before = current_snapshot()
        edited_at = time.monotonic()

        Geofence.objects.update(radius_m=80.0)
        while current_snapshot() is before and time.monotonic() - edited_at < SLACK_S:
            time.sleep(0.05)

        assert current_snapshot().columns.radius_m.tolist() == [80.0]
        assert time.monotonic() - edited_at < 2.0 + SLACK_S

    def test_a_version_number_that_comes_again_after_a_rollback_is_not_mistaken(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store()
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)
        version = current_snapshot().set_version
        point = transaction.savepoint()
        Geofence.objects.update(radius_m=80.0)
        undone = current_snapshot()
        transaction.savepoint_rollback(point)
        Geofence.objects.update(radius_m=90.0)

        again = current_snapshot()

        assert undone.set_version == again.set_version == version + 1
        assert again.columns.radius_m.tolist() == [90.0]

    def test_no_fences_at_all_is_a_snapshot_too(self) -> None:
        assert len(current_snapshot()) == 0


class TestNearby:
    def test_it_lists_the_nearest_first_and_no_more_than_asked(self) -> None:
        street = make_street(8, 500)

        found = nearby(latitude_deg=LATITUDE_DEG, longitude_deg=LONGITUDE_DEG, limit=3)

        assert [fence.store_id for fence in found.fences] == [shop.uuid for shop in street[:3]]
        first = found.fences[0]
        assert (first.role, first.radius_m, first.dwell_s, first.version) == ("store", 150.0, 180, 1)
        assert first.geofence_id == Geofence.objects.get(store=street[0]).uuid

    @pytest.mark.parametrize("limit", [1, 3, 7])
    def test_within_the_validity_circle_no_fence_off_the_list_can_be_reached(self, limit: int) -> None:
        rng = np.random.default_rng(limit)
        owner = partner()
        for north_m, east_m in rng.uniform(-4_000, 4_000, (40, 2)):
            store(
                partner=owner,
                latitude_deg=LATITUDE_DEG + north_m * METRE_DEG,
                longitude_deg=LONGITUDE_DEG + east_m * METRE_DEG,
            )
        snapshot = current_snapshot()

        found = nearby(latitude_deg=LATITUDE_DEG + 0.0004, longitude_deg=LONGITUDE_DEG - 0.0003, limit=limit)

        listed = {fence.geofence_id for fence in found.fences}
        centre = Point(found.latitude_deg, found.longitude_deg)
        assert found.validity_radius_m > 100
        for fence in Geofence.objects.all():
            edge_m = measure_distance_m(centre, Point(fence.latitude_deg, fence.longitude_deg)) - 150.0
            assert fence.uuid in listed or edge_m >= found.validity_radius_m
        assert len(snapshot) == 40

    def test_with_all_fences_listed_the_circle_is_wide(self) -> None:
        make_street(2, 500)

        found = nearby(latitude_deg=LATITUDE_DEG, longitude_deg=LONGITUDE_DEG, limit=19)

        assert (len(found.fences), found.validity_radius_m) == (2, 50_000.0)

    def test_the_etag_stays_on_the_same_corner_and_changes_with_the_list(self) -> None:
        shop = make_street(2, 500)[0]
        here = {"latitude_deg": 48.8671, "longitude_deg": 2.3631, "limit": 19}
        first = nearby(**here)

        same_corner = nearby(**{**here, "latitude_deg": 48.8674})
        elsewhere = nearby(**{**here, "latitude_deg": 48.8771})
        change_geofence(geofence_id=Geofence.objects.get(store=shop).id, dwell_s=90, now=NOW)
        forget_snapshot()
        changed = nearby(**here)

        assert same_corner == first
        assert len({first.etag, elsewhere.etag, changed.etag}) == 3
        assert first.etag.startswith('"')

    def test_a_polygon_comes_as_the_circle_around_it(self) -> None:
        shop = store(radius_m=None)
        create_geofence(store_id=shop.id, shape=PolygonShape(SQUARE), now=NOW)

        (fence,) = nearby(latitude_deg=48.867, longitude_deg=2.361, limit=1).fences

        centre = Point(fence.latitude_deg, fence.longitude_deg)
        for longitude_deg, latitude_deg in SQUARE["coordinates"][0]:
            assert measure_distance_m(centre, Point(latitude_deg, longitude_deg)) <= fence.radius_m
        assert fence.radius_m < 160

    def test_without_fences_the_list_is_empty(self) -> None:
        found = nearby(latitude_deg=10.0, longitude_deg=179.9999, limit=19)

        assert (found.fences, found.validity_radius_m) == ((), 50_000.0)


class TestNearestStores:
    def test_they_come_nearest_first_among_those_asked_for(self) -> None:
        street = make_street(5, 300)
        store(name="Closed", is_active=False)
        chosen = [shop.id for shop in street[1:]]

        found = nearest_stores(
            latitude_deg=LATITUDE_DEG, longitude_deg=LONGITUDE_DEG, store_ids=[*chosen, 10**9], limit=2
        )

        assert [shop.id for shop in found] == chosen[:2]
        assert (found[0].uuid, found[0].name) == (street[1].uuid, "No 1")
        assert found[0].distance_m == pytest.approx(300, abs=1)

    def test_all_are_asked_for_by_default_and_none_when_none_are_named(self) -> None:
        make_street(3, 300)
        here = {"latitude_deg": LATITUDE_DEG, "longitude_deg": LONGITUDE_DEG}

        assert len(nearest_stores(**here, limit=10)) == 3
        assert nearest_stores(**here, store_ids=[], limit=10) == ()


class TestEvaluateFix:
    def test_a_fix_at_the_door_is_inside(self) -> None:
        street = make_street(2, 1_000)

        evaluated = evaluate_fix(latitude_deg=LATITUDE_DEG, longitude_deg=LONGITUDE_DEG, accuracy_m=12.0)

        assert evaluated.is_inside
        assert (evaluated.store_id, evaluated.store_uuid) == (street[0].id, street[0].uuid)
        assert evaluated.geofence_id == Geofence.objects.get(store=street[0]).id
        assert (evaluated.inside_share, evaluated.accuracy_m) == (1.0, 12.0)
        assert evaluated.outside_m == pytest.approx(-150, abs=0.01)
        assert evaluated.distance_m == pytest.approx(0, abs=0.01)

    def test_a_fix_down_the_street_names_the_nearest_store_and_how_far_it_is(self) -> None:
        street = make_street(2, 1_000)

        evaluated = evaluate_fix(
            latitude_deg=LATITUDE_DEG + 700 * METRE_DEG,
            longitude_deg=LONGITUDE_DEG,
            accuracy_m=None,
            store_ids=[shop.id for shop in street],
        )

        assert not evaluated.is_inside
        assert (evaluated.inside_share, evaluated.accuracy_m) == (0.0, 100.0)
        assert evaluated.outside_m == pytest.approx(150, abs=1)
        assert evaluated.nearest is not None
        assert (evaluated.nearest.id, round(evaluated.nearest.distance_m)) == (street[1].id, 300)

    def test_only_the_stores_asked_for_count(self) -> None:
        street = make_street(2, 1_000)

        evaluated = evaluate_fix(
            latitude_deg=LATITUDE_DEG, longitude_deg=LONGITUDE_DEG, accuracy_m=12.0, store_ids=[street[1].id]
        )

        assert (evaluated.is_inside, evaluated.store_id) == (False, street[1].id)

    def test_an_approach_ring_does_not_unlock(self) -> None:
        shop = store()
        circle(shop, role="approach", radius_m=900.0)

        evaluated = evaluate_fix(
            latitude_deg=LATITUDE_DEG + 400 * METRE_DEG, longitude_deg=LONGITUDE_DEG, accuracy_m=5.0
        )

        assert not evaluated.is_inside

    @pytest.mark.parametrize("store_ids", [None, [], [10**9]])
    def test_without_a_fence_nothing_is_evaluated(self, store_ids: list[int] | None) -> None:
        store(radius_m=None)

        evaluated = evaluate_fix(
            latitude_deg=LATITUDE_DEG, longitude_deg=LONGITUDE_DEG, accuracy_m=math.nan, store_ids=store_ids
        )

        assert (evaluated.store_id, evaluated.outside_m, evaluated.is_inside) == (None, None, False)
        assert (evaluated.nearest is None) is (store_ids is not None)


class TestCreateGeofence:
    def test_a_circle_gets_its_first_revision(self) -> None:
        shop = store(radius_m=None)

        fence = create_geofence(
            store_id=shop.id, role="approach", shape=CircleShape(48.8675, 2.3635, 450.0), dwell_s=0, now=NOW
        )

        fence.refresh_from_db()
        assert (fence.role, fence.shape, fence.radius_m, fence.dwell_s) == ("approach", "circle", 450.0, 0)
        assert (fence.version, fence.updated_at) == (1, NOW)
        revision = GeofenceRevision.objects.get()
        assert (revision.geofence_id, revision.version, revision.radius_m) == (fence.id, 1, 450.0)

    def test_a_polygon_is_stored_vertex_by_vertex(self) -> None:
        shop = store(radius_m=None)

        fence = create_geofence(store_id=shop.id, shape=PolygonShape(SQUARE), now=NOW)

        fence.refresh_from_db()
        assert fence.area is not None
        assert shapely.from_wkb(bytes(fence.area.wkb)).equals_exact(shapely.Polygon(SQUARE["coordinates"][0]), 0)
        assert (fence.latitude_deg, fence.longitude_deg) == pytest.approx((48.867, 2.361))

    @pytest.mark.parametrize(
        ("shape", "codes"),
        [
            (CircleShape(91.0, 2.36, 10.0), ["coordinates_swapped", "radius_too_small"]),
            (PolygonShape(BOW_TIE), ["not_valid"]),
            (PolygonShape("{"), ["not_json"]),
        ],
    )
    def test_a_bad_shape_is_refused_with_all_its_faults(
        self, shape: CircleShape | PolygonShape, codes: list[str]
    ) -> None:
        shop = store(radius_m=None)

        with pytest.raises(InvalidFenceError) as refused:
            create_geofence(store_id=shop.id, shape=shape, now=NOW)

        assert [fault.code.value for fault in refused.value.faults] == codes
        assert refused.value.code == "invalid_geofence"
        assert list_shape_faults(shape) == refused.value.faults
        assert not Geofence.objects.exists()

    def test_a_warning_does_not_refuse(self) -> None:
        shop = store(radius_m=None)

        fence = create_geofence(store_id=shop.id, shape=CircleShape(48.8675, 2.3635, 60.0), now=NOW)

        assert fence.radius_m == 60.0

    def test_an_unknown_store_is_refused(self) -> None:
        with pytest.raises(UnknownStoreError):
            create_geofence(store_id=10**9, shape=CircleShape(48.8675, 2.3635, 150.0), now=NOW)


class TestChangeGeofence:
    def test_a_change_raises_the_version_and_keeps_the_old_shape(self) -> None:
        shop = store(radius_m=None)
        fence = create_geofence(store_id=shop.id, shape=CircleShape(48.8675, 2.3635, 150.0), now=NOW)
        later = NOW + timedelta(days=1)

        change_geofence(geofence_id=fence.id, shape=PolygonShape(SQUARE), dwell_s=60, now=later)

        fence.refresh_from_db()
        assert (fence.shape, fence.radius_m, fence.dwell_s) == ("polygon", None, 60)
        assert (fence.version, fence.updated_at) == (2, later)
        revisions = GeofenceRevision.objects.order_by("version")
        assert [(row.version, row.shape, row.radius_m) for row in revisions] == [
            (1, "circle", 150.0),
            (2, "polygon", None),
        ]

    def test_a_fence_can_be_put_to_rest(self) -> None:
        store()
        fence = Geofence.objects.get()

        change_geofence(geofence_id=fence.id, is_active=False, now=NOW)

        assert len(current_snapshot()) == 0

    def test_a_bad_change_changes_nothing(self) -> None:
        store()
        fence = Geofence.objects.get()

        with pytest.raises(InvalidFenceError):
            change_geofence(geofence_id=fence.id, shape=CircleShape(48.8675, 2.3635, 5_000.0), now=NOW)

        fence.refresh_from_db()
        assert (fence.version, fence.radius_m) == (1, 150.0)
        assert not GeofenceRevision.objects.exists()

    def test_an_unknown_fence_is_refused(self) -> None:
        with pytest.raises(UnknownGeofenceError):
            change_geofence(geofence_id=10**9, is_active=False, now=NOW)
