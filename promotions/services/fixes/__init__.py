"""Services for a batch of fixes: acceptance, facts, opportunities, deliveries, dead letters."""
