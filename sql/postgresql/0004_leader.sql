-- ippool_rs, schema 1.3, PostgreSQL.
-- Applied by `ippool-rs schema up`, or by hand: psql -1 -f 0004_leader.sql

-- Which of several `ippool-rs serve` acts. Whoever takes over raises fence; what is written under an older one is refused.
CREATE TABLE ip_pool_leader (
    role        text PRIMARY KEY,
    fence       bigint NOT NULL DEFAULT 0,
    holder      text NOT NULL DEFAULT '',                -- host and process
    taken_at    timestamptz NOT NULL DEFAULT 'epoch',
    valid_until timestamptz NOT NULL DEFAULT 'epoch',    -- then another may take over
    -- With the fence in a key, FOR KEY SHARE keeps out who takes over, and not who renews.
    UNIQUE (role, fence)
);
INSERT INTO ip_pool_leader (role) VALUES ('companion');

UPDATE ip_pool_meta SET value = '1.3' WHERE name = 'schema_version';
