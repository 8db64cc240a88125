"""How sure we are, from rows: with the phone's fix in hand, and without asking it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from geofence.models import LastFix, Presence, Store
from geofence.services.surroundings import evaluate_fix
from promotions.logic.assurance import Assurance, Level, StoreProof, Thresholds, assess
from promotions.models import Device, PointSighting, StoreCodeUse, Unlock
from promotions.services.devices.erasure import forget_device
from promotions.services.presence.assurance import (
    GivenFix,
    PresenceClaim,
    gather_evidence,
    level_known,
    name_proof,
    read_proof,
    read_thresholds,
)
from promotions.services.presence.store_codes import StoreCodeOutcome, render_store_codes
from promotions.services.retention import drop_expired
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW

pytestmark = pytest.mark.django_db

AT_DOOR = GivenFix(LATITUDE_DEG, LONGITUDE_DEG, 12.0, NOW)


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def device() -> Device:
    return factories.device()


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def stay(device: Device, store: Store, *, since_s: float = 200, until_s: float = 20, **given: Any) -> None:
    """A stay as the worker leaves it: the rows of presence and of the last fix."""
    values = {"state": "inside", "inside_fixes": 5, "best_accuracy_m": 10.0, **given}
    Presence.objects.create(
        device_id=device.pk,
        geofence=store.geofences.get(),
        last_fix_at=ago(until_s),
        entered_at=ago(since_s),
        inside_since_at=ago(since_s),
        last_inside_at=ago(until_s),
        **values,
    )
    LastFix.objects.create(device_id=device.pk, fix_time=ago(until_s), received_at=ago(until_s))


def assess_device(device: Device, store: Store) -> Assurance:
    """What a fix at the door is worth to a device that asks with it."""
    evaluation = evaluate_fix(
        latitude_deg=AT_DOOR.latitude_deg,
        longitude_deg=AT_DOOR.longitude_deg,
        accuracy_m=AT_DOOR.accuracy_m,
        store_ids=[store.pk],
    )
    claim = PresenceClaim(device.pk, device.registered_at, store.pk, AT_DOOR, evaluation)
    return assess(gather_evidence(claim, now=NOW))


def known(device: Device, store: Store, now: datetime = NOW) -> Level:
    return level_known(device_id=device.pk, store_id=store.pk, now=now, limits=Thresholds())


def test_a_fix_at_the_door_is_plausible_and_a_stay_makes_it_sustained(device: Device, store: Store) -> None:
    at_once = assess_device(device, store)
    stay(device, store)

    later = assess_device(device, store)

    assert (at_once.level, later.level) == (Level.PLAUSIBLE, Level.SUSTAINED)


def test_a_new_installation_needs_a_journey_for_a_stay_to_count(store: Store) -> None:
    device = factories.device(registered_at=ago(3_600))
    stay(device, store)
    new, at_till = assess_device(device, store), known(device, store)
    LastFix.objects.update(away_since_at=ago(1_799))
    early = assess_device(device, store)
    LastFix.objects.update(away_since_at=ago(1_800))

    assert [piece.code for piece in new.missing_for(2)] == ["new_installation"]
    assert (new.level, at_till, early.level) == (Level.PLAUSIBLE,) * 3
    assert (assess_device(device, store).level, known(device, store)) == (Level.SUSTAINED,) * 2


def test_only_the_named_store_is_looked_at(device: Device, store: Store) -> None:
    other = factories.store(name="Bastille", latitude_deg=48.8532, longitude_deg=2.3692)

    assurance = assess_device(device, other)

    assert [piece.code for piece in assurance.missing_for(1)] == ["not_at_store"]


def test_a_store_without_a_fence_is_nowhere(device: Device) -> None:
    assurance = assess_device(device, factories.store(radius_m=None))

    assert [piece.code for piece in assurance.missing_for(1)] == ["not_at_store"]


def test_evidence_takes_a_fixed_number_of_statements(device: Device, store: Store) -> None:
    stay(device, store)
    assess_device(device, store)

    with CaptureQueriesContext(connection) as requested:
        assess_device(device, store)
    with CaptureQueriesContext(connection) as remembered:
        known(device, store)

    assert (len(requested), len(remembered)) == (3, 5)


def test_thresholds_are_the_operators_and_the_speed_the_campaigns(settings: Any, store: Store) -> None:
    settings.UNLOCK_FIX_MAX_AGE_S = 45

    limits = read_thresholds(factories.campaign(store, max_speed_mps=15.0))

    assert limits == Thresholds(max_fix_age_s=45.0, max_speed_mps=15.0)


def test_a_shown_text_is_evaluated_and_not_used_up(store: Store) -> None:
    code = render_store_codes(store=store, now=NOW, count=1)[0].proof

    proofs = [read_proof(store_id=store.pk, text=text, now=NOW) for text in (None, code, code, "v1.x")]

    assert proofs == [StoreProof.NONE, StoreProof.CODE, StoreProof.CODE, StoreProof.CODE_WRONG]
    assert read_proof(store_id=store.pk, text=code, now=NOW + timedelta(minutes=2)) == StoreProof.CODE_OLD
    assert not StoreCodeUse.objects.exists()


@pytest.mark.parametrize("outcome", StoreCodeOutcome)
def test_every_fate_of_a_store_code_is_evidence_of_something(outcome: StoreCodeOutcome) -> None:
    proof = name_proof(outcome)

    assert (proof is StoreProof.CODE) == bool(outcome)
    assert proof is not StoreProof.NONE


@pytest.mark.parametrize(
    ("since_s", "until_s", "given", "level"),
    [
        (200, 20, {}, Level.SUSTAINED),
        (700, 600, {}, Level.SUSTAINED),
        (700, 601, {}, Level.CLAIMED),
        (70, 20, {}, Level.PLAUSIBLE),
        (200, 20, {"best_accuracy_m": 60.0}, Level.PLAUSIBLE),
        (200, 20, {"best_accuracy_m": 120.0}, Level.CLAIMED),
    ],
)
def test_what_presence_remembers_is_known_for_ten_minutes(
    device: Device, store: Store, since_s: float, until_s: float, given: dict[str, Any], level: Level
) -> None:
    stay(device, store, since_s=since_s, until_s=until_s, **given)

    assert known(device, store) is level


def test_of_a_phone_never_seen_at_the_store_nothing_is_known(device: Device, store: Store) -> None:
    other = factories.store(name="Bastille", latitude_deg=48.8532, longitude_deg=2.3692)
    stay(device, other)

    assert known(device, store) is Level.CLAIMED


@pytest.mark.parametrize(("seconds_ago", "level"), [(599, Level.CO_PRESENT), (601, Level.CLAIMED)])
def test_an_unlock_at_the_store_is_known_for_ten_minutes(
    device: Device, store: Store, seconds_ago: float, level: Level
) -> None:
    campaign = factories.campaign(store)
    Unlock.objects.create(campaign=campaign, device=device, store=store, level=4, granted_at=ago(seconds_ago))

    assert known(device, store) is level
    assert known(device, factories.store(name="B")) is Level.CLAIMED


def test_a_store_code_taken_lately_makes_a_stay_level_four(device: Device, store: Store) -> None:
    StoreCodeUse.objects.create(device=device, store=store, step=1, used_at=ago(300))
    alone = known(device, store)
    stay(device, store)

    assert alone is Level.CLAIMED
    assert known(device, store) is Level.CO_PRESENT


def test_a_jump_bars_all_that_was_known(device: Device, store: Store) -> None:
    stay(device, store)
    Unlock.objects.create(campaign=factories.campaign(store), device=device, store=store, level=2, granted_at=ago(30))
    LastFix.objects.update(jump_hold_until=NOW + timedelta(seconds=1))

    levels = [known(device, store, now=at) for at in (NOW, NOW + timedelta(seconds=1))]

    assert levels == [Level.CLAIMED, Level.SUSTAINED]


def test_a_frozen_stay_is_known_as_plausible_only(device: Device, store: Store) -> None:
    stay(device, store, inside_fixes=4)
    LastFix.objects.update(repeats=3)

    assert known(device, store) is Level.PLAUSIBLE


def test_sightings_go_after_a_day_and_with_their_device(device: Device, store: Store) -> None:
    bo = factories.device()
    assess_device(device, store)
    assess_device(bo, store)

    drop_expired(now=NOW + timedelta(hours=24))
    kept = PointSighting.objects.count()
    forget_device(bo.pk, now=NOW)

    assert kept == 2
    assert PointSighting.objects.get().device == device
    drop_expired(now=NOW + timedelta(hours=24, seconds=1))
    assert not PointSighting.objects.exists()


def test_an_erased_device_that_still_asks_leaves_no_sighting(device: Device, store: Store) -> None:
    forget_device(device.pk, now=NOW)

    assert assess_device(device, store).level is Level.PLAUSIBLE
    assert not PointSighting.objects.exists()
