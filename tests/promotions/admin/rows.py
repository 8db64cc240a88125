"""Rows of every model and logged-in users, for tests of the admin."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client

from geofence.models import FenceSet, Geofence, GeofenceRevision, LastFix, Partner, Presence, Store, Visit
from notifications.models import Attempt, Message, PushAddress
from promotions.logic.events import CouponIssued, NewEvent
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.models import (
    AdminSession,
    AuditRecord,
    Brand,
    BrandToken,
    Budget,
    Campaign,
    Consent,
    Coupon,
    DeadLetter,
    DeletedRows,
    Device,
    Event,
    IdempotencyRecord,
    JobRecord,
    Membership,
    OfflineScan,
    Opportunity,
    PointSighting,
    RecoveryCode,
    Redemption,
    Refusal,
    Reservation,
    RevocationNotice,
    SecondFactor,
    SecurityEvent,
    ShardCursor,
    SignInCounter,
    SpentPresenceToken,
    StaffDevice,
    StaffEnrolment,
    StaffMember,
    StoreCodeUse,
    TimeWindow,
    Unlock,
    Void,
    WithdrawnCoupon,
)
from promotions.services.accounts.tenancy import BRAND_ANALYST, BRAND_MANAGER, PARTNER_MANAGER, ensure_roles
from promotions.services.events import record_events
from tests import factories
from tests.factories import NOW

_numbers = count(1)


def log_in(
    *groups: str, brand: Brand | None = None, partner: Partner | None = None, is_operator: bool = False
) -> Client:
    """A client with the session of a new user."""
    ensure_roles()
    user = User.objects.create_user(f"user {next(_numbers)}", is_staff=True, is_superuser=is_operator)
    user.groups.set(Group.objects.filter(name__in=groups))
    if brand is not None:
        Membership.objects.create(user=user, brand=brand)
    if partner is not None:
        Membership.objects.create(user=user, partner=partner)
    client = Client()
    client.force_login(user)
    return client


def operator() -> Client:
    """Sees and may everything."""
    return log_in(is_operator=True)


def brand_manager(brand: Brand) -> Client:
    """Runs the campaigns of a brand."""
    return log_in(BRAND_MANAGER, brand=brand)


def brand_analyst(brand: Brand) -> Client:
    """A user who may see the campaigns of a brand."""
    return log_in(BRAND_ANALYST, brand=brand)


def partner_manager(partner: Partner) -> Client:
    """Runs the stores of a partner."""
    return log_in(PARTNER_MANAGER, partner=partner)


def staff_device(store: Store, **given: Any) -> StaffDevice:
    """A till."""
    values = {"label": "Till", "token_digest": secrets.token_bytes(32), "enrolled_at": NOW, **given}
    return StaffDevice.objects.create(store=store, **values)


def staff_member(store: Store, **given: Any) -> StaffMember:
    """A staff member with unused initials."""
    values = {"initials": f"{next(_numbers) % 10_000:04}", "pin_hash": "!", **given}
    return StaffMember.objects.create(store=store, **values)


def unlock(campaign: Campaign, store: Store) -> Unlock:
    """A granted offer of a new device."""
    return Unlock.objects.create(
        campaign=campaign, device=factories.device(), store=store, outcome="coupon", level=1, granted_at=NOW
    )


def coupon(campaign: Campaign, store: Store) -> Coupon:
    """A coupon of a new device."""
    granted = unlock(campaign, store)
    return Coupon.objects.create(
        device_id=granted.device_id,
        unlock=granted,
        campaign=campaign,
        code_digest=secrets.token_bytes(32),
        benefit="1 free coffee",
        store_ids=[store.pk],
        valid_from=NOW,
        valid_until=NOW + timedelta(days=1),
    )


def redemption(campaign: Campaign, store: Store) -> Redemption:
    """A coupon redeemed at a new till."""
    return Redemption.objects.create(
        coupon=coupon(campaign, store),
        staff_device=staff_device(store),
        store=store,
        nonce=uuid.uuid4(),
        fingerprint=secrets.token_bytes(32),
        source="camera",
        scanned_at=NOW,
        redeemed_at=NOW,
    )


def opportunity(campaign: Campaign, store: Store, arm: str = "treated") -> Opportunity:
    """A device that passed every gate."""
    return Opportunity.objects.create(
        id=uuid.uuid4(),
        campaign=campaign,
        device_id=uuid.uuid4(),
        store=store,
        arm=arm,
        fix_time=NOW,
        planned_at=NOW,
        local_on=NOW.date(),
    )


def refusal(campaign: Campaign, store: Store) -> Refusal:
    """A device that asked from too far."""
    return Refusal.objects.create(
        stage="unlock",
        reason="not_at_store",
        campaign=campaign,
        device_id=uuid.uuid4(),
        store=store,
        distance_bucket="250-1000",
        refused_at=NOW,
    )


def message() -> Message:
    """A message that waits."""
    return Message.objects.create(
        dedupe_key=uuid.uuid4().hex,
        device_id=uuid.uuid4(),
        title="A coffee for you",
        body="At République",
        created_at=NOW,
        next_attempt_at=NOW,
        expires_at=NOW + timedelta(minutes=20),
    )


def event(campaign: Campaign, store: Store, *, device_id: uuid.UUID | None = None) -> Event:
    """A coupon issued, of the given device or a new one."""
    coupon_id = uuid.uuid4()
    issued = NewEvent(
        CouponIssued(coupon_id, "unlock"),
        subject=coupon_id,
        occurred_at=NOW,
        device_id=device_id or uuid.uuid4(),
        campaign_id=campaign.pk,
        store_id=store.pk,
    )
    record_events([issued])
    return Event.objects.get(pk=issued.id)


def _digest() -> bytes:
    return secrets.token_bytes(32)


def _visit(store: Store) -> Visit:
    return Visit.objects.create(
        id=uuid.uuid4(),
        device_id=uuid.uuid4(),
        geofence=store.geofences.get(),
        store=store,
        geofence_version=1,
        entered_at=NOW,
        last_inside_at=NOW,
    )


def _moment(campaign: Campaign) -> WinningMoment:
    lot = PrizeLot.objects.create(campaign=campaign, name="Sandwich", quantity=1)
    return WinningMoment.objects.create(lot=lot, campaign=campaign, number=1, opens_at=NOW - timedelta(hours=1))


def _attempt() -> Attempt:
    return Attempt.objects.create(
        message=message(), transport="console", started_at=NOW, finished_at=NOW, outcome="accepted"
    )


def _enrolment(store: Store) -> StaffEnrolment:
    return StaffEnrolment.objects.create(
        store=store, label="Till", token_digest=_digest(), created_at=NOW, expires_at=NOW + timedelta(minutes=10)
    )


def offline_scan(campaign: Campaign, store: Store, **given: Any) -> OfflineScan:
    """An offline scan of a coupon that another till had redeemed."""
    first = redemption(campaign, store)
    values: dict[str, Any] = {
        "staff_device": staff_device(store, label="Away"),
        "store": store,
        "nonce": uuid.uuid4(),
        "fingerprint": _digest(),
        "coupon": first.coupon,
        "value": "2.50",
        "scanned_at": NOW + timedelta(minutes=3),
        "corrected_at": NOW,
        "received_at": NOW + timedelta(hours=1),
        "outcome": "conflict",
        "reason": "already_redeemed",
        "taken_before_by": first,
        **given,
    }
    return OfflineScan.objects.create(**values)


def _void(campaign: Campaign, store: Store) -> Void:
    taken = redemption(campaign, store)
    return Void.objects.create(redemption=taken, staff_device=taken.staff_device, reason="mistake", voided_at=NOW)


def _revision(store: Store) -> GeofenceRevision:
    fence = store.geofences.get()
    return GeofenceRevision.objects.create(
        geofence=fence, version=1, shape=fence.shape, latitude_deg=1, longitude_deg=1, radius_m=100, changed_at=NOW
    )


def _membership() -> Membership:
    user = User.objects.create_user(f"member {next(_numbers)}")
    user.groups.add(Group.objects.get_or_create(name="Some role")[0])
    return Membership.objects.create(user=user, brand=factories.brand())


def _window(campaign: Campaign) -> TimeWindow:
    return factories.lunch_window(campaign)


# One new row of each model that an operator sees, with new rows for all its relations, so that nothing is shared.
MAKERS: Mapping[type[Model], Callable[[Campaign, Store], Model]] = {
    Attempt: lambda campaign, store: _attempt(),
    AuditRecord: lambda campaign, store: AuditRecord.objects.filter(
        subject="promotions.campaign", subject_id=campaign.pk
    ).latest("pk"),
    Brand: lambda campaign, store: campaign.brand,
    BrandToken: lambda campaign, store: BrandToken.objects.create(
        brand=campaign.brand, label="BI", token_digest=_digest(), created_at=NOW
    ),
    Budget: lambda campaign, store: Budget.objects.create(campaign=campaign, slot=0, cap=10),
    Campaign: lambda campaign, store: campaign,
    Consent: lambda campaign, store: Consent.objects.create(
        device=factories.device(), purpose="geo_match", is_granted=True, recorded_at=NOW
    ),
    Coupon: lambda campaign, store: coupon(campaign, store),
    DeadLetter: lambda campaign, store: DeadLetter.objects.create(
        shard=1, entry_id=f"{next(_numbers)}-0", fields={"d": "c2VjcmV0"}, reason="ValueError", buried_at=NOW
    ),
    Device: lambda campaign, store: factories.device(),
    Event: lambda campaign, store: event(campaign, store),
    Geofence: lambda campaign, store: store.geofences.get(),
    GeofenceRevision: lambda campaign, store: _revision(store),
    Group: lambda campaign, store: Group.objects.create(name=f"Role {next(_numbers)}"),
    IdempotencyRecord: lambda campaign, store: IdempotencyRecord.objects.create(
        scope="device", key=uuid.uuid4().hex, fingerprint=_digest(), created_at=NOW
    ),
    LastFix: lambda campaign, store: LastFix.objects.create(
        device_id=uuid.uuid4(), fix_time=NOW, received_at=NOW, cell_latitude_deg=48.86, cell_longitude_deg=2.36
    ),
    Membership: lambda campaign, store: _membership(),
    Message: lambda campaign, store: message(),
    OfflineScan: lambda campaign, store: offline_scan(campaign, store),
    Opportunity: lambda campaign, store: opportunity(campaign, store),
    Partner: lambda campaign, store: store.partner,
    StoreCodeUse: lambda campaign, store: StoreCodeUse.objects.create(
        device=factories.device(), store=store, step=119_338_200, used_at=NOW
    ),
    SpentPresenceToken: lambda campaign, store: SpentPresenceToken.objects.create(
        jti=uuid.uuid4(), brand=campaign.brand, spent_at=NOW, expires_at=NOW + timedelta(minutes=2)
    ),
    PointSighting: lambda campaign, store: PointSighting.objects.create(
        device=factories.device(), point_digest=next(_numbers), seen_at=NOW
    ),
    Presence: lambda campaign, store: Presence.objects.create(
        device_id=uuid.uuid4(), geofence=store.geofences.get(), last_fix_at=NOW
    ),
    PrizeLot: lambda campaign, store: PrizeLot.objects.create(campaign=campaign, name="Sandwich", quantity=2),
    PushAddress: lambda campaign, store: PushAddress.objects.create(
        device_id=uuid.uuid4(), kind="console", address=uuid.uuid4().hex, registered_at=NOW
    ),
    Redemption: lambda campaign, store: redemption(campaign, store),
    Reservation: lambda campaign, store: Reservation.objects.create(
        campaign=campaign,
        device=factories.device(),
        store=store,
        reserved_at=NOW,
        expires_at=NOW + timedelta(minutes=45),
    ),
    Refusal: lambda campaign, store: refusal(campaign, store),
    RevocationNotice: lambda campaign, store: RevocationNotice.objects.create(
        subject=uuid.uuid4(), tokens_not_before=NOW
    ),
    DeletedRows: lambda campaign, store: DeletedRows.objects.create(
        table=f"table_{next(_numbers)}", day=NOW.date(), rows=1
    ),
    JobRecord: lambda campaign, store: JobRecord.objects.create(name=f"job{next(_numbers)}", succeeded_at=NOW),
    AdminSession: lambda campaign, store: AdminSession.objects.create(
        user=_membership().user,
        method="password",
        device="Firefox, Linux",
        network="203.0.113.0/24",
        stamp="0" * 64,
        signed_in_at=NOW,
        confirmed_at=NOW,
        last_seen_at=NOW,
    ),
    SecondFactor: lambda campaign, store: SecondFactor.objects.create(
        user=_membership().user, kind="totp", label="Phone", secret=b"encrypted", added_at=NOW
    ),
    RecoveryCode: lambda campaign, store: RecoveryCode.objects.create(
        user=_membership().user, digest=secrets.token_hex(32), created_at=NOW
    ),
    SecurityEvent: lambda campaign, store: SecurityEvent.objects.create(
        occurred_at=NOW, kind="signed_in", account=f"user {next(_numbers)}"
    ),
    SignInCounter: lambda campaign, store: SignInCounter.objects.create(
        key=secrets.token_hex(32), failures=1, since_at=NOW
    ),
    ShardCursor: lambda campaign, store: ShardCursor.objects.create(shard=next(_numbers)),
    StaffDevice: lambda campaign, store: staff_device(store),
    StaffEnrolment: lambda campaign, store: _enrolment(store),
    StaffMember: lambda campaign, store: staff_member(store),
    Store: lambda campaign, store: store,
    TimeWindow: lambda campaign, store: _window(campaign),
    Unlock: lambda campaign, store: unlock(campaign, store),
    User: lambda campaign, store: _membership().user,
    Visit: lambda campaign, store: _visit(store),
    WithdrawnCoupon: lambda campaign, store: WithdrawnCoupon.objects.create(
        coupon_id=uuid.uuid4(), campaign=campaign, store_ids=[store.pk], valid_until=NOW + timedelta(days=1)
    ),
    Void: lambda campaign, store: _void(campaign, store),
    WinningMoment: lambda campaign, store: _moment(campaign),
}
# One row, made by a migration.
SINGLE_ROW = {FenceSet}


def make(model: type[Model]) -> Model:
    """One new row in a new store and a new campaign."""
    store = factories.store()
    return MAKERS[model](factories.campaign(store), store)
