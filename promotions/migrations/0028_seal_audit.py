"""The functions that write the audit, and its seal.

The triggers on the audited tables follow from the declarations of the models: `promotions/services/audit/triggers.py`.
Rows cannot be altered. `promotions_drop_audit` deletes them, none that is younger than 396 days.
"""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION promotions_record_action(
    deed_text text, subject text, subject_id text, subject_label text, changes jsonb, brand_id bigint,
    partner_id bigint, operation text DEFAULT 'action', parent text DEFAULT '', parent_id text DEFAULT ''
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    deed jsonb := nullif(deed_text, '')::jsonb;
BEGIN
    INSERT INTO promotions_auditrecord (
        recorded_at, operation, actor_kind, actor_id, action, reason, request_id, deed_id,
        subject, subject_id, subject_label, parent, parent_id, changes, brand_id, partner_id
    ) VALUES (
        clock_timestamp(),
        operation,
        coalesce(deed->>'kind', 'database'),
        left(coalesce(deed->>'id', session_user || ' (' || current_setting('application_name') || ')'), 120),
        left(coalesce(deed->>'action', ''), 120),
        left(coalesce(deed->>'reason', ''), 300),
        left(coalesce(deed->>'request_id', ''), 36),
        (deed->>'deed')::uuid,
        subject, left(subject_id, 64), left(coalesce(subject_label, ''), 200), parent, left(parent_id, 64), changes,
        brand_id, partner_id
    );
END $$;

CREATE FUNCTION promotions_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- The arguments: label, key, name, sealed, ignored, only, parent's label, parent's key, brand's and partner's query.
    sealed text[] := string_to_array(TG_ARGV[3], ',');
    ignored text[] := string_to_array(TG_ARGV[4], ',');
    only_these text[] := string_to_array(nullif(TG_ARGV[5], ''), ',');
    before jsonb := '{}';
    after jsonb := '{}';
    present jsonb;
    found jsonb;
    brand bigint;
    partner bigint;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD);
        present := before;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW);
        present := after;
    END IF;
    SELECT jsonb_object_agg(
        name,
        -- A shape can have a thousand vertices; the fact that it changed is enough.
        CASE WHEN name = ANY (sealed) OR length(pair::text) > 4000 THEN '"changed"'::jsonb ELSE pair END
    ) INTO found
    FROM jsonb_object_keys(present) AS name,
        LATERAL (SELECT jsonb_build_array(before->name, after->name) AS pair) AS pairs
    WHERE coalesce(before->name, 'null') IS DISTINCT FROM coalesce(after->name, 'null')
        AND NOT name = ANY (ignored)
        AND (only_these IS NULL OR name = ANY (only_these));
    IF found IS NULL AND TG_OP = 'UPDATE' THEN
        RETURN NULL;
    END IF;
    IF TG_ARGV[8] <> '' THEN
        EXECUTE TG_ARGV[8] INTO brand USING present;
    END IF;
    IF TG_ARGV[9] <> '' THEN
        EXECUTE TG_ARGV[9] INTO partner USING present;
    END IF;
    PERFORM promotions_record_action(
        current_setting('doorstep.deed', true), TG_ARGV[0], present->>TG_ARGV[1],
        CASE WHEN TG_ARGV[2] <> '' THEN present->>TG_ARGV[2] END, coalesce(found, '{}'), brand, partner,
        lower(TG_OP), TG_ARGV[6], CASE WHEN TG_ARGV[7] <> '' THEN present->>TG_ARGV[7] ELSE '' END
    );
    RETURN NULL;
END $$;

CREATE FUNCTION promotions_seal_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('doorstep.audit_retention', true) = 'on' AND OLD.recorded_at < now() - interval '396 days'
        THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER promotions_auditrecord_sealed BEFORE UPDATE OR DELETE ON promotions_auditrecord
    FOR EACH ROW EXECUTE FUNCTION promotions_seal_audit();
CREATE TRIGGER promotions_auditrecord_kept BEFORE TRUNCATE ON promotions_auditrecord
    FOR EACH STATEMENT EXECUTE FUNCTION promotions_seal_audit();

CREATE FUNCTION promotions_drop_audit(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    dropped bigint;
BEGIN
    PERFORM set_config('doorstep.audit_retention', 'on', true);
    DELETE FROM promotions_auditrecord WHERE recorded_at < least(before, now() - interval '396 days');
    GET DIAGNOSTICS dropped = ROW_COUNT;
    PERFORM set_config('doorstep.audit_retention', 'off', true);
    RETURN dropped;
END $$;
"""

# The triggers of the audited tables go with their function.
BACKWARDS = """
DROP FUNCTION promotions_drop_audit(timestamptz);
DROP FUNCTION promotions_record_change() CASCADE;
DROP FUNCTION promotions_record_action(text, text, text, text, jsonb, bigint, bigint, text, text, text);
DROP TRIGGER promotions_auditrecord_kept ON promotions_auditrecord;
DROP TRIGGER promotions_auditrecord_sealed ON promotions_auditrecord;
DROP FUNCTION promotions_seal_audit();
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0027_record_who_did_it")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
