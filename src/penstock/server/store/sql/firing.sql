-- Firings of automations, to be looked at.

-- name: firing.of_automation
SELECT id, automation_id, automation_name, trigger_id, fired, event_id, event_ids,
    triggered_event_id, labels, suppressed
FROM automation_firing WHERE automation_id = :automation_id
ORDER BY fired DESC, id DESC
LIMIT :limit OFFSET :offset

-- name: firing.expired
DELETE FROM automation_firing WHERE id IN (
    SELECT f.id FROM automation_firing AS f
    WHERE f.fired < :before AND NOT EXISTS (
        SELECT 1 FROM automation_action AS a
        WHERE a.firing_id = f.id AND a.status IN ('waiting', 'dead')
    )
    LIMIT :limit
)
