-- The rules' watches for jobs that never come: since when, what came last, and what was told.

CREATE TABLE watch (
    rule   TEXT    NOT NULL,
    source TEXT    NOT NULL, -- '' for one over all sources
    awaits TEXT    NOT NULL, -- what it waits for, in words
    began  INTEGER NOT NULL,
    last   INTEGER,          -- the end of the newest job that came
    told   TEXT    NOT NULL, -- nothing | cannot_tell | missing
    due    INTEGER,          -- when the job was due of which something was told
    PRIMARY KEY (rule, source)
) STRICT, WITHOUT ROWID;

-- Ends without a time, by profile; those with one are in `job_past`.
CREATE INDEX job_timeless ON job (source, profile, started) WHERE ended = 1 AND finished IS NULL;
