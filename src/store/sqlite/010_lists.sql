-- For lists: the jobs of one source, and those that did not simply finish, newest first; the alerts of one rule, newest first, which also tell
-- when it last alerted.
CREATE INDEX job_of_source ON job (source, coalesce(started, first_seen));
CREATE INDEX job_odd ON job (state, coalesce(started, first_seen)) WHERE state <> 2;
CREATE INDEX alert_of_rule ON alert (rule);
