-- ippool_rs, schema 1.4, SQLite 3.35 or later: how a pool gives out, prefixes, reservations, statics of other databases.
-- Applied by `ippool-rs schema up`, or by hand: sqlite3 FILE < 0005_pools.sql

ALTER TABLE ip_pool_pools ADD COLUMN prefix_length INTEGER; -- of each prefix it gives out; null: single addresses
ALTER TABLE ip_pool_pools ADD COLUMN strategy TEXT NOT NULL DEFAULT 'lru'
    CHECK (strategy IN ('lru', 'ascending', 'descending', 'random'));
ALTER TABLE ip_pool_pools ADD COLUMN lease_seconds INTEGER; -- of its leases; -1: without an end; null: as the module says
ALTER TABLE ip_pool_pools ADD COLUMN mode TEXT;            -- managed, observe, off; null: managed
ALTER TABLE ip_pool_pools ADD COLUMN message TEXT;         -- what a subscriber is told who gets an address of it

ALTER TABLE ip_pool_assignments ADD COLUMN reserved_station TEXT; -- with reserved_for: whom a reserved address is for
ALTER TABLE ip_pool_assignments ADD COLUMN reserved_by TEXT; -- the import that reserved it, and takes it back; null: somebody did
ALTER TABLE ip_pool_assignments ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0; -- its pool gives out by number

-- Rows are made from next_key upwards; a pool that gives out its highest first makes them downwards: what lies behind
-- until_key has been made that way. Null: nothing.
ALTER TABLE ip_pool_ranges ADD COLUMN until_key BLOB;

-- Only rows of pools that give out by number are in it: the others pay nothing for it.
CREATE INDEX ip_pool_assignments_order ON ip_pool_assignments (pool_id, ip_key, queue_at)
    WHERE ordered AND status = 'available';
CREATE INDEX ip_pool_assignments_reserved_for ON ip_pool_assignments (reserved_for) WHERE reserved_for IS NOT NULL;
CREATE INDEX ip_pool_assignments_reserved_station ON ip_pool_assignments (reserved_station)
    WHERE reserved_station IS NOT NULL;

-- Addresses that another database gives to one subscriber each (its radreply), mirrored by the companion.
CREATE TABLE ip_pool_statics (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    address_space TEXT NOT NULL DEFAULT 'default',
    ip_address    TEXT NOT NULL,                         -- in its canonical form
    username      TEXT NOT NULL,                         -- as that database has it
    source        TEXT NOT NULL,                         -- which database, by its name in ippool-rs.toml
    seen_at       TEXT NOT NULL,
    UNIQUE (ip_address, address_space, username, source)
);

UPDATE ip_pool_meta SET value = '1.4' WHERE name = 'schema_version';
