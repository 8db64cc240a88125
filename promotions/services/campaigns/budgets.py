"""Caps, counted slot by slot: on unlocks, and on uses at tills, of a campaign or of one store.

A transaction that counts first locks the campaign's row (`FOR KEY SHARE`, shared); one that changes a cap locks it
exclusively (`fit_caps`). So a change waits for counts in progress, sees all of them, and counts do not wait for each
other.
"""

import random
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Count, F, QuerySet

from promotions.errors import Fault, InvalidInput
from promotions.errors import gettext_noop as _
from promotions.models import Budget, Campaign, Redemption, Reservation, Unlock

Scope = Budget.Scope
FLASH_SLOTS = 16


class Caps(NamedTuple):
    """A campaign's caps; None is no limit."""

    unlock: int | None
    redeem: int | None
    store_redeem: int | None

    def of(self, scope: str, store_id: int | None) -> int | None:
        """The cap that a slot belongs to."""
        if scope == Scope.UNLOCK:
            return self.unlock
        return self.redeem if store_id is None else self.store_redeem


class Slot(NamedTuple):
    """A slot's row."""

    pk: int
    cap: int
    used: int


def take_unit(*, campaign_id: int, scope: str, store_id: int | None = None) -> bool:
    """Count one unit against a cap; False when it is used up. One conditional update per slot, the guard itself.

    Asked in the caller's transaction, after the row that is counted has been written; at a till the store's cap first
    and the campaign's, the hotter row, last. Slots are tried from a random one on, so that a flash campaign's phones
    do not queue for one row. Without a cap nothing is counted and there is always room.
    """
    _lock_shared(campaign_id)
    caps, slots = _read_slots(campaign_id, scope, store_id)
    cap = caps.of(scope, store_id)
    if cap is None:
        return True
    if not slots:
        _open_slot(campaign_id, scope, store_id, cap)
        _caps, slots = _read_slots(campaign_id, scope, store_id)
    free = [slot.pk for slot in slots if slot.used < slot.cap]
    random.shuffle(free)
    return any(_take_from(pk) for pk in free)


def return_unit(*, campaign_id: int, scope: str, store_id: int | None = None) -> None:
    """Count one unit less: a use taken back, a turn given up. Nothing happens where nothing is counted."""
    _lock_shared(campaign_id)
    used = list(_slots(campaign_id, scope, store_id).filter(used__gt=0).values_list("pk", flat=True))
    random.shuffle(used)
    any(_return_to(slot) for slot in used)


def has_unit(*, campaign: Campaign, scope: str, store_id: int | None = None) -> bool:
    """Return whether a cap seems to have a unit left. Only `take_unit` decides."""
    if read_caps(campaign).of(scope, store_id) is None:
        return True
    slots = list(_slots(campaign.pk, scope, store_id).values_list("cap", "used"))
    return not slots or any(used < cap for cap, used in slots)


def read_caps(campaign: Campaign) -> Caps:
    """The caps as the campaign's row has them."""
    return Caps(campaign.unlock_cap, campaign.redeem_cap, campaign.store_redeem_cap)


@transaction.atomic
def fit_caps(*, campaign_id: int) -> None:
    """Bring the slots to the campaign's caps, also while it is live: those who count wait for it a moment.

    Call it in the transaction that wrote the caps. A cap that is new counts what was given out before it; one that is
    gone leaves nothing. Repeatable. Errors: `invalid_input` when less would be allowed than is used already.
    """
    campaign = lock_exclusively(campaign_id)
    faults = list(find_cap_faults(campaign))
    if faults:
        raise InvalidInput(faults)
    for scope, store_id in _list_separate(campaign):
        _fit(campaign, scope, store_id)
    caps = read_caps(campaign)
    if caps.unlock is None:
        Budget.objects.filter(campaign=campaign, scope=Scope.UNLOCK).delete()
    if caps.redeem is None:
        Budget.objects.filter(campaign=campaign, scope=Scope.REDEEM, store=None).delete()
    if caps.store_redeem is None:
        Budget.objects.filter(campaign=campaign, scope=Scope.REDEEM, store__isnull=False).delete()


def lock_exclusively(campaign_id: int) -> Campaign:
    """Lock the campaign until the transaction ends; until then no other transaction takes or returns a unit of it."""
    return Campaign.objects.select_for_update(of=("self",)).get(pk=campaign_id)


def find_cap_faults(campaign: Campaign) -> Iterator[Fault]:
    """Yield a fault for each cap below what is used already. Only after `lock_exclusively` does the answer hold."""
    caps = read_caps(campaign)
    if caps.unlock is not None:
        used = _count_used(campaign.pk, Scope.UNLOCK, None)
        yield from _evaluate_cap(
            "unlock_cap",
            caps.unlock,
            used,
            _("{used} devices have unlocked or reserved already; the cap cannot be lower."),
        )
    if caps.redeem is not None:
        used = _count_used(campaign.pk, Scope.REDEEM, None)
        yield from _evaluate_cap(
            "redeem_cap", caps.redeem, used, _("{used} uses were redeemed already; the cap cannot be lower.")
        )
    if caps.store_redeem is not None:
        used = max(_count_by_store(campaign.pk).values(), default=0)
        yield from _evaluate_cap(
            "store_redeem_cap",
            caps.store_redeem,
            used,
            _("{used} uses were redeemed in one store already; the cap cannot be lower."),
        )


def _evaluate_cap(name: str, cap: int, used: int, text: str) -> Iterator[Fault]:
    if cap < used:
        yield Fault(f"/{name}", "below_used", text, {"used": used})


def _lock_shared(campaign_id: int) -> None:
    """Let the caps stay as they are until the transaction ends. What it reads it reads after this, in another
    statement: the lock gives the row as it was before a change it has waited for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM promotions_campaign WHERE id = %s FOR KEY SHARE", [campaign_id])


_SLOTS_SQL = """
SELECT c.unlock_cap, c.redeem_cap, c.store_redeem_cap, b.id, b.cap, b.used
FROM promotions_campaign c LEFT JOIN promotions_budget b
    ON b.campaign_id = c.id AND b.scope = %(scope)s AND {of_store}
WHERE c.id = %(campaign)s
"""
# Apart, so that either is found by the index.
_OF_ALL, _OF_STORE = "b.store_id IS NULL", "b.store_id = %(store)s"


def _read_slots(campaign_id: int, scope: str, store_id: int | None) -> tuple[Caps, list[Slot]]:
    """The campaign's caps, and the slots of one of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SLOTS_SQL.format(of_store=_OF_ALL if store_id is None else _OF_STORE),
            {"campaign": campaign_id, "scope": str(scope), "store": store_id},
        )
        rows = cursor.fetchall()
    if not rows:
        raise Campaign.DoesNotExist
    return Caps(*rows[0][:3]), [Slot(*row[3:]) for row in rows if row[3] is not None]


def _slots(campaign_id: int, scope: str, store_id: int | None) -> QuerySet[Budget]:
    slots = Budget.objects.filter(campaign_id=campaign_id, scope=scope)
    return slots.filter(store=None) if store_id is None else slots.filter(store_id=store_id)


def _take_from(slot: int) -> bool:
    return bool(Budget.objects.filter(pk=slot, used__lt=F("cap")).update(used=F("used") + 1))


def _return_to(slot: int) -> bool:
    return bool(Budget.objects.filter(pk=slot, used__gt=0).update(used=F("used") - 1))


def _open_slot(campaign_id: int, scope: str, store_id: int | None, cap: int) -> None:
    """A slot for a cap that has none yet: a store joined later, or left and still takes old coupons.

    It starts with the units given out before, without the caller's own row. Of two concurrent ones one is kept.
    """
    given = max(0, _count_given(campaign_id, scope, store_id) - 1)
    Budget.objects.bulk_create(
        [Budget(campaign_id=campaign_id, scope=scope, store_id=store_id, slot=0, cap=cap, used=min(given, cap))],
        ignore_conflicts=True,
    )


def _list_separate(campaign: Campaign) -> Iterator[tuple[str, int | None]]:
    """The counts that have separate slots under the campaign's caps."""
    caps = read_caps(campaign)
    if caps.unlock is not None:
        yield Scope.UNLOCK, None
    if caps.redeem is not None:
        yield Scope.REDEEM, None
    if caps.store_redeem is not None:
        store_ids = {*campaign.stores.values_list("pk", flat=True), *_count_by_store(campaign.pk)}
        yield from ((Scope.REDEEM, store_id) for store_id in sorted(store_ids))


def _fit(campaign: Campaign, scope: str, store_id: int | None) -> None:
    """Slot rows whose caps add up to the cap, each at least what it has used. A store's cap is not split."""
    cap = read_caps(campaign).of(scope, store_id) or 0
    held = {budget.slot: budget.used for budget in _slots(campaign.pk, scope, store_id)}
    count = max(FLASH_SLOTS if campaign.is_flash and store_id is None else 1, len(held))
    used = [held.get(slot, 0) for slot in range(count)]
    if not held:
        used[0] = _count_given(campaign.pk, scope, store_id)
    room, rest = divmod(cap - sum(used), count)
    for slot in range(count):
        counts = {"cap": used[slot] + room + (slot < rest), "used": used[slot]}
        if not _slots(campaign.pk, scope, store_id).filter(slot=slot).update(**counts):
            Budget.objects.create(campaign=campaign, scope=scope, store_id=store_id, slot=slot, **counts)


def _count_used(campaign_id: int, scope: str, store_id: int | None) -> int:
    """Return the sum of the slots, or the number of units given out if there are no slots yet."""
    used = list(_slots(campaign_id, scope, store_id).values_list("used", flat=True))
    return sum(used) if used else _count_given(campaign_id, scope, store_id)


def _count_given(campaign_id: int, scope: str, store_id: int | None) -> int:
    if scope == Scope.UNLOCK:
        kept = Reservation.objects.filter(campaign_id=campaign_id).count()
        return Unlock.objects.filter(campaign_id=campaign_id).count() + kept
    taken = Redemption.objects.filter(coupon__campaign_id=campaign_id, is_live=True)
    return (taken if store_id is None else taken.filter(store_id=store_id)).count()


def _count_by_store(campaign_id: int) -> Counter[int]:
    """Uses taken per store: as counted, or as given out where nothing was counted yet."""
    taken = Redemption.objects.filter(coupon__campaign_id=campaign_id, is_live=True)
    given = Counter(dict(taken.values_list("store_id").annotate(uses=Count("pk")).order_by()))
    counted = Budget.objects.filter(campaign_id=campaign_id, scope=Scope.REDEEM, store__isnull=False)
    for store_id, used in counted.values_list("store_id", "used"):
        given[store_id] = used
    return given
