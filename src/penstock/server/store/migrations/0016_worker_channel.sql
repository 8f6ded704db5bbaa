-- Which teardowns a worker takes over its channel, as a JSON list; null without a channel.
ALTER TABLE worker ADD COLUMN cleanup_kinds TEXT;
