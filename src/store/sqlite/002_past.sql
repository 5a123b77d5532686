-- The past of a scan profile, for rules that look at it, and the jobs that those rules have yet to judge.

ALTER TABLE job ADD COLUMN unjudged INTEGER NOT NULL DEFAULT 0; -- 1 from the end's being taken in until rules that look at the past have judged it
ALTER TABLE alert ADD COLUMN rules_version TEXT; -- which rules judged; none before this step

CREATE INDEX job_past ON job (source, profile, finished) WHERE ended = 1 AND finished IS NOT NULL;
CREATE INDEX job_unjudged ON job (source, coalesce(finished, started, first_seen)) WHERE unjudged = 1;
