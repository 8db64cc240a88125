"""Settings of the baselines in `drf_views`: the product's, without its middleware, to be no slower than need be."""

from promotions.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.drf_views"
MIDDLEWARE = []
