"""Credentials with which a brand's own systems read its reports."""

import hashlib
import secrets
from datetime import datetime

from promotions.database.acting import ActorKind, name_actor
from promotions.errors import DomainError
from promotions.models import Brand, BrandToken

TOKEN_BYTES = 32
# Our tokens have 43 characters; a longer one is never ours, so it is not hashed.
_MAX_TOKEN_CHARS = 200


def create_brand_token(*, brand: Brand, label: str, now: datetime) -> str:
    """A fresh token of a brand. Shown once: only its digest is kept. Not repeatable: twice is two."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    BrandToken.objects.create(brand=brand, label=label, token_digest=_digest(token), created_at=now)
    return token


def recognise_brand(*, token: str, now: datetime) -> Brand:
    """The brand of a token. Errors: `token_malformed`, `token_revoked`."""
    found = None
    if len(token) <= _MAX_TOKEN_CHARS:
        found = BrandToken.objects.select_related("brand").filter(token_digest=_digest(token)).first()
    if found is None:
        raise DomainError("token_malformed")
    if found.revoked_at is not None and found.revoked_at <= now:
        raise DomainError("token_revoked")
    name_actor(ActorKind.BRAND_TOKEN, found.pk)
    return found.brand


def _digest(token: str) -> bytes:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
