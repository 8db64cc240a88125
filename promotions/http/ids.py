"""Form of ids in paths."""

from django.urls.converters import UUIDConverter


class IdConverter(UUIDConverter):
    """A UUID in small letters or capitals (RFC 9562, section 4). Swift writes capitals; Django's own reads none."""

    regex = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
