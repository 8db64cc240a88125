from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0011_limit_coupons"),
    ]

    operations = [
        migrations.CreateModel(
            name="JobRecord",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("succeeded_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                (
                    "error",
                    models.CharField(
                        blank=True, default="", help_text="The class of the last failure.", max_length=200
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
    ]
