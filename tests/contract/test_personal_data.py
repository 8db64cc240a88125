"""Everything that leads to a device is annotated, exported and erased."""

import re
import uuid

import pytest
from django.db import connection
from django.db.models import Model

from geofence.models import LastFix, Presence, Visit
from notifications.models import Attempt, Message, PushAddress
from promotions.checks import list_own_models
from promotions.logic.events import CouponIssued, NewEvent
from promotions.management.commands.write_docs import read_pii
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.models import (
    Consent,
    Coupon,
    Device,
    OfflineScan,
    Opportunity,
    PointSighting,
    Redemption,
    Refusal,
    Reservation,
    StaffDevice,
    StoreCodeUse,
    Unlock,
    Void,
)
from promotions.row_policies import Export, ExportedBy, NotExported, NotPersonal, Remains
from promotions.row_policies.faults import leads_to_device
from promotions.row_policies.queries import read_policy
from promotions.services.devices.erasure import export_device, forget_device
from promotions.services.events import record_events
from tests import factories
from tests.factories import NOW

# Where the export of an app contains the rows of a model.
EXPORTED_AS: dict[type[Model], tuple[str, str]] = {
    Visit: ("geofence", "visits"),
    Presence: ("geofence", "presences"),
    LastFix: ("geofence", "last_fix"),
    Message: ("notifications", "messages"),
    Attempt: ("notifications", "messages"),
    PushAddress: ("notifications", "push_addresses"),
}


def models_of_devices() -> set[type[Model]]:
    return {model for model in list_own_models() if leads_to_device(model)}


def has_column_of_device(model: type[Model]) -> bool:
    return any(field.attname == "device_id" for field in model._meta.concrete_fields)


@pytest.mark.parametrize("model", list_own_models(), ids=lambda model: model._meta.label)
def test_the_pii_line_and_the_declared_erasure_agree(model: type[Model]) -> None:
    is_impersonal = isinstance(read_policy(model).erasure, NotPersonal)

    assert (re.match(r"none( \(.+\))?\.\Z", read_pii(model)) is not None) is is_impersonal, read_pii(model)


def test_all_models_with_a_device_are_found() -> None:
    found = models_of_devices()

    assert found >= {model for model in list_own_models() if has_column_of_device(model)} | {Device}
    assert found >= {Coupon, Redemption, Void, OfflineScan, Attempt, WinningMoment}


def test_every_row_that_leads_to_a_device_is_erased_and_exported() -> None:
    for model in models_of_devices():
        policy = read_policy(model)

        assert not isinstance(policy.erasure, NotPersonal | Remains), model
        assert policy.export is not None, model


def a_device_with_everything() -> Device:
    device, store = factories.device(), factories.store()
    campaign, fence = factories.campaign(store), store.geofences.get()
    Consent.objects.create(device=device, purpose="messages", is_granted=True, recorded_at=NOW)
    day = NOW.date()
    Opportunity.objects.create(
        id=uuid.uuid4(), campaign=campaign, device_id=device.pk, store=store, arm="control",
        fix_time=NOW, planned_at=NOW, local_on=day,
    )  # fmt: skip
    unlock = Unlock.objects.create(
        campaign=campaign, device=device, store=store, outcome="won", level=2, granted_at=NOW
    )
    coupon = Coupon.objects.create(
        device=device, unlock=unlock, campaign=campaign, code_digest=b"c", benefit="b", store_ids=[store.pk],
        valid_from=NOW, valid_until=NOW.replace(year=2027),
    )  # fmt: skip
    staff = StaffDevice.objects.create(store=store, label="till", token_digest=b"x", enrolled_at=NOW)
    redemption = Redemption.objects.create(
        coupon=coupon, staff_device=staff, store=store, nonce=uuid.uuid4(), fingerprint=b"f", source="typed",
        scanned_at=NOW, redeemed_at=NOW,
    )  # fmt: skip
    OfflineScan.objects.create(
        staff_device=staff, store=store, nonce=uuid.uuid4(), fingerprint=b"f", coupon=coupon, scanned_at=NOW,
        corrected_at=NOW, received_at=NOW, outcome="conflict", reason="already_redeemed", taken_before_by=redemption,
    )  # fmt: skip
    Void.objects.create(redemption=redemption, staff_device=staff, reason="mistake", voided_at=NOW)
    Refusal.objects.create(
        stage="unlock", reason="not_at_store", device_id=device.pk, campaign=campaign, refused_at=NOW
    )
    Refusal.objects.create(stage="redeem", reason="wrong_store", coupon=coupon, refused_at=NOW)
    StoreCodeUse.objects.create(device=device, store=store, step=119_338_200, used_at=NOW)
    PointSighting.objects.create(device=device, point_digest=-7, seen_at=NOW)
    Reservation.objects.create(
        campaign=campaign, device=device, store=store, reserved_at=NOW, expires_at=NOW.replace(year=2027)
    )
    lot = PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=1)
    WinningMoment.objects.create(lot=lot, campaign=campaign, number=1, opens_at=NOW, unlock=unlock, taken_at=NOW)
    record_events([NewEvent(CouponIssued(coupon.pk, "unlock"), coupon.pk, NOW, device_id=device.pk)])
    Presence.objects.create(device_id=device.pk, geofence=fence)
    LastFix.objects.create(device_id=device.pk, fix_time=NOW, received_at=NOW)
    Visit.objects.create(
        id=uuid.uuid4(), device_id=device.pk, geofence=fence, store=store, geofence_version=1, entered_at=NOW,
        last_inside_at=NOW,
    )  # fmt: skip
    PushAddress.objects.create(device_id=device.pk, kind="console", address="a", registered_at=NOW)
    message = Message.objects.create(
        dedupe_key="k", device_id=device.pk, title="t", body="b", created_at=NOW, next_attempt_at=NOW, expires_at=NOW
    )
    Attempt.objects.create(message=message, transport="c", started_at=NOW, finished_at=NOW, outcome="accepted")
    return device


def count_rows() -> dict[str, int]:
    return {model._meta.label: model._default_manager.count() for model in models_of_devices()}


@pytest.mark.django_db
def test_the_export_contains_a_row_of_every_kind() -> None:
    device = a_device_with_everything()
    assert all(count_rows().values())

    exported = export_device(device, now=NOW)

    for model in models_of_devices() - {Device}:
        match read_policy(model).export:
            case Export() | ExportedBy():
                name = str(model._meta.verbose_name_plural).replace(" ", "_")
                app, key = EXPORTED_AS.get(model, ("promotions", name))
                assert exported[app][key], model
            case NotExported():
                assert model is WinningMoment
    assert exported["notifications"]["messages"][0]["attempts"]


@pytest.mark.django_db
def test_erasure_leaves_nothing_of_the_device_and_all_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    bo = factories.device()
    Consent.objects.create(device=bo, purpose="messages", is_granted=True, recorded_at=NOW)
    ada = a_device_with_everything()

    for _ in range(2):
        forget_device(ada.pk, now=NOW)

    left = {label: count for label, count in count_rows().items() if count}
    # The winning moment stays taken, without an unlock.
    assert left == {"promotions.Device": 1, "promotions.Consent": 1, "promotions.WinningMoment": 1}
    moment = WinningMoment.objects.get()
    assert (moment.unlock_id, moment.taken_at) == (None, NOW)


@pytest.mark.django_db
def test_the_ledger_is_sealed_again_after_an_erasure() -> None:
    bo = factories.device()
    Consent.objects.create(device=bo, purpose="messages", is_granted=True, recorded_at=NOW)
    forget_device(a_device_with_everything().pk, now=NOW)

    with pytest.raises(Exception, match="append-only"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM promotions_consent")
