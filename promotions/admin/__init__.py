"""The admin: one idea per file. Django imports this package, and each file registers its models."""

from promotions.admin import (  # noqa: F401
    accounts,
    audit,
    brands,
    campaigns,
    conflicts,
    devices,
    events,
    operations,
    places,
    proofs,
    sign_ins,
    staff,
    staff_members,
    till,
    unlocks,
)
