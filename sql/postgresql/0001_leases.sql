-- ippool_rs, schema 1.0, PostgreSQL 13 or later.
-- Applied by `ippool-rs schema up`, or by hand: psql -1 -v ON_ERROR_STOP=1 -f 0001_leases.sql

-- What holds for the database as a whole: schema_version, catalogue (counts changes of pools and NASes), hold_from and
-- hold_until (nothing becomes free by expiry in between).
CREATE TABLE ip_pool_meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE ip_pool_pools (
    id            bigserial PRIMARY KEY,
    name          text NOT NULL,
    nas_id        bigint,                                -- whose pool; null: shared
    address_space text NOT NULL DEFAULT 'default',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ip_pool_pools_name ON ip_pool_pools (name, COALESCE(nas_id, 0));

-- Ranges of one address space never overlap. Rows of ip_pool_assignments are made as they are needed: next_address is
-- the first one not made yet, null once all are.
CREATE TABLE ip_pool_ranges (
    id            bigserial PRIMARY KEY,
    pool_id       bigint NOT NULL REFERENCES ip_pool_pools (id) ON DELETE CASCADE,
    address_space text NOT NULL,
    first_address inet NOT NULL,
    last_address  inet NOT NULL,
    next_address  inet,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ip_pool_ranges_pool ON ip_pool_ranges (pool_id);
CREATE INDEX ip_pool_ranges_space ON ip_pool_ranges (address_space, first_address);

CREATE TABLE ip_pool_nas (
    id             bigserial PRIMARY KEY,
    nas_key        text NOT NULL UNIQUE,                 -- as heard: the packet's source, narrowed
    address_space  text NOT NULL DEFAULT 'default',
    first_heard_at timestamptz NOT NULL DEFAULT now(),
    heard_since    timestamptz NOT NULL DEFAULT now(),   -- since when without a break
    last_heard_at  timestamptz NOT NULL DEFAULT now(),
    accounting_at  timestamptz,                          -- when accounting last came from it
    ended_before   timestamptz,                          -- Accounting-On/Off: leases granted before have ended
    ended_seen_at  timestamptz,                          -- when that On/Off arrived
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ip_pool_servers (
    name       text PRIMARY KEY,                         -- one radiusd: host and process
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    counters   text NOT NULL DEFAULT ''
);

CREATE TABLE ip_pool_assignments (
    id                 bigserial PRIMARY KEY,
    ip_address         inet NOT NULL,
    pool_name          text NOT NULL,
    status             text NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'in_use', 'reserved')),
    username           text,
    subscriber_id      text,
    nas_id             bigint,                           -- whose pool it is of; null: shared
    assigned_at        timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    address_space      text NOT NULL DEFAULT 'default',
    pool_id            bigint NOT NULL REFERENCES ip_pool_pools (id),
    attribute          text NOT NULL DEFAULT 'Framed-IP-Address',
    reserved_for       text,
    -- who holds it, or held it last
    owner              text,
    station            text,                             -- the device, in one spelling
    calling_station_id text,
    lease_nas_id       bigint,                           -- where the session is
    session_key        text,
    session_id         text,                             -- Acct-Session-Id
    epoch              bigint NOT NULL DEFAULT 0,        -- counts grants, take-overs, adoptions, restorations
    token              bigint,
    lease_seconds      bigint,
    regular            boolean NOT NULL DEFAULT false,   -- its Interims come regularly
    started_at         timestamptz,
    expires_at         timestamptz,
    free_at            timestamptz NOT NULL DEFAULT 'epoch', -- since when it is free beyond doubt: the LRU order
    queue_at           timestamptz NOT NULL DEFAULT 'epoch', -- its place in the LRU queue: never later than free_at,
                                                         -- brought up to it when its turn comes (a renewal moves
                                                         -- free_at only, and so touches no index)
    released_at        timestamptz,
    released_by        text,
    -- whom a take-over replaced, until the new session starts
    prev_station       text,
    prev_calling_station_id text,
    prev_nas_id        bigint,
    prev_session_key   text,
    prev_session_id    text,
    prev_token         bigint,
    prev_lease_seconds bigint,
    prev_assigned_at   timestamptz,
    prev_started_at    timestamptz,
    prev_expires_at    timestamptz,
    prev_free_at       timestamptz,
    -- who was heard using it besides the holder
    claimant           text,
    claimant_seen_at   timestamptz,
    absent_since       timestamptz,
    source             text
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE UNIQUE INDEX ip_pool_assignments_address ON ip_pool_assignments (address_space, ip_address);
CREATE UNIQUE INDEX ip_pool_assignments_session ON ip_pool_assignments (session_key, attribute) WHERE status = 'in_use';
CREATE INDEX ip_pool_assignments_queue ON ip_pool_assignments (pool_id, status, queue_at, id);
CREATE INDEX ip_pool_assignments_owner ON ip_pool_assignments (owner, station, assigned_at);
CREATE INDEX ip_pool_assignments_nas ON ip_pool_assignments (lease_nas_id, session_id);
CREATE INDEX ip_pool_assignments_prev ON ip_pool_assignments (prev_nas_id, prev_session_id)
    WHERE prev_session_key IS NOT NULL;

-- Who had which address when. One row for each grant, take-over, start, adoption, release, reservation, conflict, and
-- for the end of a lapsed lease; none for renewals and repetitions.
CREATE TABLE ip_pool_events (
    id                 bigserial PRIMARY KEY,
    at                 timestamptz NOT NULL,
    kind               text NOT NULL,
    ip_address         inet NOT NULL,
    address_space      text NOT NULL,
    pool_name          text NOT NULL,
    username           text,
    owner              text,
    nas_id             bigint,
    session_id         text,
    calling_station_id text,
    epoch              bigint NOT NULL,
    server             text,
    detail             text
);
CREATE INDEX ip_pool_events_address ON ip_pool_events (ip_address, at);
CREATE INDEX ip_pool_events_username ON ip_pool_events (username, at);

INSERT INTO ip_pool_meta (name, value) VALUES ('schema_version', '1.0'), ('catalogue', '1');
