-- ippool_rs, schema 1.4, PostgreSQL: how a pool gives out, prefixes, reservations, statics of other databases.
-- Applied by `ippool-rs schema up`, or by hand: psql -1 -f 0005_pools.sql

ALTER TABLE ip_pool_pools ADD COLUMN prefix_length integer; -- of each prefix it gives out; null: single addresses
ALTER TABLE ip_pool_pools ADD COLUMN strategy text NOT NULL DEFAULT 'lru'
    CHECK (strategy IN ('lru', 'ascending', 'descending', 'random'));
ALTER TABLE ip_pool_pools ADD COLUMN lease_seconds bigint; -- of its leases; -1: without an end; null: as the module says
ALTER TABLE ip_pool_pools ADD COLUMN mode text;            -- managed, observe, off; null: managed
ALTER TABLE ip_pool_pools ADD COLUMN message text;         -- what a subscriber is told who gets an address of it

ALTER TABLE ip_pool_assignments ADD COLUMN reserved_station text; -- with reserved_for: whom a reserved address is for
ALTER TABLE ip_pool_assignments ADD COLUMN reserved_by text; -- the import that reserved it, and takes it back; null: somebody did
ALTER TABLE ip_pool_assignments ADD COLUMN ordered boolean NOT NULL DEFAULT false; -- its pool gives out by number

-- Rows are made from next_address upwards; a pool that gives out its highest first makes them downwards: what lies behind
-- until_address has been made that way. Null: nothing.
ALTER TABLE ip_pool_ranges ADD COLUMN until_address inet;

-- Only rows of pools that give out by number are in it: the others pay nothing for it.
CREATE INDEX ip_pool_assignments_order ON ip_pool_assignments (pool_id, ip_address, queue_at)
    WHERE ordered AND status = 'available';
CREATE INDEX ip_pool_assignments_reserved_for ON ip_pool_assignments (reserved_for) WHERE reserved_for IS NOT NULL;
CREATE INDEX ip_pool_assignments_reserved_station ON ip_pool_assignments (reserved_station)
    WHERE reserved_station IS NOT NULL;

-- Addresses that another database gives to one subscriber each (its radreply), mirrored by the companion.
CREATE TABLE ip_pool_statics (
    id            bigserial PRIMARY KEY,
    address_space text NOT NULL DEFAULT 'default',
    ip_address    inet NOT NULL,
    username      text NOT NULL,                         -- as that database has it
    source        text NOT NULL,                         -- which database, by its name in ippool-rs.toml
    seen_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ip_address, address_space, username, source)
);

UPDATE ip_pool_meta SET value = '1.4' WHERE name = 'schema_version';
