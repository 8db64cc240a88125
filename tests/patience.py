"""How long a test waits for what must come, and how much a busy machine may add to what the product promises."""

# Costs nothing if nothing is wrong. A test that asserts a duration only tests that no one waits forever; everything
# else is counted: queries sent, entries written, answers returned.
SLACK_S = 60.0
