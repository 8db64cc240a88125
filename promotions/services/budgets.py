"""A campaign's cap on unlocks, counted down slot by slot."""

import random

from django.db.models import F, QuerySet

from promotions.models import Budget, Campaign


def has_budget(campaign: Campaign) -> bool:
    """Whether the cap seems to have room; only `take_budget` knows."""
    return campaign.unlock_cap is None or _open_slots(campaign).exists()


def take_budget(campaign: Campaign) -> bool:
    """Count one unlock against the cap; False when it is used up. One conditional update per slot, the guard itself.

    Slots are tried from a random one on, so that a flash campaign's phones do not queue for one row.
    """
    if campaign.unlock_cap is None:
        return True
    slots = list(_open_slots(campaign).values_list("pk", flat=True))
    random.shuffle(slots)
    return any(_take_from(slot) for slot in slots)


def _open_slots(campaign: Campaign) -> QuerySet[Budget]:
    """The cap on unlocks is one for all stores; caps on uses at tills are counted apart."""
    return Budget.objects.filter(campaign=campaign, scope=Budget.Scope.UNLOCK, store=None, used__lt=F("cap"))


def _take_from(slot: int) -> bool:
    return bool(Budget.objects.filter(pk=slot, used__lt=F("cap")).update(used=F("used") + 1))
