"""The packed record of a fix."""

from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.fixes import FIX_DTYPE, join_device_id, list_devices, split_device_id


@given(st.uuids())
def test_a_device_id_survives_its_halves(device_id: UUID) -> None:
    assert join_device_id(*split_device_id(device_id)) == device_id


def test_a_record_has_no_padding() -> None:
    # Streams in the field hold records of this size.
    assert FIX_DTYPE.itemsize == 76
    assert FIX_DTYPE.isalignedstruct is False


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 3)), max_size=40))
def test_devices_are_listed_once_in_order_though_they_share_half_of_their_ids(halves: list[tuple[int, int]]) -> None:
    fixes = np.zeros(len(halves), FIX_DTYPE)
    fixes["device_hi"], fixes["device_lo"] = np.array(halves, dtype=np.uint64).reshape(-1, 2).T

    devices, device_of = list_devices(fixes)

    listed = list(zip(devices.hi.tolist(), devices.lo.tolist(), strict=True))
    assert listed == sorted(set(halves))
    assert [listed[place] for place in device_of.tolist()] == halves
