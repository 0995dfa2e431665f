-- ippool_rs, schema 1.1, PostgreSQL 13 or later: routers, and what is imported from them.
-- A module of schema 1.0 goes on working: it reads none of these columns.

ALTER TABLE ip_pool_nas ADD COLUMN name text;              -- what people call it; of a router, its name in ippool-rs.toml
ALTER TABLE ip_pool_nas ADD COLUMN kind text;              -- routeros; null: another, or not known
ALTER TABLE ip_pool_nas ADD COLUMN mode text;              -- managed, observe, off; null: managed
ALTER TABLE ip_pool_nas ADD COLUMN nas_identifier text;    -- what it calls itself
ALTER TABLE ip_pool_nas ADD COLUMN coa_address text;       -- where it takes disconnects; null: where its packets come from
ALTER TABLE ip_pool_nas ADD COLUMN coa_port integer;
ALTER TABLE ip_pool_nas ADD COLUMN coa_source text;        -- the address that disconnects come from
CREATE UNIQUE INDEX ip_pool_nas_name ON ip_pool_nas (name);

ALTER TABLE ip_pool_pools ADD COLUMN next_pool text;       -- the pool, by its name, that is asked when this one is empty
ALTER TABLE ip_pool_pools ADD COLUMN source text;          -- where it was imported from, 'router core1'; null: made by hand

UPDATE ip_pool_meta SET value = '1.1' WHERE name = 'schema_version';
