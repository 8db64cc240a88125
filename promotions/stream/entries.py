"""The content of stream entries: how they are decoded, singly or as arrays, and which ones are poison."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from geofence.logic.fixes import FIX_DTYPE, FixArray, FixFlag, FixSource

# The field's name is the version of the record layout.
ENTRY_FIELD = b"v1"
# Limits an entry to about 310 kB, so that a worker's batch stays bounded.
MAX_ENTRY_RECORDS = 4096
# As the client library gives an entry: its id, its fields.
RawEntry = tuple[bytes, Mapping[bytes, bytes]]
_KNOWN_FLAGS = sum(FixFlag)
_LAST_SOURCE = max(FixSource)


class PoisonEntry(Exception):
    """A stream entry that can never be processed. `reason` names the fault without repeating the content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Consecutive entries of a shard, and all their records.

    Entry i holds `records[offsets[i]:offsets[i + 1]]`. An entry that does not decode holds none; `poison` has the
    reason.
    """

    ids: Sequence[bytes]
    records: FixArray
    offsets: npt.NDArray[np.int64]
    poison: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.ids)

    def read_id(self, place: int) -> str:
        """Return the id of an entry, as the cursor stores it."""
        return self.ids[place].decode("ascii")

    def without_poison(self) -> "StreamBatch":
        """Return the entries that decode. All records are theirs."""
        sound = np.array([place not in self.poison for place in range(len(self))], dtype=np.bool_)
        ids = [entry_id for place, entry_id in enumerate(self.ids) if place not in self.poison]
        return StreamBatch(ids, self.records, np.append(self.offsets[:-1][sound], self.offsets[-1]), {})

    def mark_poison(self, reason: str) -> "StreamBatch":
        """Return the same entries, all of them poison."""
        offsets = np.zeros_like(self.offsets)
        return StreamBatch(self.ids, self.records[:0], offsets, dict.fromkeys(range(len(self)), reason))

    def part(self, first: int, end: int) -> "StreamBatch":
        """Return the entries from `first` up to, but not including, `end`."""
        offsets = self.offsets[first : end + 1]
        poison = {place - first: reason for place, reason in self.poison.items() if first <= place < end}
        return StreamBatch(self.ids[first:end], self.records[offsets[0] : offsets[-1]], offsets - offsets[0], poison)


def list_payloads(entries: Sequence[RawEntry]) -> list[bytes]:
    """Return the payload of each entry; empty if it has an unknown layout."""
    all_fields = [fields for _, fields in entries]
    # Unknown layouts are rare, so do not check each of thousands of entries.
    with suppress(KeyError):
        if sum(map(len, all_fields)) == len(all_fields):
            return list(map(itemgetter(ENTRY_FIELD), all_fields))
    return [fields.get(ENTRY_FIELD, b"") if len(fields) == 1 else b"" for fields in all_fields]


def decode_entries(entries: Sequence[RawEntry], payloads: list[bytes]) -> StreamBatch:
    """Decode entries as arrays.

    A property test compares it with `decode_entry`. `payloads` are from `list_payloads`.
    """
    octets = np.fromiter(map(len, payloads), dtype=np.int64, count=len(payloads))
    sizes, rest = np.divmod(octets, FIX_DTYPE.itemsize)
    misshapen = np.flatnonzero((rest != 0) | (sizes < 1) | (sizes > MAX_ENTRY_RECORDS))
    sizes[misshapen] = 0
    for place in misshapen.tolist():
        payloads[place] = b""
    records: FixArray = np.frombuffer(b"".join(payloads), FIX_DTYPE)
    sound = np.logical_and.reduce([holds for _, holds in _evaluate_records(records)])
    bad = misshapen
    if not sound.all():
        of_entry = np.repeat(np.arange(len(entries)), sizes)
        impossible = np.unique(of_entry[~sound])
        records = records[~np.isin(of_entry, impossible)]
        sizes[impossible] = 0
        bad = np.union1d(misshapen, impossible)
    poison = {place: _name_poison(entries[place][1]) for place in bad.tolist()}
    offsets = np.zeros(len(entries) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return StreamBatch([entry_id for entry_id, _ in entries], records, offsets, poison)


def _name_poison(fields: Mapping[bytes, bytes]) -> str:
    try:
        decode_entry(fields)
    except PoisonEntry as error:
        return error.reason
    raise AssertionError("the array form of decode_entry refused what it accepts")


def decode_entry(fields: Mapping[bytes, bytes]) -> FixArray:
    """
    Shapes:  one field `v1` of n × 76 bytes → (n,) FIX_DTYPE, read-only, n in 1..MAX_ENTRY_RECORDS
    Units:   as named in FIX_DTYPE; degrees WGS 84, metres, milliseconds since 1970
    Errors:  PoisonEntry when anything in it could not have been written by the fix lane
    Source:  the writer is `promotions/http/lane/fixes.py`
    """
    if set(fields) != {ENTRY_FIELD}:
        raise PoisonEntry("unknown_layout")
    packed = fields[ENTRY_FIELD]
    count, rest = divmod(len(packed), FIX_DTYPE.itemsize)
    if rest or not 1 <= count <= MAX_ENTRY_RECORDS:
        raise PoisonEntry("wrong_size")
    records: FixArray = np.frombuffer(packed, FIX_DTYPE)
    reason = _find_poison(records)
    if reason is not None:
        raise PoisonEntry(reason)
    return records


def _find_poison(records: FixArray) -> str | None:
    return next((reason for reason, holds in _evaluate_records(records) if not holds.all()), None)


def _evaluate_records(records: FixArray) -> tuple[tuple[str, npt.NDArray[np.bool_]], ...]:
    """Return for each rule which records keep it."""
    accuracy_m, speed_mps = records["accuracy_m"], records["speed_mps"]
    # Each comparison is written so that NaN fails it.
    return (
        ("no_device", (records["device_hi"] | records["device_lo"]) != 0),
        (
            "bad_coordinates",
            (np.abs(records["latitude_deg"]) <= 90) & (np.abs(records["longitude_deg"]) <= 180),
        ),
        ("bad_time", (records["fix_time_ms"] > 0) & (records["received_at_ms"] > 0)),
        ("bad_accuracy", np.isnan(accuracy_m) | ((accuracy_m > 0) & np.isfinite(accuracy_m))),
        ("bad_speed", np.isnan(speed_mps) | ((speed_mps >= 0) & np.isfinite(speed_mps))),
        ("unknown_flag", (records["flags"] & ~np.uint16(_KNOWN_FLAGS)) == 0),
        ("unknown_source", records["source"] <= _LAST_SOURCE),
    )
