"""Django alone, without the fix lane, for servers that support only WSGI."""

import os

from promotions.conf import refuse_faulty_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")
refuse_faulty_settings()

from django.core.wsgi import get_wsgi_application  # noqa: E402

django_application = get_wsgi_application()

from promotions import telemetry  # noqa: E402
from promotions.checks import refuse_unsafe_start  # noqa: E402
from promotions.clocks import ClockWatch  # noqa: E402
from promotions.database.audiences import by_audience  # noqa: E402
from promotions.database.roles import Role, assume_role  # noqa: E402

assume_role(Role.WEB)
application = by_audience(django_application)
refuse_unsafe_start()
telemetry.start("web")
ClockWatch("web").start()
