"""What the fix lanes have still to hear stands in a row."""

from django.db import migrations, models

# What is known of devices so far. The lanes may not have heard all of it.
FILL = """
INSERT INTO promotions_revocationnotice (subject, tokens_not_before, blocked, is_heard)
SELECT id, COALESCE(tokens_not_before, now()), CASE WHEN is_blocked THEN 'token_revoked'
    WHEN NOT consents @> ARRAY['geo_match']::varchar(16)[] THEN 'consent_required' ELSE '' END, false
FROM promotions_device WHERE tokens_not_before IS NOT NULL OR is_blocked
"""


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0009_keep_outcomes"),
    ]

    operations = [
        migrations.CreateModel(
            name="RevocationNotice",
            fields=[
                (
                    "subject",
                    models.UUIDField(
                        help_text="The device; not a key, for it may be gone.", primary_key=True, serialize=False
                    ),
                ),
                ("tokens_not_before", models.DateTimeField()),
                (
                    "blocked",
                    models.CharField(blank=True, help_text="Why it may not post at all; empty: it may.", max_length=20),
                ),
                ("is_heard", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_heard", False)), fields=["subject"], name="promotions_notice_unheard"
                    )
                ],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
