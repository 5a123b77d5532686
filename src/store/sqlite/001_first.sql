-- Times are microseconds since 1970, UTC. Codes are the vendor's numbers.

CREATE TABLE source (
    name      TEXT PRIMARY KEY,
    cut       INTEGER NOT NULL, -- jobs that ended by then are not alerted on
    baseline  INTEGER NOT NULL, -- 1 once a sweep has met the whole list
    watermark INTEGER,          -- jobs that started before it have been met
    pruned    INTEGER           -- jobs that ended before it may have been let go
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
    source     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    run        INTEGER NOT NULL,
    type       INTEGER,
    state      INTEGER NOT NULL,
    started    INTEGER,
    finished   INTEGER,
    profile    TEXT    NOT NULL,
    category   INTEGER,
    extension  TEXT,
    ended      INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    absences   INTEGER NOT NULL DEFAULT 0, -- complete sweeps of the whole list, in a row, that no longer held it
    PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_open ON job (source) WHERE ended = 0;
CREATE INDEX job_absent ON job (source) WHERE absences > 1;
CREATE INDEX job_newest ON job (coalesce(started, first_seen));

-- What messages say of a rule, as it stood; written once for all alerts that saw it so.
CREATE TABLE rule_facts (
    id    INTEGER PRIMARY KEY,
    facts TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE alert (
    id      INTEGER PRIMARY KEY,
    rule    TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    job_id  TEXT    NOT NULL,
    run     INTEGER NOT NULL,
    facts   INTEGER NOT NULL REFERENCES rule_facts,
    job     TEXT    NOT NULL, -- the job as it stood
    created INTEGER NOT NULL,
    held    INTEGER NOT NULL  -- 1 where it was not sent at once: held back by the rule's limit, or gathered with others
) STRICT;

CREATE UNIQUE INDEX alert_once ON alert (source, job_id, run, rule);
CREATE INDEX alert_let_through ON alert (rule, created) WHERE held = 0;

-- One row for each alert on each of its channels, and one for each roll-up, group and notice on each of theirs. A row that is sent
-- in place of another (a fallback's) carries what that one carried, and counts for nothing.
-- state: pending | gathering (a group) | held (by a limit) | folded (into a message under way) | delivered | rolled_up | silenced | dead
CREATE TABLE notification (
    id       INTEGER PRIMARY KEY,
    key      TEXT    NOT NULL,
    channel  TEXT    NOT NULL,
    kind     TEXT    NOT NULL, -- alert | group | roll_up | notice
    rule     TEXT    NOT NULL,
    facts    INTEGER NOT NULL REFERENCES rule_facts,
    alert    INTEGER REFERENCES alert, -- none for a roll-up or group (its alerts are those of the rows folded into it) and a notice
    notice   TEXT,             -- JSON: what a notice says
    folded_into INTEGER REFERENCES notification,
    instead_of  INTEGER REFERENCES notification, -- the one on another channel that could not be delivered
    gather   TEXT,             -- what the alerts of its group share
    state    TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    due      INTEGER NOT NULL, -- while later than now: of a gathering one, the end of its group; of a pending one, it waits aside
    attempts INTEGER NOT NULL DEFAULT 0,
    waited   INTEGER NOT NULL DEFAULT 0, -- aside, microseconds
    stamp    INTEGER,          -- what the line's `aged` was when it began to wait for the channel
    holder   TEXT,             -- who leased it
    lease    INTEGER,          -- until when
    ended    INTEGER,
    answer   TEXT,
    targets  TEXT              -- JSON: the recipients that need no further attempt
) STRICT;

CREATE INDEX notification_queue ON notification (channel, id) WHERE state = 'pending';
CREATE INDEX notification_held ON notification (rule, channel, id) WHERE state = 'held';
CREATE INDEX notification_gathering ON notification (rule, gather, due) WHERE state = 'gathering';
CREATE INDEX notification_dead ON notification (id) WHERE state = 'dead';
CREATE INDEX notification_folded ON notification (folded_into) WHERE folded_into IS NOT NULL;
CREATE INDEX notification_alert ON notification (alert) WHERE alert IS NOT NULL;
CREATE INDEX notification_instead ON notification (instead_of) WHERE instead_of IS NOT NULL;
CREATE INDEX notification_roll_up ON notification (rule, created) WHERE kind IN ('roll_up', 'group');

-- How each channel stands, as far as the next start must know it. A channel that has never failed may have no row.
CREATE TABLE line (
    channel TEXT PRIMARY KEY,
    failed  INTEGER NOT NULL,  -- attempts in a row
    refused INTEGER NOT NULL,  -- 1 where it refuses everything
    due     INTEGER,           -- nothing is sent before
    asked   INTEGER,           -- as the channel itself asked
    aged    INTEGER NOT NULL,  -- for how long, in all, messages have waited for it; microseconds
    sent    INTEGER,           -- its last message, where the rate is slow
    answer  TEXT NOT NULL      -- the last failure's
) STRICT, WITHOUT ROWID;

-- Running sums, kept in the transactions that change them, so that they hold at every moment.
CREATE TABLE tally (
    what  TEXT    NOT NULL, -- jobs | alerts | ended | pending
    first TEXT    NOT NULL,
    second TEXT   NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (what, first, second)
) STRICT, WITHOUT ROWID;

-- Rows of a feed that could not be read, as they came.
CREATE TABLE quarantine (
    id     INTEGER PRIMARY KEY,
    source TEXT    NOT NULL,
    hash   TEXT    NOT NULL,
    why    TEXT    NOT NULL,
    raw    TEXT    NOT NULL,
    seen   INTEGER NOT NULL,
    UNIQUE (source, hash)
) STRICT;

-- What was told to be the matter and is not told to be over.
CREATE TABLE trouble (
    topic TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
