-- Digests: when each job was seen to end, how the lists were polled, and where each digest stands.

ALTER TABLE job ADD COLUMN counted INTEGER; -- when it was seen to end; of history, when it ended; none while it runs
UPDATE job SET counted = coalesce(finished, started, first_seen) WHERE ended = 1 AND state <> 1;
CREATE INDEX job_counted ON job (counted, state) WHERE counted IS NOT NULL;

ALTER TABLE notification ADD COLUMN digest TEXT; -- JSON: what a digest says

CREATE TABLE digest (
    name        TEXT PRIMARY KEY,
    ended       INTEGER NOT NULL, -- where its last period ended
    counts_from INTEGER NOT NULL, -- due times up to then are dealt with
    plan        TEXT    NOT NULL  -- its schedule and time zone then
) STRICT, WITHOUT ROWID;

-- No job is counted before it: the end of the latest period that was summed up.
CREATE TABLE closed (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    until INTEGER NOT NULL
) STRICT;

-- A stretch of polls without a gap; a new one begins with each hour and with each period of a digest.
CREATE TABLE poll (
    source  TEXT    NOT NULL,
    began   INTEGER NOT NULL,
    reached INTEGER,          -- when its last poll ended
    made    INTEGER NOT NULL,
    failed  INTEGER NOT NULL,
    PRIMARY KEY (source, began)
) STRICT, WITHOUT ROWID;
