-- When each topic was told of, lately, so that one that goes up and down is known.
CREATE TABLE begun (
    topic TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (topic, at)
) STRICT, WITHOUT ROWID;
