#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from promotions.conf import refuse_faulty_settings, tolerate_faults

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")
    if sys.argv[1:2] == ["doctor"]:
        tolerate_faults()
    refuse_faulty_settings(is_command=True)

    from promotions.command_line import run

    run(sys.argv)
