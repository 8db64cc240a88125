"""Questions to a restored copy that only the product can answer. They run in a process of their own, on the copy."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q

from geofence.models import Store
from promotions.checks import find_migration_faults
from promotions.logic import codes
from promotions.models import Coupon, StaffMember
from promotions.services.till.staff_devices import create_enrolment
from promotions.services.unlocks.coupons import read_code

# Enough to see that the secret is another one.
SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class Probe:
    """The answers. `code` is a coupon that a till of the store may take now; empty: none is valid."""

    migration_faults: list[str]
    codes_probed: int
    codes_opened: int
    enrolment: str
    code: str

    def document(self) -> dict[str, Any]:
        """Return the answers as a JSON object."""
        return asdict(self)


def probe_copy(now: datetime) -> Probe:
    """Read codes by CODE_SECRET, and enrol a till where a coupon can be taken."""
    pepper = settings.CODE_SECRET.encode()
    newest = Coupon.objects.order_by("-valid_until")[:SAMPLE]
    opened = [codes.digest(pepper, read_code(coupon)) == bytes(coupon.code_digest) for coupon in newest]
    coupon, store = _find_takeable(now)
    enrolment = ""
    if store is not None:
        enrolment = create_enrolment(store=store, label="Restore drill", is_manager=False, user=None, now=now)
    return Probe(
        migration_faults=find_migration_faults(),
        codes_probed=len(opened),
        codes_opened=sum(opened),
        enrolment=enrolment,
        code=read_code(coupon) if coupon else "",
    )


def _find_takeable(now: datetime) -> tuple[Coupon | None, Store | None]:
    """Return a coupon that every rule allows, and a store that takes it without a PIN; or any store."""
    signed_in = set(StaffMember.objects.filter(is_active=True).values_list("store_id", flat=True))
    free = Coupon.objects.filter(
        Q(valid_from__lte=now, valid_until__gt=now, recalled_at=None, redeem_level=0, asks_amount=False)
        & Q(redeem_hours=[], redemptions=None)
    )
    stores = {store.pk: store for store in Store.objects.exclude(pk__in=signed_in)}
    for coupon in free.order_by("-valid_until")[:SAMPLE]:
        for store_id in coupon.store_ids:
            if store_id in stores:
                return coupon, stores[store_id]
    return None, next(iter(stores.values()), None)
