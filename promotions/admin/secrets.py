"""The one page that shows a fresh secret: answered to the POST that made it, never kept, never in an address."""

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
    """The secret with what to do with it, and a QR code where one is scanned."""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": title,
        "secret": secret,
        "advice": advice,
        "qr": draw_qr(qr_of) if qr_of else "",
        "done_url": reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist"),
    }
    answer = TemplateResponse(request, "admin/promotions/secret.html", context)
    # An address in the page holds the secret, so a click on a link must not carry it on.
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def draw_qr(text: str) -> SafeString:
    """A QR code as inline SVG, black on white in dark mode too."""
    rendered = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        rendered, kind="svg", scale=6, border=4, light="white", xmldecl=False, omitsize=True, title="Enrolment code"
    )
    return mark_safe(rendered.getvalue().decode())  # segno writes only numbers into it
