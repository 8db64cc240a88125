"""What the product stores, one idea per file."""

from promotions.models.campaigns import Budget, Campaign, PrizeLot, TimeWindow, WinningMoment
from promotions.models.devices import Consent, Device
from promotions.models.offers import Coupon, Opportunity, Refusal, Unlock
from promotions.models.operations import DeadLetter, IdempotencyRecord, ShardCursor
from promotions.models.redemptions import Redemption, StaffDevice, StaffEnrolment, Void
from promotions.models.tenants import Brand, BrandToken, Membership

__all__ = [
    "Brand",
    "BrandToken",
    "Budget",
    "Campaign",
    "Consent",
    "Coupon",
    "DeadLetter",
    "Device",
    "IdempotencyRecord",
    "Membership",
    "Opportunity",
    "PrizeLot",
    "Redemption",
    "Refusal",
    "ShardCursor",
    "StaffDevice",
    "StaffEnrolment",
    "TimeWindow",
    "Unlock",
    "Void",
    "WinningMoment",
]
