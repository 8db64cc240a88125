"""Confirmation of visits, evidence of a stay, export and erasure."""

from datetime import timedelta
from uuid import UUID

import pytest

from geofence.models import Visit
from geofence.services.presence import advance_presence, record_presence
from geofence.services.snapshots import current_snapshot
from geofence.services.visits import PresenceEvidence, confirm_visits, presence_evidence
from tests.factories import NOW, circle, store
from tests.geofence.fixmaking import make_fix, make_visit, pack

pytestmark = pytest.mark.django_db

ADA = UUID("0198b6f0-0000-7000-8000-0000000000ad")
BO = UUID("0198b6f0-0000-7000-8000-0000000000b0")


def work(*fixes: tuple[object, ...]) -> None:
    record_presence(advance_presence(pack(fixes), snapshot=current_snapshot()))


class TestConfirmVisits:
    def test_an_unlock_confirms_the_open_visit_and_the_dwell_does_not_undo_it(self) -> None:
        shop = store()
        work(make_fix(ADA, 0, 5))
        at = NOW + timedelta(seconds=20)

        confirmed = confirm_visits(device_id=ADA, store_id=shop.id, by="unlock", at=at)
        work(make_fix(ADA, 200, 5))

        visit = Visit.objects.get()
        assert [visit.id] == confirmed
        assert (visit.confirmed_at, visit.confirmed_by) == (at, "unlock")
        assert visit.last_inside_at == NOW + timedelta(seconds=200)

    def test_confirming_again_keeps_the_first(self) -> None:
        shop = store()
        work(make_fix(ADA, 0, 5))
        first = confirm_visits(device_id=ADA, store_id=shop.id, by="unlock", at=NOW)

        again = confirm_visits(device_id=ADA, store_id=shop.id, by="scan", at=NOW + timedelta(hours=1))

        visit = Visit.objects.get()
        assert (first, again) == ([visit.id], [])
        assert (visit.confirmed_at, visit.confirmed_by) == (NOW, "unlock")

    def test_without_an_open_visit_there_is_nothing_to_confirm(self) -> None:
        shop = store()
        other = store(latitude_deg=10.0)
        work(*make_visit(ADA, stay_s=90))
        work(make_fix(BO, 0, 5))

        assert confirm_visits(device_id=ADA, store_id=shop.id, by="scan", at=NOW) == []
        assert confirm_visits(device_id=BO, store_id=other.id, by="scan", at=NOW) == []
        assert not Visit.objects.filter(confirmed_at__isnull=False).exists()

    def test_only_an_unlock_or_a_scan_confirms(self) -> None:
        with pytest.raises(ValueError, match="dwell"):
            confirm_visits(device_id=ADA, store_id=1, by="dwell", at=NOW)


class TestPresenceEvidence:
    def test_it_shows_how_long_how_often_and_how_well_the_phone_was_seen_inside(self) -> None:
        shop = store()
        circle(shop, role="approach", radius_m=450.0)
        work(
            make_fix(ADA, -60, 300),
            make_fix(ADA, 0, 5, accuracy_m=30.0),
            make_fix(ADA, 60, 5, accuracy_m=8.0),
            make_fix(ADA, 90, 5, accuracy_m=20.0),
        )

        evidence = presence_evidence(device_id=ADA, store_id=shop.id)

        assert evidence == PresenceEvidence(
            inside_since_at=NOW,
            last_inside_at=NOW + timedelta(seconds=90),
            best_accuracy_m=8.0,
            inside_fixes=3,
            visit_entered_at=NOW,
        )

    def test_of_a_device_never_seen_there_is_none(self) -> None:
        shop = store()

        evidence = presence_evidence(device_id=ADA, store_id=shop.id)

        assert evidence == PresenceEvidence(None, None, None, 0, None)

    def test_after_a_gap_the_new_stay_is_evidence_though_no_new_visit(self) -> None:
        shop = store()
        work(make_fix(ADA, 0, 5), make_fix(ADA, 3600, 5), make_fix(ADA, 3630, 5))

        evidence = presence_evidence(device_id=ADA, store_id=shop.id)

        assert (evidence.inside_since_at, evidence.inside_fixes) == (NOW + timedelta(hours=1), 2)
        assert evidence.visit_entered_at is None
