"""The page that shows a new secret, in the response to the POST that created it. The secret is not stored."""

import io

import segno
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin


def show_secret(
    request: HttpRequest, *, page: ModelAdmin, title: str, secret: str, advice: str, qr_of: str = ""
) -> HttpResponse:
    """Show the secret, advice, and optionally a QR code."""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": title,
        "secret": secret,
        "advice": advice,
        "qr": render_qr(qr_of) if qr_of else "",
        "done_url": reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist"),
    }
    answer = TemplateResponse(request, "admin/promotions/secret.html", context)
    # The page can show an address with the secret, so links must not send a referrer.
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def render_qr(text: str) -> SafeString:
    """Return a QR code as inline SVG, black on white also in dark mode."""
    rendered = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        rendered, kind="svg", scale=6, border=4, light="white", xmldecl=False, omitsize=True, title="Enrolment code"
    )
    return mark_safe(rendered.getvalue().decode())  # segno writes only numbers into it
