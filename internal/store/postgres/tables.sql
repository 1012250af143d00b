-- What the engine keeps: the tables of one cluster of nodes, in a schema of
-- their own. Open makes them where there are none.

CREATE TABLE format (version integer NOT NULL);

-- Who has acquired a slot last. writer is the process, epoch which of its
-- acquisitions; 0: nobody has.
CREATE TABLE owners (
  slot   smallint PRIMARY KEY,
  epoch  bigint   NOT NULL,
  writer bigint   NOT NULL,
  node   text     NOT NULL
) WITH (fillfactor = 50);

-- Logs, a row for each entry. Rows are only ever added behind, and removed in
-- front by trimming; vacuum has to come by before that takes much room. Bodies
-- of up to a page are kept in the row, and none are compressed.
CREATE TABLE entries (
  slot smallint NOT NULL,
  kind smallint NOT NULL,
  id   bigint   NOT NULL,
  seq  bigint   NOT NULL,
  body bytea    NOT NULL,
  PRIMARY KEY (slot, kind, id, seq)
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.2);
ALTER TABLE entries ALTER COLUMN body SET STORAGE EXTERNAL;

-- Records are written over and over: with room on their page, a new version
-- goes beside the old one without a new entry in the index.
CREATE TABLE records (
  slot  smallint NOT NULL,
  kind  smallint NOT NULL,
  id    bigint   NOT NULL,
  key   bytea    NOT NULL,
  value bytea    NOT NULL,
  PRIMARY KEY (slot, kind, id, key)
) WITH (fillfactor = 70, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE records ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE TABLE pending (
  slot smallint NOT NULL,
  kind smallint NOT NULL,
  id   bigint   NOT NULL,
  PRIMARY KEY (slot, kind, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE members (
  node    text PRIMARY KEY,
  value   bytea       NOT NULL,
  expires timestamptz NOT NULL
) WITH (fillfactor = 20);
