"""The segments of devices. The brand's own systems decide who is a member; an app cannot."""

from collections.abc import Collection, Mapping
from uuid import UUID

from django.db import connection, transaction

from promotions.errors import Fault, InvalidInput
from promotions.logic.segments import find_segment_faults
from promotions.models import Device

_UPDATE_SQL = """
UPDATE promotions_device d SET segments = string_to_array(given.segments, ',')
FROM unnest(%(devices)s::uuid[], %(segments)s::text[]) AS given(id, segments)
WHERE d.id = given.id
"""


@transaction.atomic
def set_segments(segments_of: Mapping[UUID, Collection[str]]) -> frozenset[UUID]:
    """Replace the segments of devices, and return those that exist. Repeatable.

    A campaign that requires a segment follows at the next fix or request. Errors: `invalid_input` with every fault;
    then no device is changed.
    """
    faults: list[Fault] = []
    for device_id, codes in segments_of.items():
        faults += find_segment_faults(codes, f"/{device_id}/segments")
    if faults:
        raise InvalidInput(faults)
    # In one order, so that two imports at once cannot wait for each other.
    locked = Device.objects.select_for_update(no_key=True).filter(pk__in=segments_of).order_by("pk")
    device_ids = list(locked.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        # A code has no comma, and an array of arrays could not hold lists of different lengths.
        texts = [",".join(sorted(segments_of[device_id])) for device_id in device_ids]
        cursor.execute(_UPDATE_SQL, {"devices": device_ids, "segments": texts})
    return frozenset(device_ids)
