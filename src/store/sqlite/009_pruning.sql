-- Messages without an alert of their own (roll-ups, groups, notices, digests), which are pruned by their own age.
CREATE INDEX notification_carrier ON notification (ended) WHERE alert IS NULL AND ended IS NOT NULL;
