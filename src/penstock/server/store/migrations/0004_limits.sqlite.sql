-- Slots decay in whole ones; the rest of the time counts towards the next one. A clock that is
-- behind that of another server makes none.
CREATE TRIGGER concurrency_lease_takes AFTER INSERT ON concurrency_lease
WHEN NEW.limit_id IS NOT NULL
BEGIN
    UPDATE concurrency_limit SET
        active_slots = NEW.slots + MAX(0, active_slots
            - CAST(slot_decay_per_second * MAX(0, NEW.created - decayed) / 1000000 AS INTEGER)),
        decayed = CASE
            WHEN active_slots
                > CAST(slot_decay_per_second * MAX(0, NEW.created - decayed) / 1000000 AS INTEGER)
                AND slot_decay_per_second > 0
            THEN decayed + CAST(
                CAST(slot_decay_per_second * MAX(0, NEW.created - decayed) / 1000000 AS INTEGER)
                * 1000000 / slot_decay_per_second AS INTEGER
            )
            ELSE NEW.created
        END
    WHERE id = NEW.limit_id;
END;

CREATE TRIGGER concurrency_lease_returns AFTER DELETE ON concurrency_lease
WHEN OLD.limit_id IS NOT NULL
BEGIN
    UPDATE concurrency_limit SET active_slots = MAX(0, active_slots - OLD.slots)
    WHERE id = OLD.limit_id;
END;
