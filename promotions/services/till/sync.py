"""Data that a till needs offline: keys, the offers it may take, coupons it must refuse, its limits.

Bounded by construction: keys by the life of coupons (one per 90 days), offers by the terms on which campaigns of the
store issue, and coupons by `MAX_WITHDRAWN`. If a campaign's coupons do not fit, its offers are left out: tills then
take its coupons online only, and every list that is sent is complete.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Min, QuerySet

from promotions.logic import coupon_tokens
from promotions.logic.coupon_tokens import OfferTerms
from promotions.logic.offline import Allowance, is_for_offline
from promotions.models import Campaign, Coupon, Redemption, StaffDevice, WithdrawnCoupon
from promotions.services.mechanics import list_benefits
from promotions.services.till.offline_scans import offline_limits, read_given
from promotions.services.till.staff_members import lock_till
from promotions.services.unlocks.coupon_tokens import campaign_terms

# Forty bytes each, so 400 kB at most before compression: small enough for a till on a slow line.
MAX_WITHDRAWN = 10_000


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The public key of a period."""

    id: int
    public_key: str


@dataclass(frozen=True, slots=True)
class OfflineOffer:
    """An offer that the till may take offline. `campaign_id` is our internal key and is not sent."""

    campaign_id: int
    terms: OfferTerms
    title: str

    @property
    def digest(self) -> bytes:
        """The offer's id in a coupon's signed part."""
        return coupon_tokens.digest_offer(self.terms)


@dataclass(frozen=True, slots=True)
class TillSync:
    """All data for offline use."""

    keys: list[SigningKey]
    offers: list[OfflineOffer]
    withdrawn: list[UUID]
    allowance: Allowance
    left: Allowance


def sync_till(*, staff_device: StaffDevice, device_time: datetime, now: datetime) -> TillSync:
    """Return the data for offline use and store the skew of the till's clock. Repeatable.

    Errors: `profile_forbidden`, `token_revoked`.
    """
    with transaction.atomic(durable=True):
        till = lock_till(staff_device=staff_device, now=now)
        till.require_profile()
        ahead_ms = (device_time - now) // timedelta(milliseconds=1)
        StaffDevice.objects.filter(pk=till.device.pk).update(clock_ahead_ms=ahead_ms, synced_at=now)
    store_id = till.device.store_id
    withdrawn, left_out = _list_withdrawn(store_id, now)
    allowance = offline_limits().allowance
    return TillSync(
        keys=_list_keys(now),
        offers=[offer for offer in _list_offers(store_id, now) if offer.campaign_id not in left_out],
        withdrawn=withdrawn,
        allowance=allowance,
        left=allowance.less(read_given(staff_device=till.device, at=now)),
    )


def live_offline_coupons(now: datetime) -> QuerySet[Coupon]:
    """Coupons that an offline till may see."""
    return Coupon.objects.filter(allows_offline=True, campaign__allows_offline=True, valid_until__gt=now)


def _list_keys(now: datetime) -> list[SigningKey]:
    """From the oldest live coupon's to the next period's, which may begin while the till is offline."""
    oldest = live_offline_coupons(now).aggregate(at=Min("valid_from"))["at"] or now
    secret, first = settings.CODE_SECRET.encode(), coupon_tokens.key_period(min(oldest, now))
    periods = range(first, coupon_tokens.key_period(now) + 2)
    return [SigningKey(coupon_tokens.key_id(period), coupon_tokens.public_key(secret, period)) for period in periods]


def _list_offers(store_id: int, now: datetime) -> Iterator[OfflineOffer]:
    """Each once: the terms of coupons that are out, and those on which coupons may be issued while the till is away."""
    max_value = Decimal(settings.OFFLINE_MAX_COUPON_VALUE)
    seen = set()
    for offer in (*_issued_offers(store_id, now), *_coming_offers(store_id)):
        if offer.digest not in seen and is_for_offline(offer.terms, max_value) is None:
            seen.add(offer.digest)
            yield offer


def _issued_offers(store_id: int, now: datetime) -> Iterator[OfflineOffer]:
    coupons = live_offline_coupons(now).filter(store_ids__contains=store_id)
    frozen = coupons.order_by().values_list(
        "benefit", "units", "value", "asks_amount", "redeem_level", "allows_vouching", "store_ids", "campaign_id",
        "campaign__uuid", "campaign__offer_title",
    )  # fmt: skip
    for row in frozen.distinct():
        benefit, units, value, asks_amount, level, allows_vouching, store_ids, campaign_id, campaign_uuid, title = row
        terms = OfferTerms(
            campaign_id=campaign_uuid,
            benefit=benefit,
            units=units,
            value=value,
            asks_amount=asks_amount,
            redeem_level=level,
            allows_offline=True,
            allows_vouching=allows_vouching,
            store_ids=tuple(store_ids),
        )
        yield OfflineOffer(campaign_id, terms, title)


def _coming_offers(store_id: int) -> Iterator[OfflineOffer]:
    live = Campaign.objects.filter(state=Campaign.State.LIVE, allows_offline=True, stores=store_id)
    for campaign, benefit in list_benefits(list(live.prefetch_related("stores"))):
        store_ids = [store.pk for store in campaign.stores.all() if store.is_active]
        terms = campaign_terms(campaign, benefit=benefit.name, units=benefit.units, store_ids=store_ids)
        yield OfflineOffer(campaign.pk, terms, campaign.offer_title)


def _list_withdrawn(store_id: int, now: datetime) -> tuple[list[UUID], set[int]]:
    """Coupons not to be taken, and campaigns left out because theirs do not fit: of each campaign all or nothing."""
    found = _find_withdrawn(store_id, now)
    if len(found) <= MAX_WITHDRAWN:
        return [coupon_id for _, coupon_id in found], set()
    withdrawn: list[UUID] = []
    left_out: set[int] = set()
    campaigns = {
        *_distinct_campaigns(live_offline_coupons(now), store_id),
        *_distinct_campaigns(WithdrawnCoupon.objects.filter(valid_until__gt=now), store_id),
    }
    each = {campaign_id: _find_withdrawn(store_id, now, campaign_id) for campaign_id in campaigns}
    # Those with the fewest coupons first: so most campaigns stay.
    for campaign_id, rows in sorted(each.items(), key=lambda item: (len(item[1]), item[0])):
        if len(withdrawn) + len(rows) > MAX_WITHDRAWN:
            left_out.add(campaign_id)
        else:
            withdrawn += [coupon_id for _, coupon_id in rows]
    return withdrawn, left_out


def _distinct_campaigns(rows: QuerySet[Any], store_id: int) -> QuerySet[Any, int]:
    return rows.filter(store_ids__contains=store_id).order_by().values_list("campaign_id", flat=True).distinct()


def _find_withdrawn(store_id: int, now: datetime, campaign_id: int | None = None) -> list[tuple[int, UUID]]:
    """Campaign and id of coupons used up, recalled or erased that have not ended; one more than fits is enough."""
    used_up = Redemption.objects.filter(
        is_live=True,
        coupon__allows_offline=True,
        coupon__campaign__allows_offline=True,
        coupon__valid_until__gt=now,
        coupon__recalled_at=None,
        coupon__store_ids__contains=store_id,
    )
    erased = WithdrawnCoupon.objects.filter(
        campaign__allows_offline=True, store_ids__contains=store_id, valid_until__gt=now
    )
    recalled = live_offline_coupons(now).filter(recalled_at__isnull=False, store_ids__contains=store_id)
    if campaign_id is not None:
        used_up, erased = used_up.filter(coupon__campaign_id=campaign_id), erased.filter(campaign_id=campaign_id)
        recalled = recalled.filter(campaign_id=campaign_id)
    per_coupon = used_up.order_by().values_list("coupon__campaign_id", "coupon_id").annotate(units=Count("pk"))
    most = MAX_WITHDRAWN + 1
    return [
        *((row[0], row[1]) for row in per_coupon.filter(units__gte=F("coupon__units"))[:most]),
        *erased.order_by().values_list("campaign_id", "coupon_id")[:most],
        *recalled.order_by().values_list("campaign_id", "pk")[:most],
    ]
