-- ippool_rs, schema 1.0, SQLite 3.35 or later.
-- Applied by `ippool-rs schema up`, by the module for a file that does not exist yet, or by hand: sqlite3 FILE < 0001_leases.sql
-- Times are text, 'YYYY-MM-DD HH:MM:SS.ffffff' UTC. Addresses are canonical text; ip_key is the address as 16 bytes
-- (IPv4 as ::ffff:a.b.c.d), for numeric order.

-- What holds for the database as a whole: schema_version, catalogue (counts changes of pools and NASes), hold_from and
-- hold_until (nothing becomes free by expiry in between).
CREATE TABLE ip_pool_meta (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE ip_pool_pools (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name          TEXT NOT NULL,
    nas_id        INTEGER,                               -- whose pool; null: shared
    address_space TEXT NOT NULL DEFAULT 'default',
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
);
CREATE UNIQUE INDEX ip_pool_pools_name ON ip_pool_pools (name, COALESCE(nas_id, 0));

-- Ranges of one address space never overlap. Rows of ip_pool_assignments are made as they are needed: next_key is the
-- first one not made yet, null once all are.
CREATE TABLE ip_pool_ranges (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    pool_id       INTEGER NOT NULL REFERENCES ip_pool_pools (id) ON DELETE CASCADE,
    address_space TEXT NOT NULL,
    first_address TEXT NOT NULL,
    last_address  TEXT NOT NULL,
    first_key     BLOB NOT NULL,
    last_key      BLOB NOT NULL,
    next_key      BLOB,
    created_at    TEXT NOT NULL
);
CREATE INDEX ip_pool_ranges_pool ON ip_pool_ranges (pool_id);
CREATE INDEX ip_pool_ranges_space ON ip_pool_ranges (address_space, first_key);

CREATE TABLE ip_pool_nas (
    id             INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    nas_key        TEXT NOT NULL UNIQUE,                 -- as heard: the packet's source, narrowed
    address_space  TEXT NOT NULL DEFAULT 'default',
    first_heard_at TEXT NOT NULL,
    heard_since    TEXT NOT NULL,                        -- since when without a break
    last_heard_at  TEXT NOT NULL,
    accounting_at  TEXT,                                 -- when accounting last came from it
    ended_before   TEXT,                                 -- Accounting-On/Off: leases granted before have ended
    ended_seen_at  TEXT,                                 -- when that On/Off arrived
    created_at     TEXT NOT NULL,
    updated_at     TEXT NOT NULL
);

CREATE TABLE ip_pool_servers (
    name       TEXT PRIMARY KEY NOT NULL,                -- one radiusd: host and process
    started_at TEXT NOT NULL,
    seen_at    TEXT NOT NULL,
    counters   TEXT NOT NULL DEFAULT ''
);

CREATE TABLE ip_pool_assignments (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    ip_address         TEXT NOT NULL,
    ip_key             BLOB NOT NULL,
    pool_name          TEXT NOT NULL,
    status             TEXT NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'in_use', 'reserved')),
    username           TEXT,
    subscriber_id      TEXT,
    nas_id             INTEGER,                          -- whose pool it is of; null: shared
    assigned_at        TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    address_space      TEXT NOT NULL DEFAULT 'default',
    pool_id            INTEGER NOT NULL REFERENCES ip_pool_pools (id),
    attribute          TEXT NOT NULL DEFAULT 'Framed-IP-Address',
    reserved_for       TEXT,
    -- who holds it, or held it last
    owner              TEXT,
    station            TEXT,                             -- the device, in one spelling
    calling_station_id TEXT,
    lease_nas_id       INTEGER,                          -- where the session is
    session_key        TEXT,
    session_id         TEXT,                             -- Acct-Session-Id
    epoch              INTEGER NOT NULL DEFAULT 0,       -- counts grants, take-overs, adoptions, restorations
    token              INTEGER,
    lease_seconds      INTEGER,
    regular            INTEGER NOT NULL DEFAULT 0,       -- its Interims come regularly
    started_at         TEXT,
    expires_at         TEXT,
    free_at            TEXT NOT NULL DEFAULT '1970-01-01 00:00:00.000000', -- since when it is free beyond doubt: the LRU order
    queue_at           TEXT NOT NULL DEFAULT '1970-01-01 00:00:00.000000', -- its place in the LRU queue: never later than
                                                         -- free_at, brought up to it when its turn comes (a renewal
                                                         -- moves free_at only, and so touches no index)
    released_at        TEXT,
    released_by        TEXT,
    -- whom a take-over replaced, until the new session starts
    prev_station       TEXT,
    prev_calling_station_id TEXT,
    prev_nas_id        INTEGER,
    prev_session_key   TEXT,
    prev_session_id    TEXT,
    prev_token         INTEGER,
    prev_lease_seconds INTEGER,
    prev_assigned_at   TEXT,
    prev_started_at    TEXT,
    prev_expires_at    TEXT,
    prev_free_at       TEXT,
    -- who was heard using it besides the holder
    claimant           TEXT,
    claimant_seen_at   TEXT,
    absent_since       TEXT,
    source             TEXT
);

CREATE UNIQUE INDEX ip_pool_assignments_address ON ip_pool_assignments (address_space, ip_address);
CREATE UNIQUE INDEX ip_pool_assignments_session ON ip_pool_assignments (session_key, attribute) WHERE status = 'in_use';
CREATE INDEX ip_pool_assignments_queue ON ip_pool_assignments (pool_id, status, queue_at);
CREATE INDEX ip_pool_assignments_owner ON ip_pool_assignments (owner, station, assigned_at);
CREATE INDEX ip_pool_assignments_nas ON ip_pool_assignments (lease_nas_id, session_id);
CREATE INDEX ip_pool_assignments_prev ON ip_pool_assignments (prev_nas_id, prev_session_id)
    WHERE prev_session_key IS NOT NULL;

-- Who had which address when. One row for each grant, take-over, start, adoption, release, reservation, conflict, and
-- for the end of a lapsed lease; none for renewals and repetitions.
CREATE TABLE ip_pool_events (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    at                 TEXT NOT NULL,
    kind               TEXT NOT NULL,
    ip_address         TEXT NOT NULL,
    address_space      TEXT NOT NULL,
    pool_name          TEXT NOT NULL,
    username           TEXT,
    owner              TEXT,
    nas_id             INTEGER,
    session_id         TEXT,
    calling_station_id TEXT,
    epoch              INTEGER NOT NULL,
    server             TEXT,
    detail             TEXT
);
CREATE INDEX ip_pool_events_address ON ip_pool_events (ip_address, at);
CREATE INDEX ip_pool_events_username ON ip_pool_events (username, at);

INSERT INTO ip_pool_meta (name, value) VALUES ('schema_version', '1.0'), ('catalogue', '1');
