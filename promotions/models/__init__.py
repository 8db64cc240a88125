"""Models of the product, one subject per file."""

from promotions.models.audit import AuditRecord
from promotions.models.campaigns import Budget, Campaign, TimeWindow
from promotions.models.devices import Consent, Device, RevocationNotice
from promotions.models.events import Event
from promotions.models.factors import RecoveryCode, SecondFactor
from promotions.models.operations import DeadLetter, IdempotencyRecord, JobRecord, ShardCursor
from promotions.models.opportunities import Opportunity, Refusal
from promotions.models.proofs import PointSighting, SpentPresenceToken, StoreCodeUse
from promotions.models.redemptions import OfflineScan, Redemption, Void, WithdrawnCoupon
from promotions.models.retention import DeletedRows
from promotions.models.sign_ins import AdminSession, SecurityEvent, SignInCounter
from promotions.models.staff import StaffDevice, StaffEnrolment, StaffMember
from promotions.models.tenants import Brand, BrandToken, Membership
from promotions.models.unlocks import Coupon, Reservation, Unlock

__all__ = [
    "AdminSession",
    "AuditRecord",
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
    "RecoveryCode",
    "Redemption",
    "Refusal",
    "Reservation",
    "RevocationNotice",
    "SecondFactor",
    "SecurityEvent",
    "ShardCursor",
    "SignInCounter",
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
