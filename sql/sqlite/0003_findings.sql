-- ippool_rs, schema 1.2, SQLite 3.35 or later.
-- Applied by `ippool-rs schema up`, or by hand: sqlite3 FILE < 0003_findings.sql

-- What was found at a router that no step mends, as long as it is found.
CREATE TABLE ip_pool_findings (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    router        TEXT NOT NULL,                         -- its name in the configuration
    kind          TEXT NOT NULL,
    subject       TEXT NOT NULL DEFAULT '',              -- the address; empty: the router as a whole
    detail        TEXT NOT NULL,
    first_seen_at TEXT NOT NULL,
    last_seen_at  TEXT NOT NULL,
    UNIQUE (router, kind, subject)
);

-- The last look at each router: what the next one is compared with.
CREATE TABLE ip_pool_looks (
    router    TEXT PRIMARY KEY NOT NULL,
    looked_at TEXT NOT NULL,                             -- when its list was begun
    uptime    INTEGER NOT NULL,                          -- seconds
    booted_at TEXT,                                      -- its last start that was seen
    sessions  INTEGER NOT NULL                           -- how many are to be expected
);

UPDATE ip_pool_meta SET value = '1.2' WHERE name = 'schema_version';
