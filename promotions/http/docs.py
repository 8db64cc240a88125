"""The description of the API for people and programs: OpenAPI, Swagger UI, and the page every problem points at."""

import re
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.views import SpectacularSwaggerView

from promotions.http.problems import CATALOGUE, FAULTS

_BACKTICKS = re.compile("`([^`]+)`")


def describe() -> dict[str, Any]:
    """The OpenAPI document of this code."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


def render_yaml() -> bytes:
    """The document, identical to docs/openapi.yaml."""
    text: bytes = OpenApiYamlRenderer().render(describe(), renderer_context={})  # type: ignore[no-untyped-call]
    return text


@cache
def _cached_yaml() -> bytes:
    return render_yaml()


@require_safe
def openapi_yaml(request: HttpRequest) -> HttpResponse:
    """`/v1/openapi.yaml`"""
    return HttpResponse(_cached_yaml(), content_type="application/yaml")


@require_safe
def problems_page(request: HttpRequest) -> HttpResponse:
    """`/problems`: what each code means; `type` of every problem is an anchor here."""
    entries = [(code, kind, _mark_code(kind.advice)) for code, kind in sorted(CATALOGUE.items())]
    faults = [(code, _mark_code(meaning)) for code, meaning in sorted(FAULTS.items())]
    return render(request, "problems.html", {"entries": entries, "faults": faults})


def _mark_code(text: str) -> SafeString:
    """Text between backticks, as HTML."""
    return mark_safe(_BACKTICKS.sub(r"<code>\1</code>", escape(text)))  # escaped just before


class SwaggerView(SpectacularSwaggerView):
    """`/v1/docs/`, with scripts and styles of our own origin."""

    http_method_names = ["get", "head"]
    url_name = "openapi"
    schema = None
