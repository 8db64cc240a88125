"""The consent ledger cannot be altered; it can be deleted only by an erasure, which says so in its transaction."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION promotions_seal_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('doorstep.erasure', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the consent ledger is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER promotions_consent_sealed BEFORE UPDATE OR DELETE ON promotions_consent
    FOR EACH ROW EXECUTE FUNCTION promotions_seal_consent();
"""

BACKWARDS = """
DROP TRIGGER promotions_consent_sealed ON promotions_consent;
DROP FUNCTION promotions_seal_consent();
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
