"""A batch in order: by device and time, the rule for repeats, what is late."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from geofence.logic.batches import DropReason, keep_fixes, order_fixes
from geofence.logic.fixes import FIX_DTYPE, FixArray, list_devices

# Two devices that share half of their ids; instants a second and a life apart.
_FIXES = st.lists(
    st.tuples(
        st.sampled_from([(7, 1), (7, 2), (8, 1)]),
        st.sampled_from([1, 2, 1_790_000_000_000, 1_790_000_001_000]),
        st.sampled_from([5.0, 50.0, float("nan")]),
    ),
    max_size=20,
)


def _pack(rows: list[tuple[tuple[int, int], int, float]]) -> FixArray:
    fixes = np.zeros(len(rows), FIX_DTYPE)
    for place, (device, fix_time_ms, accuracy_m) in enumerate(rows):
        fixes["device_hi"][place], fixes["device_lo"][place] = device
        fixes["fix_time_ms"][place], fixes["accuracy_m"][place] = fix_time_ms, accuracy_m
        fixes["fix_id"][place] = place
    return fixes


@given(_FIXES)
@example([((7, 1), 1, 5.0), ((7, 1), 1_790_000_000_000, 5.0)])
def test_a_batch_is_ordered_by_device_then_time_then_accuracy(rows: list[tuple[tuple[int, int], int, float]]) -> None:
    fixes = _pack(rows)
    ordered = order_fixes(fixes, *list_devices(fixes))

    def rank(place: int) -> tuple[tuple[int, int], int, float]:
        device, fix_time_ms, accuracy_m = rows[place]
        return (device, fix_time_ms, accuracy_m if accuracy_m > 0 else np.inf)

    ranks = [rank(place) for place in ordered.place.tolist()]
    assert ranks == sorted(ranks)
    assert sorted(ordered.place.tolist()) == list(range(len(rows)))
    assert ordered.fixes["fix_id"].tolist() == ordered.place.tolist()
    repeats = [bool(place) and ranks[place][:2] == ranks[place - 1][:2] for place in range(len(ranks))]
    assert ordered.is_repeat.tolist() == repeats


@given(_FIXES, st.sampled_from([0, 1, 2, 1_790_000_000_000]))
def test_kept_is_what_is_newer_than_the_last_one_used(
    rows: list[tuple[tuple[int, int], int, float]], used_ms: int
) -> None:
    fixes = _pack(rows)
    ordered = order_fixes(fixes, *list_devices(fixes))

    batch, places, dropped = keep_fixes(ordered, np.full(len(ordered.devices), used_ms))

    newer = {(device, fix_time_ms) for device, fix_time_ms, _ in rows if fix_time_ms > used_ms}
    assert sorted(newer) == [(rows[place][0], rows[place][1]) for place in places.tolist()]
    assert dropped[DropReason.LATE] == sum(fix_time_ms < used_ms for _, fix_time_ms, _ in rows)
    assert sum(dropped.values()) + len(places) == len(rows)
    spans = [
        batch.fixes["fix_time_ms"][first:last].tolist() for first, last in zip(batch.first, batch.last, strict=True)
    ]
    assert all(span == sorted(span) and span for span in spans)
    assert len(spans) == len({device for device, _ in newer}) == len(batch.devices)
    assert batch.device_of.tolist() == [device for device, span in enumerate(spans) for _ in span]
