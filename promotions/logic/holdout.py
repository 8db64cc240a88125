"""The arm of a device: a hash that anyone can recompute, so an arm needs no storage to stay the same.

    bucket = first 64 bits of SHA-256("<salt>|<layer>|<device id>") / 2^64;  control when bucket < holdout share

Read it after all gates, never before: nothing that happens earlier may depend on it.
"""

import hashlib
from enum import StrEnum
from uuid import UUID

BUCKETS = 2**64


class Arm(StrEnum):
    """`control` gets silence, and can still find and redeem the offer in the app."""

    TREATED = "treated"
    CONTROL = "control"


class Layer(StrEnum):
    """Independent draws for one device: a brand's whole programme, or one campaign."""

    PROGRAMME = "programme"
    CAMPAIGN = "campaign"


def bucket_of(salt: str, layer: Layer, device_id: UUID) -> int:
    """The device's place among 2^64, uniform and fixed for a salt and layer."""
    hashed = hashlib.sha256(f"{salt}|{layer}|{device_id}".encode()).digest()
    return int.from_bytes(hashed[:8], "big")


def assign_arm(salt: str, layer: Layer, device_id: UUID, holdout_share: float) -> Arm:
    """The arm of a device. A larger share only ever moves devices from treated to control."""
    return Arm.CONTROL if bucket_of(salt, layer, device_id) < holdout_share * BUCKETS else Arm.TREATED
