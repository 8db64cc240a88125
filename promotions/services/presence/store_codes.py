"""The rotating store code: handed to the store's kiosk, taken from a phone once per device and step."""

import logging
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from geofence.services.store_lookup import read_store_uuid
from promotions import metrics
from promotions.logic import store_codes
from promotions.logic.store_codes import StoreCode, StoreCodeFault
from promotions.models import StoreCodeUse

if TYPE_CHECKING:
    from geofence.models import Store

logger = logging.getLogger(__name__)


class StoreCodeOutcome(StrEnum):
    """Result of taking a shown code. Only `TAKEN` is truthy, so `if take_store_code(…)` reads correctly."""

    TAKEN = "taken"
    WRONG = "wrong"
    OLD = "old"
    EARLY = "early"
    # This device has shown this step already, for another campaign or another purpose.
    USED = "used"

    def __bool__(self) -> bool:
        return self is StoreCodeOutcome.TAKEN


def render_store_codes(*, store: "Store", now: datetime, count: int = store_codes.STEPS_AHEAD) -> list[StoreCode]:
    """The codes a store's kiosk shows from the current step on."""
    key, first = _key(store.uuid), store_codes.step_of(now)
    return [store_codes.render_code(key, store.uuid, step) for step in range(first, first + count)]


def check_store_code(*, store_uuid: UUID, proof: str, now: datetime) -> StoreCode | StoreCodeFault:
    """Check whether a text is what the store shows now. Reads no row and takes nothing: evidence only."""
    return store_codes.check_proof(_key(store_uuid), store_uuid, proof, now)


def take_store_code(*, device_id: UUID, store_id: int, proof: str, now: datetime) -> StoreCodeOutcome:
    """Take the code for a device: once per device and step, for any campaign.

    Call it inside the caller's transaction, after the row that makes a repeated request find its answer: then a repeat
    never gets here, and a rollback uses nothing. The unique constraint is the guard; of two concurrent requests the
    second waits for the first. A crowd on one step is counted and logged after the commit.
    """
    store_uuid = read_store_uuid(store_id)
    found = check_store_code(store_uuid=store_uuid, proof=proof, now=now)
    if isinstance(found, StoreCodeFault):
        return _count(StoreCodeOutcome(found.value))
    try:
        with transaction.atomic():
            StoreCodeUse.objects.create(device_id=device_id, store_id=store_id, step=found.step, used_at=now)
    except IntegrityError as error:
        if "promotions_store_code_use_once" not in str(error):
            raise
        return _count(StoreCodeOutcome.USED)
    transaction.on_commit(partial(_watch_crowd, store_id, store_uuid, found.step), robust=True)
    return _count(StoreCodeOutcome.TAKEN)


def _key(store_uuid: UUID) -> bytes:
    return store_codes.derive_store_key(settings.CODE_SECRET.encode(), store_uuid)


def _count(outcome: StoreCodeOutcome) -> StoreCodeOutcome:
    metrics.STORE_CODE.labels(outcome.value).inc()
    return outcome


def _watch_crowd(store_id: int, store_uuid: UUID, step: int) -> None:
    """More devices on one step than fit at a counter: someone passes the code on. An alarm, never a refusal."""
    devices = StoreCodeUse.objects.filter(store_id=store_id, step=step).count()
    if devices > settings.STORE_CODE_DEVICES_NORM:
        metrics.STORE_CODE_CROWDED.inc()
        logger.warning("store_code_crowded", extra={"store": str(store_uuid), "step": step, "devices": devices})
