"""A day of phones in a city, for the demo. Knows the product by its HTTP surface only; `demo` is its one caller."""
