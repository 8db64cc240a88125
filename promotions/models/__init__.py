"""Models of the product, one subject per file."""

from promotions.models.campaigns import Budget, Campaign, TimeWindow
from promotions.models.devices import Consent, Device, RevocationNotice
from promotions.models.events import Event
from promotions.models.operations import DeadLetter, IdempotencyRecord, JobRecord, ShardCursor
from promotions.models.opportunities import Opportunity, Refusal
from promotions.models.proofs import PointSighting, SpentPresenceToken, StoreCodeUse
from promotions.models.redemptions import OfflineScan, Redemption, Void, WithdrawnCoupon
from promotions.models.retention import DeletedRows
from promotions.models.staff import StaffDevice, StaffEnrolment, StaffMember
from promotions.models.tenants import Brand, BrandToken, Membership
from promotions.models.unlocks import Coupon, Reservation, Unlock

__all__ = [
    "Brand",
    "BrandToken",
    "Budget",
    "Campaign",
    "Consent",
    "Coupon",
    "DeadLetter",
    "DeletedRows",
    "Device",
    "Event",
    "IdempotencyRecord",
    "JobRecord",
    "Membership",
    "OfflineScan",
    "Opportunity",
    "PointSighting",
    "Redemption",
    "Refusal",
    "Reservation",
    "RevocationNotice",
    "ShardCursor",
    "SpentPresenceToken",
    "StaffDevice",
    "StaffEnrolment",
    "StaffMember",
    "StoreCodeUse",
    "TimeWindow",
    "Unlock",
    "Void",
    "WithdrawnCoupon",
]
