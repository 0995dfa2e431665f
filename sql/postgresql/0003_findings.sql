-- ippool_rs, schema 1.2, PostgreSQL.
-- Applied by `ippool-rs schema up`, or by hand: psql -1 -f 0003_findings.sql

-- What was found at a router that no step mends, as long as it is found.
CREATE TABLE ip_pool_findings (
    id            bigserial PRIMARY KEY,
    router        text NOT NULL,                         -- its name in the configuration
    kind          text NOT NULL,
    subject       text NOT NULL DEFAULT '',              -- the address; empty: the router as a whole
    detail        text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (router, kind, subject)
);

-- The last look at each router: what the next one is compared with.
CREATE TABLE ip_pool_looks (
    router    text PRIMARY KEY,
    looked_at timestamptz NOT NULL,                      -- when its list was begun
    uptime    bigint NOT NULL,                           -- seconds
    booted_at timestamptz,                               -- its last start that was seen
    sessions  bigint NOT NULL                            -- how many are to be expected
);

UPDATE ip_pool_meta SET value = '1.2' WHERE name = 'schema_version';
