"""The product: who gets what, and the Django project that composes the house."""
