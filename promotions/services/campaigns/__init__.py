"""A campaign's state, schedule, budgets and offers."""
