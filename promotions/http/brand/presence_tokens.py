"""The brand's side of presence tokens: spending one, and the keys to verify one without us.

No `Idempotency-Key` here: a token is valid once anyway, and `spent_at` of the second answer shows the first.
"""

from typing import Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import clock
from promotions.errors import DomainError
from promotions.http.auth import read_bearer
from promotions.http.schema import operation
from promotions.http.serializers import StrictSerializer, TextField, read_body
from promotions.http.views import ApiView
from promotions.logic.presence_tokens import MAX_TOKEN_CHARS
from promotions.models import Brand
from promotions.services.accounts.brand_tokens import recognise_brand
from promotions.services.unlocks.presence_tokens import published_keys, spend_presence_token

# A copy this old still verifies: the next key is published weeks before it signs.
KEY_SET_LIFE_S = 3600


class BrandAuthentication(BaseAuthentication):
    """`request.auth` becomes the `Brand` of a brand token; no session will do. Errors: `token_*`."""

    def authenticate(self, request: Request) -> tuple[None, Brand]:
        """The brand of a live token, or a 401 problem; never anonymous."""
        token = read_bearer(request)
        if not token:
            raise DomainError("token_missing")
        return None, recognise_brand(token=token, now=clock.now())


class BrandAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The security scheme in the OpenAPI description."""

    target_class = "promotions.http.brand.presence_tokens.BrandAuthentication"
    name = "brandToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """A Bearer token, as made in admin."""
        return {"type": "http", "scheme": "bearer", "description": "A brand's token, created in admin."}


class SpendRequest(StrictSerializer):
    """The token that the app sent to the brand."""

    token = TextField(max_length=MAX_TOKEN_CHARS, trim_whitespace=False)


class PresenceClaims(serializers.Serializer[Any]):
    """Claims of the token, without coordinates and without an identifier that another brand knows."""

    iss = serializers.CharField(help_text="The deployment.")
    aud = serializers.UUIDField(help_text="The brand.")
    sub = serializers.CharField(help_text="The phone's identifier, which only this brand knows.")
    jti = serializers.UUIDField(help_text="This token.")
    iat = serializers.IntegerField(help_text="Issued, seconds since 1970.")
    nbf = serializers.IntegerField(help_text="Valid from, seconds since 1970.")
    exp = serializers.IntegerField(help_text="Expires, seconds since 1970.")
    fence = serializers.UUIDField(help_text="The fence the phone was in.")
    fv = serializers.IntegerField(help_text="The version of the fence.")
    cmp = serializers.UUIDField(help_text="The campaign.")
    lal = serializers.IntegerField(help_text="Presence level, 1 to 4.")
    why = serializers.ListField(child=serializers.CharField(), help_text="Evidence: `fix`, `dwell`, `qr`.")
    dw = serializers.IntegerField(help_text="Minimum seconds in the fence: 0, 60, 180, 600 or 1800.")
    ab = serializers.IntegerField(help_text="Maximum accuracy radius in metres: 20, 50 or 100.")


class SpendAnswer(serializers.Serializer[Any]):
    """The token was valid and is now spent."""

    claims = PresenceClaims()


class PublicKey(serializers.Serializer[Any]):
    """An Ed25519 key (RFC 8037)."""

    kty = serializers.ChoiceField(choices=["OKP"])
    crv = serializers.ChoiceField(choices=["Ed25519"])
    x = serializers.CharField()
    kid = serializers.CharField()
    use = serializers.ChoiceField(choices=["sig"])
    alg = serializers.ChoiceField(choices=["EdDSA"])


class KeySet(serializers.Serializer[Any]):
    """A JSON Web Key Set (RFC 7517)."""

    keys = PublicKey(many=True)


class SpendView(ApiView):
    """`/v1/presence-tokens/spend`"""

    authentication_classes = [BrandAuthentication]

    @operation(
        summary="Spend a presence token",
        body=SpendRequest,
        answers={200: SpendAnswer},
        problems=("presence_token_invalid", "presence_token_expired", "token_spent"),
    )
    def post(self, request: Request) -> Response:
        """Spend a token. 200: the token was valid; the claims follow. 409: the token is already spent."""
        given = read_body(SpendRequest, request)
        claims = spend_presence_token(brand=cast(Brand, request.auth), token=given["token"], now=self.now)
        return Response(SpendAnswer({"claims": claims}).data, headers={"Cache-Control": "no-store"})


class KeySetView(ApiView):
    """`/.well-known/jwks.json`"""

    @operation(summary="List the keys that verify presence tokens", answers={200: KeySet}, operation_id="jwks")
    def get(self, request: Request) -> Response:
        """Return the current key, the next one, and for a week after a rotation the previous one."""
        body = KeySet({"keys": published_keys(now=self.now)}).data
        return Response(body, headers={"Cache-Control": f"public, max-age={KEY_SET_LIFE_S}"})
