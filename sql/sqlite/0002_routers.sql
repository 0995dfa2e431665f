-- ippool_rs, schema 1.1, SQLite 3.35 or later: routers, and what is imported from them.
-- A module of schema 1.0 goes on working: it reads none of these columns.

ALTER TABLE ip_pool_nas ADD COLUMN name TEXT;              -- what people call it; of a router, its name in ippool-rs.toml
ALTER TABLE ip_pool_nas ADD COLUMN kind TEXT;              -- routeros; null: another, or not known
ALTER TABLE ip_pool_nas ADD COLUMN mode TEXT;              -- managed, observe, off; null: managed
ALTER TABLE ip_pool_nas ADD COLUMN nas_identifier TEXT;    -- what it calls itself
ALTER TABLE ip_pool_nas ADD COLUMN coa_address TEXT;       -- where it takes disconnects; null: where its packets come from
ALTER TABLE ip_pool_nas ADD COLUMN coa_port INTEGER;
ALTER TABLE ip_pool_nas ADD COLUMN coa_source TEXT;        -- the address that disconnects come from
CREATE UNIQUE INDEX ip_pool_nas_name ON ip_pool_nas (name);

ALTER TABLE ip_pool_pools ADD COLUMN next_pool TEXT;       -- the pool, by its name, that is asked when this one is empty
ALTER TABLE ip_pool_pools ADD COLUMN source TEXT;          -- where it was imported from, 'router core1'; null: made by hand

UPDATE ip_pool_meta SET value = '1.1' WHERE name = 'schema_version';
