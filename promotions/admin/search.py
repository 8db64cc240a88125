"""The admin's search box, with a look at the page number that unfold takes as it comes."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase


def search(request: HttpRequest) -> HttpResponseBase:
    """unfold's search. A page that is no number is no page."""
    page = request.GET.get("page", "1")
    if not (page.isascii() and page.isdecimal() and len(page) < 7):
        raise Http404
    answer: HttpResponseBase = admin.site.admin_view(admin.site.search)(request)  # type: ignore[attr-defined]
    return answer
