"""Asking for a presence token: a signed word to the campaign's brand that the phone is at the store.

No `Idempotency-Key` here: a kept answer would hold the token in the clear. A lost answer costs another token.
"""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import metrics
from promotions.http.auth import requesting_device
from promotions.http.device.unlocks import AT_THE_DOOR, REFUSALS, DoorView, UnlockRequest, name_stores, read_fix
from promotions.http.outcomes import counted
from promotions.http.schema import operation
from promotions.http.serializers import read_body
from promotions.services.unlocks.evaluation import UnlockAttempt, UnlockRefused
from promotions.services.unlocks.presence_tokens import issue_presence_token


class PresenceTokenRequest(UnlockRequest):
    """The input is that of an unlock: a fresh fix and, if the campaign requires it, the code shown at the store's
    counter."""


class PresenceTokenAnswer(serializers.Serializer[Any]):
    """A token for the campaign's brand. It is valid once, within two minutes."""

    token = serializers.CharField(help_text="JWS, compact, EdDSA; keys at `/.well-known/jwks.json`.")
    expires_at = serializers.DateTimeField(help_text="The instant from which it is no longer valid.")
    level = serializers.IntegerField(help_text="Presence level, 0 to 4.")


class PresenceTokenView(DoorView):
    """`/v1/offers/{campaign_id}/presence-token`"""

    @operation(
        summary="Request a presence token at the store",
        body=PresenceTokenRequest,
        example=AT_THE_DOOR,
        answers={201: PresenceTokenAnswer},
        problems=tuple(code for code in REFUSALS if code != "sold_out"),
    )
    @counted(metrics.PRESENCE_TOKEN, metrics.PRESENCE_TOKEN_SECONDS, {201: "issued"})
    def post(self, request: Request, campaign_id: UUID) -> Response:
        """Issue a presence token. It needs the campaign's level for unlocks. 403: refused, as an unlock would be."""
        given = read_body(PresenceTokenRequest, request)
        attempt = UnlockAttempt(read_fix(given.get("fix")), given.get("proof"))
        try:
            issued = issue_presence_token(
                device=requesting_device(request), campaign_uuid=campaign_id, attempt=attempt, now=self.now
            )
        except UnlockRefused as refused:
            name_stores(refused, campaign_id, given.get("fix"))
            raise
        body = {"token": issued.token, "expires_at": issued.expires_at, "level": issued.level}
        return Response(PresenceTokenAnswer(body).data, status=201, headers={"Cache-Control": "no-store"})
