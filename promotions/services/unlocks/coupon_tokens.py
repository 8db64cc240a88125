"""The QR text of a coupon: drawn for its phone, read at a till. All follows from `CODE_SECRET` and the coupon."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from promotions.logic import coupon_tokens
from promotions.logic.coupon_tokens import Claims, OfferTerms, ShownToken
from promotions.models import Campaign, Coupon


@dataclass(frozen=True, slots=True)
class RenderedToken:
    """The QR text that a phone shows now, and the key from which it draws the next steps offline."""

    text: str
    # From then on a till takes it for a screenshot.
    fresh_until: datetime
    signed: str
    rotation_key: str
    step_s: int


def coupon_terms(coupon: Coupon) -> OfferTerms:
    """The terms frozen into a coupon."""
    return OfferTerms(
        campaign_id=coupon.campaign.uuid,
        benefit=coupon.benefit,
        units=coupon.units,
        value=coupon.value,
        asks_amount=coupon.asks_amount,
        redeem_level=coupon.redeem_level,
        allows_offline=coupon.allows_offline,
        allows_vouching=coupon.allows_vouching,
        store_ids=tuple(coupon.store_ids),
    )


def campaign_terms(campaign: Campaign, *, benefit: str, units: int, store_ids: Iterable[int]) -> OfferTerms:
    """The terms on which the campaign issues a coupon for this benefit today."""
    return OfferTerms(
        campaign_id=campaign.uuid,
        benefit=benefit,
        units=units,
        value=campaign.value,
        asks_amount=campaign.asks_amount,
        redeem_level=campaign.redeem_level,
        allows_offline=campaign.allows_offline,
        allows_vouching=campaign.allows_vouching,
        store_ids=tuple(store_ids),
    )


def render_token(*, coupon: Coupon, now: datetime) -> RenderedToken:
    """The coupon's QR text of this step. Reads `coupon.campaign`; changes nothing."""
    secret = settings.CODE_SECRET.encode()
    digest = coupon_tokens.digest_offer(coupon_terms(coupon))
    signed = coupon_tokens.sign(secret, Claims(coupon.pk, coupon.valid_from, coupon.valid_until, digest))
    key, step = coupon_tokens.rotation_key(secret, coupon.pk), coupon_tokens.step_of(now)
    return RenderedToken(
        text=coupon_tokens.render(signed, key, step),
        fresh_until=coupon_tokens.fresh_until(step),
        signed=signed,
        rotation_key=coupon_tokens.spell_key(key),
        step_s=coupon_tokens.STEP_S,
    )


def identify_token(text: str) -> ShownToken | None:
    """The coupon a scanned text names, however old the text is; None when it is not one of ours."""
    return coupon_tokens.read(settings.CODE_SECRET.encode(), text)
