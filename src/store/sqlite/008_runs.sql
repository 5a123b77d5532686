-- The ends of earlier runs, for whatever looks at the past: a job's own row holds its last run alone.
CREATE TABLE earlier_run (
    source    TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    run       INTEGER NOT NULL,
    type      INTEGER,
    state     INTEGER NOT NULL,
    started   INTEGER,
    finished  INTEGER,
    profile   TEXT    NOT NULL,
    category  INTEGER,
    extension TEXT,
    counted   INTEGER NOT NULL, -- as the job's was
    PRIMARY KEY (source, id, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX earlier_run_past ON earlier_run (source, profile, finished, id) WHERE finished IS NOT NULL;
CREATE INDEX earlier_run_counted ON earlier_run (counted, state);

-- When the first run looked back: what was counted then ended on the day it ended, as far as the picture of the days is concerned.
ALTER TABLE source ADD COLUMN looked_from INTEGER;  -- the first of it
ALTER TABLE source ADD COLUMN looked_until INTEGER; -- the last of it
