"""Reasons against giving a coupon's benefit at a till. Reads only; the rows that decide a race come later."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from geofence.services.store_lookup import list_nearest_doors
from promotions.errors import DomainError
from promotions.logic.redeem_hours import next_taking, unfreeze_hours
from promotions.logic.schedule import Opening, store_is_open
from promotions.models import Budget, Coupon, Redemption, StaffDevice
from promotions.services.campaigns.budgets import has_unit
from promotions.services.till.scans import MAX_SCAN_AHEAD, Shown, corrected_at, scanned_at_implausible
from promotions.services.till.staff_members import Till

if TYPE_CHECKING:
    from geofence.models import Store

# Stores named to a customer in the wrong one.
STORES_NAMED = 3


@dataclass(frozen=True, slots=True)
class Units:
    """A coupon's taken units, and the redemption of the latest."""

    of: int
    taken: frozenset[int]
    latest: Redemption | None

    @property
    def lowest_free(self) -> int | None:
        """The unit that the next scan takes; None when all are taken. A unit that was taken back comes first again."""
        return next((unit for unit in range(1, self.of + 1) if unit not in self.taken), None)

    @property
    def left(self) -> int:
        """The number of units that can still be taken."""
        return max(0, self.of - len(self.taken))


def read_units(coupon: Coupon) -> Units:
    """The coupon's live redemptions, as units. One query."""
    live = list(
        Redemption.objects.select_related("store").filter(coupon=coupon, is_live=True).order_by("redeemed_at", "unit")
    )
    return Units(max(1, coupon.units), frozenset(each.unit for each in live), live[-1] if live else None)


def find_obstacle(*, till: Till, shown: Shown, units: Units, now: datetime) -> DomainError | None:
    """Return the first rule that refuses. A campaign that is paused or over still honours its coupons."""
    device, coupon = till.device, shown.coupon
    if units.lowest_free is None and units.latest is not None:
        return already_redeemed(device, units.latest)
    if coupon.recalled_at is not None:
        return DomainError("recalled", recalled_at=coupon.recalled_at)
    if now >= coupon.valid_until:
        return DomainError("coupon_expired", valid_until=coupon.valid_until)
    if now < coupon.valid_from:
        return DomainError("not_yet_valid", valid_from=coupon.valid_from)
    if device.store_id not in coupon.store_ids:
        return DomainError("wrong_store", valid_stores=_nearest_stores(device.store, coupon))
    wrong_hour = _find_wrong_hour(coupon, device.store, now)
    if wrong_hour is not None:
        return wrong_hour
    if corrected_at(shown.scan, staff_device=device) < coupon.valid_from - MAX_SCAN_AHEAD:
        return scanned_at_implausible(now)
    if shown.is_screenshot:
        return DomainError("screenshot")
    return None


def _find_wrong_hour(coupon: Coupon, store: "Store", now: datetime) -> DomainError | None:
    """A coupon may be good at certain hours only, by the clock of the store that takes it."""
    if not coupon.redeem_hours:
        return None
    windows, zone = unfreeze_hours(coupon.redeem_hours), ZoneInfo(store.timezone)
    if store_is_open(windows, now, zone):
        return None
    following = next_taking(windows, now, Opening(coupon.valid_from, coupon.valid_until), zone)
    return DomainError(
        "outside_hours",
        next_opening_at=following and following.starts_at,
        next_closing_at=following and following.ends_at,
    )


def find_missing(*, shown: Shown, level: int) -> DomainError | None:
    """Return the input that the customer or the staff can still give: the phone's presence, at the known level, or the
    amount."""
    if level < shown.coupon.redeem_level and not is_vouched(shown=shown, level=level):
        return DomainError("presence_required", may_vouch=shown.coupon.allows_vouching)
    if shown.coupon.asks_amount and shown.scan.amount is None:
        return DomainError("needs_amount")
    return None


def is_vouched(*, shown: Shown, level: int) -> bool:
    """Return whether staff vouch for the coupon: they did, it is allowed, and there is no better evidence."""
    return level < shown.coupon.redeem_level and shown.scan.is_vouched and shown.coupon.allows_vouching


def find_full_cap(*, coupon: Coupon, store_id: int) -> DomainError | None:
    """Find a cap that seems used up, for a dry run; a real scan reads it from the caps' own rows."""
    if not has_unit(campaign=coupon.campaign, scope=Budget.Scope.REDEEM, store_id=store_id):
        return cap_reached("store")
    if not has_unit(campaign=coupon.campaign, scope=Budget.Scope.REDEEM):
        return cap_reached("campaign")
    return None


def cap_reached(scope: str) -> DomainError:
    """The refusal when a campaign's or a store's uses are used up."""
    return DomainError("redeem_cap_reached", scope=scope)


def already_redeemed(device: StaffDevice, taken: Redemption) -> DomainError:
    """The refusal when no unit is left: when the last one was taken, and where."""
    fields: Mapping[str, Any] = {
        "redeemed_at": taken.redeemed_at,
        "same_store": taken.store_id == device.store_id,
        "same_device": taken.staff_device_id == device.pk,
        "store": {"name": taken.store.name},
    }
    return DomainError("already_redeemed", **fields)


def _nearest_stores(store: "Store", coupon: Coupon) -> list[dict[str, Any]]:
    nearest = list_nearest_doors(
        latitude_deg=store.latitude_deg,
        longitude_deg=store.longitude_deg,
        among=coupon.store_ids,
        limit=STORES_NAMED,
    )
    return [{"name": name, "distance_m": distance_m} for name, distance_m in nearest]
