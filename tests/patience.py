"""How long a test waits for what must come, and how much a busy machine may add to what the product promises."""

# Costs nothing where nothing is wrong. A test that asserts a duration says with it that no one waits for ever; what it
# proves beyond that it counts: questions asked, entries written, answers given.
SLACK_S = 30.0
