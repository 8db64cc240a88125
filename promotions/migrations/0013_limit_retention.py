from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0012_keep_job_records"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeletedRows",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("table", models.CharField(max_length=63)),
                ("day", models.DateField()),
                ("rows", models.PositiveBigIntegerField()),
            ],
            options={
                "verbose_name_plural": "deleted rows",
                "ordering": ["-day", "table"],
                "constraints": [models.UniqueConstraint(fields=("table", "day"), name="promotions_deleted_rows_day")],
            },
        ),
    ]
