"""The kiosk: the page with the store's rotating code, and the codes it shows, ten minutes ahead."""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import segno
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from promotions.errors import DomainError
from promotions.http.schema import operation
from promotions.http.staff.auth import StaffAuthentication, staff_device
from promotions.http.staff.serializers import StaffStore
from promotions.http.strict_page import strict_page
from promotions.http.views import ApiView
from promotions.logic.store_codes import STEP_S, STEPS_AHEAD
from promotions.models import StaffDevice
from promotions.services.presence.store_codes import render_store_codes

# Texts of the script; those of the template are in the template.
STRINGS: Mapping[str, Promise] = {
    "enrol_refused": _("This enrolment is unknown, used or expired. Ask your manager for a new one."),
    "device_off": _("This device was switched off. Ask your manager to set it up again."),
    "is_till": _("This device was set up as a till. Ask your manager for the enrolment of a kiosk."),
    "no_answer": _("The server does not answer. Try again."),
    "offline": _("Offline · codes for {minutes} min"),
}

_PACKAGE = Path(__file__).resolve().parents[2]
# A hundred kiosks with forty codes each: a picture costs milliseconds, and each is requested again every minute.
_PICTURES = 4096


class QrPicture(serializers.Serializer[Any]):
    """The code as a square of modules. Draw it black on white with a margin of four modules."""

    modules = serializers.IntegerField(help_text="Modules along one side, without margin.")
    bits = serializers.CharField(help_text="Base64: one bit per module, row by row from the top left; 1 is black.")


class StoreCodeAnswer(serializers.Serializer[Any]):
    """The store's code during one step."""

    step = serializers.IntegerField(help_text="Seconds since 1970 divided by `step_s`.")
    proof = serializers.CharField(help_text="The text in the QR: `proof` of an unlock.")
    qr = QrPicture()


class StoreCodesAnswer(serializers.Serializer[Any]):
    """The codes of the next ten minutes, the current one first."""

    server_time = serializers.DateTimeField(help_text="Use this clock for the rotation, not the kiosk's own.")
    step_s = serializers.IntegerField()
    store = StaffStore()
    codes = StoreCodeAnswer(many=True)
    page_version = serializers.CharField(
        help_text="Version of the kiosk page. The page reloads if its own version differs."
    )


class StoreCodesView(ApiView):
    """`/v1/staff/store-codes`"""

    authentication_classes = [StaffAuthentication]

    @operation(
        summary="List the store's codes for its kiosk", answers={200: StoreCodesAnswer}, problems=("profile_forbidden",)
    )
    def get(self, request: Request) -> Response:
        """Return the code of the current step and those of the next ten minutes. For kiosks only."""
        device = staff_device(request)
        if device.profile != StaffDevice.Profile.KIOSK:
            raise DomainError("profile_forbidden", "A till does not show the store's code.")
        store = device.store
        codes = render_store_codes(store=store, now=self.now, count=STEPS_AHEAD)
        body = {
            "server_time": self.now,
            "step_s": STEP_S,
            "store": {"id": store.uuid, "name": store.name, "timezone": store.timezone},
            "codes": [{"step": code.step, "proof": code.proof, "qr": _render(code.proof)} for code in codes],
            "page_version": page_version(),
        }
        return Response(StoreCodesAnswer(body).data, headers={"Cache-Control": "no-store"})


@lru_cache(maxsize=_PICTURES)
def _render(proof: str) -> Mapping[str, Any]:
    rows = segno.make_qr(proof, error="m").matrix
    bits = "".join(str(module) for row in rows for module in row)
    packed = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return {"modules": len(rows), "bits": base64.b64encode(packed).decode("ascii")}


@lru_cache(maxsize=1)
def page_version() -> str:
    """Digest of everything the page consists of, so that an unattended kiosk takes a new release by itself."""
    files = [*_PACKAGE.glob("static/kiosk/*"), *_PACKAGE.glob("templates/kiosk/*"), Path(__file__)]
    made_of = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sorted(files))
    return hashlib.sha256(made_of).hexdigest()[:12]


@strict_page
def kiosk_page(request: HttpRequest) -> HttpResponse:
    """`/kiosk/`: the store's code, full screen."""
    words = {name: str(text) for name, text in STRINGS.items()}
    context = {"strings": words, "language": get_language(), "version": page_version()}
    return render(request, "kiosk/index.html", context)


@strict_page
def kiosk_manifest(request: HttpRequest) -> HttpResponse:
    """`/kiosk/manifest.webmanifest`: installed, the page fills the screen without a browser around it."""
    manifest = {
        "id": "/kiosk/",
        "name": gettext("Doorstep kiosk"),
        "short_name": gettext("Kiosk"),
        "start_url": "/kiosk/",
        "scope": "/kiosk/",
        "display": "fullscreen",
        "background_color": "#14342b",
        "theme_color": "#14342b",
        "icons": [
            {"src": static("staff/icon.svg"), "sizes": "any", "type": "image/svg+xml"},
            {"src": static("staff/icon-192.png"), "sizes": "192x192", "type": "image/png"},
            {"src": static("staff/icon-512.png"), "sizes": "512x512", "type": "image/png"},
        ],
    }
    return JsonResponse(manifest, content_type="application/manifest+json")


@strict_page
def kiosk_worker(request: HttpRequest) -> HttpResponse:
    """`/kiosk/sw.js`: caches the page, so that a kiosk restarted offline shows the codes it still has."""
    return render(request, "kiosk/sw.js", {"version": page_version()}, content_type="text/javascript")
