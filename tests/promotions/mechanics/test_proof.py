"""The proof of a draw, by the two commands: available at the end, valid for anyone, broken by any change."""

import json
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from promotions.mechanics.instant_win.models import PrizeLot
from promotions.models import Campaign
from promotions.services.campaigns.states import end_campaign, open_campaign
from tests import factories
from tests.factories import NOW


@pytest.fixture
def campaign(db: None) -> Campaign:
    campaign = factories.campaign(state="draft", opened_at=None, kind="instant_win")
    PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=5)
    return open_campaign(campaign_id=campaign.pk, now=NOW)


def prove(campaign: Campaign) -> dict[str, Any]:
    end_campaign(campaign_id=campaign.pk, now=NOW)
    reported = StringIO()
    call_command("prove_draw", str(campaign.uuid), stdout=reported)
    proof: dict[str, Any] = json.loads(reported.getvalue())
    return proof


def verify(folder: Path, proof: Any, *options: str) -> str:
    path = folder / "proof.json"
    path.write_text(json.dumps(proof))
    reported = StringIO()
    call_command("verify_draw", str(path), *options, stdout=reported)
    return reported.getvalue()


def test_an_ended_draw_can_be_proved(campaign: Campaign, tmp_path: Path) -> None:
    proof = prove(campaign)

    assert (bytes.fromhex(proof["seed"]), len(proof["moments"])) == (bytes(campaign.seed or b""), 5)
    assert "exactly these 5 moments" in verify(tmp_path, proof, "--commitment", campaign.seed_commitment)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "00" * 32}, "other_seed"),
        ({"seed": "short"}, "no proof"),
        ({"lots": []}, "not_drawn"),
        ({"moments": []}, "left_out"),
        ({"moments": [{"opens_at": "2026-09-22T10:00:00", "lot": "1", "number": 1}]}, "no offset"),
        ({"openings": [["2026-09-22T10:00:00+00:00"]]}, "no proof"),
    ],
)
def test_a_changed_proof_does_not_hold(campaign: Campaign, tmp_path: Path, change: Any, words: str) -> None:
    proof = prove(campaign)

    with pytest.raises(CommandError, match=words):
        verify(tmp_path, {**proof, **change})


def test_another_commitment_than_the_published_one_does_not_hold(campaign: Campaign, tmp_path: Path) -> None:
    proof = prove(campaign)

    with pytest.raises(CommandError, match="other_seed"):
        verify(tmp_path, proof, "--commitment", "0" * 64)


@pytest.mark.parametrize("text", ["[]", "7", "{", "null"])
def test_any_other_file_is_no_proof(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)

    with pytest.raises(CommandError, match=r"other\.json"):
        call_command("verify_draw", str(tmp_path / "other.json"))


def test_the_seed_stays_sealed_while_people_can_play(campaign: Campaign) -> None:
    with pytest.raises(CommandError, match="only after the campaign has ended"):
        call_command("prove_draw", str(campaign.uuid))


def test_hours_changed_since_are_reported_instead_of_a_false_proof(campaign: Campaign) -> None:
    campaign.stores.update(opening_hours={"sun": [["09:00", "10:00"]]})

    with pytest.raises(CommandError, match="changed after the draw"):
        prove(campaign)


def test_there_is_no_proof_of_what_is_no_draw(db: None) -> None:
    with pytest.raises(CommandError, match="no such instant win"):
        call_command("prove_draw", str(uuid4()))
