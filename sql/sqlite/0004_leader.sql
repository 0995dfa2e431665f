-- ippool_rs, schema 1.3, SQLite 3.35 or later.
-- Applied by `ippool-rs schema up`, or by hand: sqlite3 FILE < 0004_leader.sql

-- Which of several `ippool-rs serve` acts. Whoever takes over raises fence; what is written under an older one is refused.
CREATE TABLE ip_pool_leader (
    role        TEXT PRIMARY KEY NOT NULL,
    fence       INTEGER NOT NULL DEFAULT 0,
    holder      TEXT NOT NULL DEFAULT '',                -- host and process
    taken_at    TEXT NOT NULL DEFAULT '1970-01-01 00:00:00.000000',
    valid_until TEXT NOT NULL DEFAULT '1970-01-01 00:00:00.000000' -- then another may take over
);
INSERT INTO ip_pool_leader (role) VALUES ('companion');

UPDATE ip_pool_meta SET value = '1.3' WHERE name = 'schema_version';
