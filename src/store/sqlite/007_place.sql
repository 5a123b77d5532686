-- Where a message stands in its channel's line, if not by its number: a roll-up of a backlog stands where the oldest of what it
-- carries stood.
ALTER TABLE notification ADD COLUMN place INTEGER;

DROP INDEX notification_queue;
CREATE INDEX notification_queue ON notification (channel, coalesce(place, id)) WHERE state = 'pending';
