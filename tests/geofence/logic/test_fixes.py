"""The packed record of a fix."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.fixes import FIX_DTYPE, join_device_id, split_device_id


@given(st.uuids())
def test_a_device_id_survives_its_halves(device_id: UUID) -> None:
    assert join_device_id(*split_device_id(device_id)) == device_id


def test_a_record_has_no_padding() -> None:
    # Streams in the field hold records of this size.
    assert FIX_DTYPE.itemsize == 76
    assert FIX_DTYPE.isalignedstruct is False
