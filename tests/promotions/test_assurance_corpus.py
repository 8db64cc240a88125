"""A tenth of the corpus of phones through the real pipeline: honest ones pass, the cheap cheats do not."""

import pytest

from benchmarks.assurance import BEGIN, DOCUMENT, END, QUICK_SHARE, SEED, Shop, Tally, fill_document, play, tally
from benchmarks.spoofs import KINDS, list_traces
from geofence.services.snapshots import forget_snapshot
from promotions.models import Device
from tests import factories
from tests.factories import NOW

TRACES = list(list_traces(seed=SEED, share=QUICK_SHARE))


@pytest.fixture(scope="module")
def played() -> dict[str, Tally]:
    """What the first test found; its rows go with it."""
    return {}


@pytest.fixture
def tallies(db: None, played: dict[str, Tally]) -> dict[str, Tally]:
    if played:
        return played
    store = factories.store()
    forget_snapshot()
    devices = Device.objects.bulk_create(
        [Device(platform="ios", consents=["fraud_checks", "geo_match"], registered_at=NOW) for _ in TRACES]
    )
    shop = Shop(store.pk, store.latitude_deg, store.longitude_deg, NOW, [device.pk for device in devices])
    played |= {each.kind.name: each for each in tally(TRACES, play(TRACES, shop))}
    return played


def test_honest_phones_pass_and_cheap_cheats_do_not(tallies: dict[str, Tally]) -> None:
    honest = [each for each in tallies.values() if each.kind.is_honest and each.kind.name != "glitch"]
    cheats = [each for each in tallies.values() if not each.kind.is_honest and each.kind.is_counted]
    phones = sum(each.phones for each in honest)

    assert len(TRACES) >= 55
    assert sum(each.at_once for each in honest) == phones
    # One phone on a table may say the same place once too often.
    assert sum(each.after_90_s for each in honest) >= phones - 2
    assert sum(each.reaching(2) for each in cheats) == 0


def test_each_kind_reaches_its_documented_level(tallies: dict[str, Tally]) -> None:
    best = {name: max(each.best) for name, each in tallies.items()}

    assert {name: best[name] for name in ("old replay", "drive-by", "relay, true place", "frozen")} == {
        "old replay": 0,
        "drive-by": 1,
        "relay, true place": 0,
        "frozen": 1,
    }
    assert (best["sybils"], best["sybils that walk"], best["fresh simulator"]) == (1, 1, 1)
    # Installed minutes before: the code on the counter is their way.
    assert (best["installed in the shop"], best["installed on the way"], best["while using"]) == (4, 4, 2)
    # What cannot be stopped is not hidden.
    assert (best["stored sybils"], best["slow sybils"], best["patient teleport"]) == (2, 2, 2)
    assert best["relay, simulator"] == 4
    assert set(tallies["frozen"].missing) >= {"frozen_location"}


def test_the_corpus_is_large_and_always_the_same() -> None:
    whole = list(list_traces(seed=SEED))

    assert len(whole) == sum(kind.count for kind in KINDS) >= 400
    assert {trace.kind for trace in whole} == {kind.name for kind in KINDS}
    assert list(list_traces(seed=SEED, share=QUICK_SHARE)) == TRACES
    assert TRACES[0] == whole[0]
    assert list(list_traces(seed=SEED + 1, share=QUICK_SHARE)) != TRACES


def test_the_document_has_a_line_for_every_kind(tallies: dict[str, Tally]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    filled = fill_document(text, list(tallies.values()))

    assert filled.split(BEGIN)[0] == text.split(BEGIN)[0]
    assert filled.split(END)[1] == text.split(END)[1]
    for kind in KINDS:
        line = f"| {kind.name} |" if kind.is_honest else f"| *{kind.name}* |"
        assert line in filled
        assert line in text, "run 'make bench ARGS=assurance'"
