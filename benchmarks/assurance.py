"""Proof of presence on a corpus of honest phones and cheats: the share of each that reaches each level.

Every trace of `benchmarks/spoofs.py` goes through the real pipeline, presence machine and stored evidence, and sends
the same requests as an app. Nothing is timed. [assurance.md](assurance.md) has the full matrix and explains it.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from benchmarks import world
from benchmarks.figures import Figure
from benchmarks.spoofs import AFTER_90_S, AT_ONCE_S, KINDS, Kind, Question, Trace, TracedFix, list_traces

if TYPE_CHECKING:
    from geofence.logic.fixes import FixArray
    from promotions.services.presence.assurance import GivenFix

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "assurance.md"
BEGIN, END = "<!-- matrix: written by `make bench ARGS=assurance` -->", "<!-- end of the matrix -->"
SEED = 20_260_922
QUICK_SHARE = 0.1
# Uploads are processed this often, and before every question.
DRAIN_S = 120.0
METRES_PER_DEG = 111_195.0
HONEST_LEVEL_1, HONEST_LEVEL_2, CHEAT_LEVEL_2 = "≥ 98", "≥ 95", "≤ 2"


@dataclass(frozen=True, slots=True)
class Shop:
    """Place and start of the traces, and their devices."""

    store_id: int
    latitude_deg: float
    longitude_deg: float
    opened_at: datetime
    devices: Sequence[UUID]

    def at(self, at_s: float) -> datetime:
        """The instant of a second of the traces."""
        return self.opened_at + timedelta(seconds=at_s)

    def place(self, fix: TracedFix) -> tuple[float, float]:
        """Latitude and longitude of a fix."""
        east_m, north_m = fix.spot
        latitude_deg = self.latitude_deg + north_m / METRES_PER_DEG
        east_deg = east_m / METRES_PER_DEG / math.cos(math.radians(self.latitude_deg))
        return latitude_deg, self.longitude_deg + east_deg


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question: the level, and the pieces missing for levels 1 and 2."""

    at_s: float
    level: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """Phones of one kind: those at level 1 at once and at level 2 after 90 s, the best level of each, and the parts
    missing at the last question."""

    kind: Kind
    phones: int
    at_once: int
    after_90_s: int
    best: Mapping[int, int]
    missing: Mapping[str, int]

    def reaching(self, level: int) -> int:
        """Number of traces that ever reached a level."""
        return sum(count for best, count in self.best.items() if best >= level)


def run(quick: bool) -> list[Figure]:
    """Compute the shares that have targets; write the matrix unless this is a quick run."""
    from promotions import clock

    traces = list(list_traces(seed=SEED, share=QUICK_SHARE if quick else 1.0))
    tallies = tally(traces, play(traces, _open_shop(len(traces), clock.now())))
    if not quick:
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(fill_document(text, tallies), encoding="utf-8")
    return list_figures(tallies)


def _open_shop(phones: int, now: datetime) -> Shop:
    from geofence.models import Store
    from promotions.models import Device

    seeded = world.seed(fences=1, devices=phones, campaigns=1, now=now)
    store = Store.objects.get()
    Device.objects.update(consents=["fraud_checks", "geo_match"])
    devices = [seeded.devices.read_id(place) for place in range(phones)]
    return Shop(store.pk, store.latitude_deg, store.longitude_deg, now, devices)


def date_devices(traces: Sequence[Trace], shop: Shop) -> None:
    """Register the devices as long before the arrival as their installations are old."""
    from promotions.models import Device

    dated = [
        Device(pk=device_id, registered_at=shop.at(-trace.installed_s))
        for device_id, trace in zip(shop.devices, traces, strict=True)
    ]
    Device.objects.bulk_update(dated, ["registered_at"])


def play(traces: Sequence[Trace], shop: Shop) -> list[list[Answer]]:
    """Play every phone's trace: at each instant, first the uploads, then the questions."""
    from django.db import transaction

    from promotions import pipeline

    date_devices(traces, shop)
    uploads = _pack(traces, shop)
    sent_s = (uploads["received_at_ms"] / 1000.0) - shop.opened_at.timestamp()
    answers: list[list[Answer]] = [[] for _ in traces]
    processed_until_s = -math.inf
    for until_s, questions in _list_instants(traces):
        batch = uploads[(sent_s > processed_until_s) & (sent_s <= until_s)]
        processed_until_s = until_s
        if len(batch):
            with transaction.atomic():
                pipeline.process(batch, now=shop.at(until_s))
        for place, question in questions:
            answers[place].append(_request_unlock(shop, place, question, traces[place].installed_s))
    return answers


def _list_instants(traces: Sequence[Trace]) -> Iterator[tuple[float, list[tuple[int, Question]]]]:
    """Yield the instants at which uploads are processed, with their questions."""
    by_time: dict[float, list[tuple[int, Question]]] = {}
    for place, trace in enumerate(traces):
        for question in trace.questions:
            by_time.setdefault(question.at_s, []).append((place, question))
    drained = np.arange(-2_400, max(by_time), DRAIN_S).tolist()
    for at_s in sorted({*drained, *by_time}):
        yield at_s, by_time.get(at_s, [])


def _pack(traces: Sequence[Trace], shop: Shop) -> "FixArray":
    """All uploads in the form that the lane would write."""
    from geofence.logic.fixes import FIX_DTYPE, FixFlag, split_device_id

    rows = []
    for device_id, trace in zip(shop.devices, traces, strict=True):
        high, low = split_device_id(device_id)
        for number, fix in enumerate(trace.fixes):
            if fix.sent_s is None:
                continue
            latitude_deg, longitude_deg = shop.place(fix)
            fix_ms, sent_ms = (round(shop.at(at_s).timestamp() * 1000) for at_s in (fix.at_s, fix.sent_s))
            flags = int(FixFlag.MOCK) if fix.is_mock else 0
            accuracy_m, speed_mps = fix.accuracy_m, math.nan
            rows.append(
                (high, low, fix_ms, sent_ms, latitude_deg, longitude_deg, accuracy_m, speed_mps, flags, 0, number, 0)
            )
    return np.array(rows, dtype=FIX_DTYPE)


def _request_unlock(shop: Shop, place: int, question: Question, installed_s: float) -> Answer:
    from geofence.services.surroundings import evaluate_fix
    from promotions.logic.assurance import Level, StoreProof, assess
    from promotions.services.presence.assurance import PresenceClaim, gather_evidence

    fix = _give(shop, question.fix)
    evaluation = evaluate_fix(
        latitude_deg=fix.latitude_deg,
        longitude_deg=fix.longitude_deg,
        accuracy_m=fix.accuracy_m,
        store_ids=[shop.store_id],
    )
    proof = StoreProof.CODE if question.has_code else StoreProof.NONE
    claim = PresenceClaim(
        device_id=shop.devices[place],
        registered_at=shop.at(-installed_s),
        store_id=shop.store_id,
        fix=fix,
        evaluation=evaluation,
        proof=proof,
    )
    assurance = assess(gather_evidence(claim, now=shop.at(question.at_s)))
    missing = tuple(piece.code.value for piece in assurance.missing_for(Level.SUSTAINED))
    return Answer(question.at_s, int(assurance.level), missing)


def _give(shop: Shop, fix: TracedFix) -> "GivenFix":
    from promotions.services.presence.assurance import GivenFix

    latitude_deg, longitude_deg = shop.place(fix)
    # To the millisecond, as the upload of the same fix says it.
    fix_time = shop.at(fix.at_s)
    rounded = fix_time.replace(microsecond=0) + timedelta(milliseconds=round(fix_time.microsecond / 1000))
    return GivenFix(latitude_deg, longitude_deg, fix.accuracy_m, rounded, fix.is_mock)


def tally(traces: Sequence[Trace], answers: Sequence[Sequence[Answer]]) -> list[Tally]:
    """The phones of each kind, counted."""
    tallies = []
    for kind in KINDS:
        answered = [given for trace, given in zip(traces, answers, strict=True) if trace.kind == kind.name]
        tallies.append(
            Tally(
                kind,
                len(answered),
                sum(_level_at(given, AT_ONCE_S) >= 1 for given in answered),
                sum(_level_at(given, AFTER_90_S) >= 2 for given in answered),
                Counter(max((answer.level for answer in given), default=0) for given in answered),
                Counter(code for given in answered if given for code in given[-1].missing),
            )
        )
    return tallies


def _level_at(given: Sequence[Answer], at_s: float) -> int:
    return next((answer.level for answer in given if answer.at_s == at_s), 0)


def list_figures(tallies: Sequence[Tally]) -> list[Figure]:
    """Figures with targets, in percent."""
    honest = [each for each in tallies if each.kind.is_honest and each.kind.is_counted]
    cheats = [each for each in tallies if not each.kind.is_honest and each.kind.is_counted]
    phones = sum(each.phones for each in honest)
    return [
        Figure(
            "assurance.honest_level_1",
            _percent(sum(each.at_once for each in honest), phones),
            "%",
            target=HONEST_LEVEL_1,
        ),
        Figure(
            "assurance.honest_level_2_after_90_s",
            _percent(sum(each.after_90_s for each in honest), phones),
            "%",
            target=HONEST_LEVEL_2,
        ),
        Figure(
            "assurance.cheats_level_2",
            _percent(sum(each.reaching(2) for each in cheats), sum(each.phones for each in cheats)),
            "%",
            target=CHEAT_LEVEL_2,
        ),
        Figure("assurance.traces", sum(each.phones for each in tallies), "traces"),
    ]


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def fill_document(text: str, tallies: Sequence[Tally]) -> str:
    """The text with the matrix between its marks. Errors: ValueError when a mark is missing."""
    head, tail = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:head]}\n\n{write_matrix(tallies)}\n\n{text[tail:]}"


def write_matrix(tallies: Sequence[Tally]) -> str:
    """The confusion matrix per level, then one line per kind."""
    return "\n\n".join([_write_confusion(tallies), _write_kinds(tallies)])


def _write_confusion(tallies: Sequence[Tally]) -> str:
    honest = [each for each in tallies if each.kind.is_honest]
    cheap = [each for each in tallies if not each.kind.is_honest and each.kind.is_counted]
    costly = [each for each in tallies if not each.kind.is_honest and not each.kind.is_counted]
    rows: list[Sequence[str]] = [("", "honest: passes", "honest: refused", "cheap cheats pass", "other cheats pass")]
    for name, passed, level in (
        (f"level 1, after {AT_ONCE_S:.0f} s", sum(each.at_once for each in honest), 1),
        (f"level 2, after {AFTER_90_S:.0f} s", sum(each.after_90_s for each in honest), 2),
    ):
        phones = sum(each.phones for each in honest)
        rows.append(
            (
                name,
                _write_share(passed, phones),
                _write_share(phones - passed, phones),
                *(
                    _write_share(sum(each.reaching(level) for each in some), sum(each.phones for each in some))
                    for some in (cheap, costly)
                ),
            )
        )
    return _write_table(rows)


def _write_kinds(tallies: Sequence[Tally]) -> str:
    rows: list[Sequence[str]] = [
        ("kind", "what it does", "phones", "level 1 at 30 s", "level 2 at 90 s", "best: 0", "1", "2", "4", "missing")
    ]
    for each in tallies:
        name = each.kind.name if each.kind.is_honest else f"*{each.kind.name}*"
        missing = ", ".join(f"`{code}` {count}" for code, count in each.missing.most_common(2)) or "–"  # type: ignore[attr-defined]
        rows.append(
            (
                name,
                each.kind.about,
                str(each.phones),
                str(each.at_once),
                str(each.after_90_s),
                *(str(each.best.get(level, 0)) for level in (0, 1, 2, 4)),
                missing,
            )
        )
    return _write_table(rows)


def _write_share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({_percent(part, whole):.1f} %)"


def _write_table(rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(rows[0])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [rows[0], rule, *rows[1:]])
