"""`advance_presence` and `record_presence` on a real database."""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from geofence.logic.fixes import FixArray, FixFlag
from geofence.logic.presence import ExitReason, TransitionKind
from geofence.models import Geofence, LastFix, Presence, Visit
from geofence.services.presence import DropReason, PresenceAdvance, advance_presence, record_presence
from geofence.services.snapshots import current_snapshot, forget_snapshot
from tests.factories import NOW, circle, store
from tests.geofence.fixmaking import make_fix, make_visit, pack

pytestmark = pytest.mark.django_db

ADA = UUID("0198b6f0-0000-7000-8000-0000000000ad")


def work(fixes: FixArray) -> PresenceAdvance:
    forget_snapshot()
    advance = advance_presence(fixes, snapshot=current_snapshot())
    record_presence(advance)
    return advance


def list_kinds(advance: PresenceAdvance) -> list[str]:
    return [step.kind.value for step in advance.transitions]


def list_visits() -> list[dict[str, Any]]:
    return list(Visit.objects.order_by("entered_at", "device_id", "id").values())


def test_a_visit_is_entered_confirmed_and_closed() -> None:
    shop = store()

    advance = work(pack(make_visit(ADA)))

    assert list_kinds(advance) == ["enter", "dwell", "exit"]
    visit = Visit.objects.get()
    assert visit.id == advance.transitions[0].visit_id
    assert (visit.device_id, visit.store_id, visit.geofence_version) == (ADA, shop.id, 1)
    assert visit.entered_at == NOW + timedelta(seconds=60)
    assert visit.confirmed_at == NOW + timedelta(seconds=240)
    assert visit.confirmed_by == "dwell"
    assert visit.last_inside_at == NOW + timedelta(seconds=360)
    assert visit.exited_at == NOW + timedelta(seconds=420)
    assert visit.exit_reason == "departed"
    assert not Presence.objects.exists()


def test_a_transition_carries_the_fix_that_made_it() -> None:
    shop = store()
    fix = make_fix(ADA, 60, 5, accuracy_m=7.5, flags=FixFlag.REPLAYED | FixFlag.OS_ENTER, request_id=2**63 + 5)

    (enter,) = work(pack([fix])).transitions

    assert (enter.device_id, enter.store_id, enter.role) == (ADA, shop.id, "store")
    assert enter.kind is TransitionKind.ENTER
    assert enter.fix_time == enter.at == NOW + timedelta(seconds=60)
    assert enter.received_at == NOW + timedelta(seconds=61)
    assert enter.inside_share == 1.0
    assert enter.accuracy_m == 7.5
    assert enter.request_id == 2**63 + 5
    assert FixFlag(enter.flags) == FixFlag.REPLAYED | FixFlag.OS_ENTER


def test_a_backlog_in_pieces_gives_the_visits_of_the_live_run() -> None:
    store()
    fixes = make_visit(ADA) + make_visit(ADA, start_s=900) + make_visit(ADA, start_s=9000, stay_s=90)

    live = [step for fix in fixes for step in work(pack([fix])).transitions]
    visits = list_visits()
    Visit.objects.all().delete()
    LastFix.objects.all().delete()
    backlog = work(pack(fixes)).transitions

    assert backlog == tuple(live)
    assert list_visits() == visits
    assert len(visits) == 3


def test_a_shuffled_batch_gives_the_visits_of_the_ordered_one() -> None:
    store()
    others = [uuid4() for _ in range(5)]
    fixes = pack([fix for device_id in [ADA, *others] for fix in make_visit(device_id)])
    ordered = advance_presence(fixes, snapshot=current_snapshot())

    shuffled = np.random.default_rng(7).permutation(np.concatenate([fixes, fixes[::3]]))
    advance = work(shuffled)

    assert advance.transitions == ordered.transitions
    assert advance.visits == ordered.visits
    assert advance.dropped == {DropReason.DUPLICATE: len(fixes[::3]), DropReason.LATE: 0}
    assert Visit.objects.count() == 6


def test_working_a_batch_again_moves_nothing() -> None:
    store()
    fixes = pack(make_visit(ADA)[:8])
    work(fixes)
    before = (list_visits(), list(Presence.objects.values()), list(LastFix.objects.values()))

    again = work(fixes)

    assert again.transitions == ()
    assert again.dropped == {DropReason.DUPLICATE: 1, DropReason.LATE: 7}
    assert (list_visits(), list(Presence.objects.values()), list(LastFix.objects.values())) == before


def test_recording_twice_writes_the_same_rows() -> None:
    store()
    advance = advance_presence(pack(make_visit(ADA)[:12]), snapshot=current_snapshot())

    record_presence(advance)
    before = (list_visits(), list(Presence.objects.values()), list(LastFix.objects.values()))
    record_presence(advance)

    assert (list_visits(), list(Presence.objects.values()), list(LastFix.objects.values())) == before


def test_a_late_fix_moves_nothing_and_is_counted() -> None:
    store()
    work(pack([make_fix(ADA, 600, 2_000)]))

    advance = work(pack([make_fix(ADA, 100, 5), make_fix(ADA, 600, 5), make_fix(ADA, 700, 2_000)]))

    assert advance.transitions == ()
    assert advance.dropped == {DropReason.LATE: 1, DropReason.DUPLICATE: 1}
    assert advance.kept_index.tolist() == [2]
    assert LastFix.objects.get().fix_time == NOW + timedelta(seconds=700)


def test_of_two_fixes_of_one_instant_the_more_accurate_is_used() -> None:
    store()
    vague = make_fix(ADA, 60, 5, accuracy_m=900.0)
    unknown = make_fix(ADA, 60, 5, accuracy_m=float("nan"))

    advance = work(pack([vague, unknown, make_fix(ADA, 60, 5, accuracy_m=12.0)]))

    assert advance.kept_index.tolist() == [2]
    assert advance.dropped[DropReason.DUPLICATE] == 2
    assert advance.transitions[0].accuracy_m == 12.0


def test_a_device_far_from_all_fences_leaves_its_last_cell_only() -> None:
    store()

    work(pack([make_fix(ADA, 0, 30_000)]))

    last = LastFix.objects.get()
    assert (last.cell_latitude_deg, last.cell_longitude_deg) == (49.14, 2.36)
    assert not Presence.objects.exists()
    assert not Visit.objects.exists()


def test_an_approach_ring_emits_transitions_but_stores_no_visit() -> None:
    shop = store()
    circle(shop, role="approach", radius_m=450.0)

    advance = work(pack([make_fix(ADA, 0, 300), make_fix(ADA, 30, 290)]))

    (enter,) = advance.transitions
    assert (enter.role, enter.kind, enter.visit_id) == ("approach", TransitionKind.ENTER, None)
    assert Presence.objects.get().state == "inside"
    assert not Visit.objects.exists()


def test_exits_come_before_enters_of_the_same_fix() -> None:
    here = store()
    there = store(name="Nation", latitude_deg=here.latitude_deg + 0.01)

    advance = work(pack([make_fix(ADA, 0, 0), make_fix(ADA, 10, 600), make_fix(ADA, 45, 1112, accuracy_m=9.0)]))

    reported = [(step.kind.value, step.store_id) for step in advance.transitions]
    assert reported == [("enter", here.id), ("exit", here.id), ("enter", there.id)]
    assert advance.transitions[1].fix_time == advance.transitions[2].fix_time


def test_a_gap_closes_the_visit_and_a_new_one_opens_hours_later_in_one_batch() -> None:
    store()
    fixes = [make_fix(ADA, 0, 5), make_fix(ADA, 30, 5), make_fix(ADA, 5 * 3600, 5)]

    advance = work(pack(fixes))

    assert list_kinds(advance) == ["enter", "exit", "enter"]
    assert advance.transitions[1].reason is ExitReason.GAP
    closed, opened = Visit.objects.order_by("entered_at")
    assert (closed.exited_at, closed.exit_reason) == (NOW + timedelta(seconds=30), "gap")
    assert (opened.exited_at, opened.entered_at) == (None, NOW + timedelta(hours=5))


@pytest.mark.parametrize("removed", ["fence", "store"])
def test_a_fence_that_left_the_set_closes_its_visit(removed: str) -> None:
    shop = store()
    work(pack(make_visit(ADA)[:6]))
    if removed == "fence":
        Geofence.objects.update(is_active=False)
    else:
        shop.is_active = False
        shop.save(update_fields=["is_active"])

    advance = work(pack([make_fix(ADA, 400, 5, request_id=9)]))

    (exit_,) = advance.transitions
    assert (exit_.kind, exit_.reason, exit_.request_id) == (TransitionKind.EXIT, ExitReason.FENCE_REMOVED, 9)
    visit = Visit.objects.get()
    assert (visit.exit_reason, visit.exited_at) == ("fence_removed", visit.last_inside_at)
    assert not Presence.objects.exists()


def test_a_fence_deleted_after_the_snapshot_takes_its_rows_along() -> None:
    store()
    snapshot = current_snapshot()
    Geofence.objects.all().delete()

    record_presence(advance_presence(pack(make_visit(ADA)[:6]), snapshot=snapshot))

    assert not Visit.objects.exists()
    assert not Presence.objects.exists()
    assert LastFix.objects.count() == 1


def test_presence_goes_on_through_a_change_of_the_fence() -> None:
    store()
    work(pack([make_fix(ADA, 0, 5)]))
    Geofence.objects.update(radius_m=200.0, version=2)

    advance = work(pack([make_fix(ADA, 60, 170), make_fix(ADA, 200, 170)]))

    assert list_kinds(advance) == ["dwell"]
    assert Visit.objects.get().geofence_version == 1


def test_the_statements_of_a_batch_do_not_grow_with_it() -> None:
    store()
    counts = []

    for size in (10, 500):
        devices = [uuid4() for _ in range(size)]
        fixes = pack([fix for device_id in devices for fix in make_visit(device_id)[:6]])
        snapshot = current_snapshot()
        with CaptureQueriesContext(
            connection,
        ) as first:
            record_presence(advance_presence(fixes, snapshot=snapshot))
        later = pack([fix for device_id in devices for fix in make_visit(device_id)[6:]])
        with CaptureQueriesContext(connection) as second:
            record_presence(advance_presence(later, snapshot=snapshot))
        counts.append((len(first), len(second)))
        assert Visit.objects.filter(exit_reason="departed", device_id__in=devices).count() == size

    assert counts == [(5, 5), (5, 5)]


def test_a_phone_that_stays_moves_the_end_of_its_visit_and_nothing_else_of_it() -> None:
    store()
    work(pack([make_fix(ADA, 0, 5), make_fix(ADA, 200, 5)]))
    before = Visit.objects.values().get()

    advance = work(pack([make_fix(ADA, 230, 5), make_fix(ADA, 260, 30)]))

    assert (advance.visits, advance.rows) == ((), {"presence": 1, "visit": 1})
    assert Visit.objects.values().get() == {**before, "last_inside_at": NOW + timedelta(seconds=260)}


def test_a_device_erased_between_computing_and_writing_stays_erased() -> None:
    store()
    work(pack([make_fix(ADA, 0, 5)]))
    advance = advance_presence(pack([make_fix(ADA, 30, 5)]), snapshot=current_snapshot())

    for model in (Presence, Visit, LastFix):
        model.objects.filter(device_id=ADA).delete()
    record_presence(advance)

    assert not Presence.objects.exists()
    assert not Visit.objects.exists()


def test_one_phone_with_thousands_of_fixes_and_many_with_few_go_together() -> None:
    store()
    others = [uuid4() for _ in range(40)]
    long_stay = make_visit(ADA, stay_s=3_000 * 30)
    batch = pack(long_stay + [fix for device_id in others for fix in make_visit(device_id)])

    advance = work(batch)

    assert Counter(list_kinds(advance)) == {"enter": 41, "dwell": 41, "exit": 41}
    ada = Visit.objects.get(device_id=ADA)
    assert (ada.exited_at, ada.confirmed_by) == (NOW + timedelta(seconds=60 + 3_000 * 30 + 60), "dwell")
    assert Visit.objects.filter(exit_reason="departed").count() == 41


def test_an_empty_batch_is_nothing() -> None:
    store()

    advance = work(pack([]))

    assert advance.transitions == ()
    assert advance.dropped == {DropReason.DUPLICATE: 0, DropReason.LATE: 0}


@pytest.mark.parametrize(("ends_at_m", "is_penalized"), [(20, True), (400, False)])
@pytest.mark.parametrize("batches", [1, 2])
def test_no_one_steps_off_a_train_at_full_speed_into_a_store(
    ends_at_m: float, is_penalized: bool, batches: int
) -> None:
    store()
    fixes = pack([make_fix(ADA, 0, 5_200), make_fix(ADA, 60, ends_at_m)])

    for part in np.array_split(fixes, batches):
        work(part)

    penalty_until = LastFix.objects.get().jump_hold_until
    assert (penalty_until is not None) is is_penalized
    if penalty_until is not None:
        assert penalty_until == pytest.approx(NOW + timedelta(seconds=60 + 1_480), abs=timedelta(seconds=250))
