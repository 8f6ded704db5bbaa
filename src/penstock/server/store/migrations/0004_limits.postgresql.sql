-- Slots decay in whole ones; the rest of the time counts towards the next one. A clock that is
-- behind that of another server makes none.
CREATE FUNCTION penstock_lease_takes() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    UPDATE concurrency_limit SET
        active_slots = NEW.slots + GREATEST(0, active_slots
            - FLOOR(slot_decay_per_second * GREATEST(0, NEW.created - decayed) / 1000000)::bigint),
        decayed = CASE
            WHEN active_slots > FLOOR(slot_decay_per_second * GREATEST(0, NEW.created - decayed) / 1000000)
                AND slot_decay_per_second > 0
            THEN decayed + FLOOR(
                FLOOR(slot_decay_per_second * GREATEST(0, NEW.created - decayed) / 1000000)
                * 1000000 / slot_decay_per_second
            )::bigint
            ELSE NEW.created
        END
    WHERE id = NEW.limit_id;
    RETURN NULL;
END
$body$;

CREATE FUNCTION penstock_lease_returns() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    UPDATE concurrency_limit SET active_slots = GREATEST(0, active_slots - OLD.slots)
    WHERE id = OLD.limit_id;
    RETURN NULL;
END
$body$;

CREATE TRIGGER concurrency_lease_takes AFTER INSERT ON concurrency_lease
    FOR EACH ROW WHEN (NEW.limit_id IS NOT NULL) EXECUTE FUNCTION penstock_lease_takes();

CREATE TRIGGER concurrency_lease_returns AFTER DELETE ON concurrency_lease
    FOR EACH ROW WHEN (OLD.limit_id IS NOT NULL) EXECUTE FUNCTION penstock_lease_returns();
