"""Commands of Django in a stricter form. This app comes before `django.contrib.auth`, whose names they have."""
