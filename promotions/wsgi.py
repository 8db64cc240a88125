"""Django alone, without the fix lane, for servers that speak only WSGI."""

import os

from promotions.conf import refuse_faulty_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")
refuse_faulty_settings()

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()

from promotions.checks import refuse_unsafe_start  # noqa: E402

refuse_unsafe_start()
