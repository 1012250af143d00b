-- What the engine does to its tables. Open makes the functions that are not
-- there. They carry a version in their names: one that is to do something else
-- gets a new name, so that nodes of two versions can work on one schema.

-- Commits a batch, or nothing of it: then it returns the slots that the writer
-- does not own under these epochs any more.
--
-- The lock of the writer is shared by its commits; who acquires slots of its
-- takes it alone, and so waits for those under way. What is read after it has
-- been got is up to date.
--
-- Entities are named once, in e_slot, e_kind and e_id; the other arrays name
-- them by their places there. touch: what may change nothing must still wait
-- for standbys, and so leave something in the log.
CREATE OR REPLACE FUNCTION commit_1(
  me bigint, slots smallint[], epochs bigint[], touch boolean,
  e_slot smallint[], e_kind smallint[], e_id bigint[],
  log_of integer[], log_first bigint[], log_anew boolean[],
  entry_of integer[], entry_seq bigint[], entry_body bytea[],
  trim_of integer[], trim_to bigint[],
  put_of integer[], put_key bytea[], put_value bytea[],
  delete_of integer[], delete_key bytea[],
  mark_of integer[], unmark_of integer[]
) RETURNS smallint[] LANGUAGE plpgsql AS $$
DECLARE
  fenced smallint[];
  hole   record;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(me);
  SELECT array_agg(b.slot) INTO fenced FROM unnest(slots, epochs) b (slot, epoch)
    WHERE NOT EXISTS (SELECT FROM owners o WHERE o.slot = b.slot AND o.epoch = b.epoch AND o.writer = me);
  IF fenced IS NOT NULL THEN
    RETURN fenced;
  END IF;
  IF touch THEN
    PERFORM pg_logical_emit_message(true, 'skein', '');
  END IF;
  IF cardinality(log_of) > 0 THEN
    -- Every log must end where the owner believes, unless it begins anew.
    SELECT e_kind[l.o] AS kind, e_id[l.o] AS id, l.first INTO hole FROM unnest(log_of, log_first, log_anew) l (o, first, anew)
      WHERE NOT l.anew AND CASE
        WHEN l.first = 1 THEN EXISTS (SELECT FROM entries x WHERE x.slot = e_slot[l.o] AND x.kind = e_kind[l.o] AND x.id = e_id[l.o])
        ELSE NOT EXISTS (SELECT FROM entries x
          WHERE x.slot = e_slot[l.o] AND x.kind = e_kind[l.o] AND x.id = e_id[l.o] AND x.seq = l.first - 1)
        END LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'the log of entity %/% does not end where % was to be appended', hole.kind, hole.id, hole.first USING ERRCODE = 'SK001';
    END IF;
    IF true = ANY (log_anew) THEN
      DELETE FROM entries x USING unnest(log_of, log_anew) l (o, anew)
        WHERE l.anew AND x.slot = e_slot[l.o] AND x.kind = e_kind[l.o] AND x.id = e_id[l.o];
    END IF;
    INSERT INTO entries (slot, kind, id, seq, body)
      SELECT e_slot[n.o], e_kind[n.o], e_id[n.o], n.seq, n.body FROM unnest(entry_of, entry_seq, entry_body) n (o, seq, body);
  END IF;
  IF cardinality(trim_of) > 0 THEN
    -- The last entry stays: it says where the log ends.
    DELETE FROM entries x USING unnest(trim_of, trim_to) t (o, upto), LATERAL (
        SELECT max(y.seq) AS seq FROM entries y WHERE y.slot = e_slot[t.o] AND y.kind = e_kind[t.o] AND y.id = e_id[t.o]
      ) last
      WHERE x.slot = e_slot[t.o] AND x.kind = e_kind[t.o] AND x.id = e_id[t.o] AND x.seq < least(t.upto, last.seq);
  END IF;
  IF cardinality(put_of) > 0 THEN
    INSERT INTO records (slot, kind, id, key, value)
      SELECT e_slot[p.o], e_kind[p.o], e_id[p.o], p.key, p.value FROM unnest(put_of, put_key, put_value) p (o, key, value)
      ON CONFLICT (slot, kind, id, key) DO UPDATE SET value = excluded.value;
  END IF;
  IF cardinality(delete_of) > 0 THEN
    DELETE FROM records x USING unnest(delete_of, delete_key) d (o, key)
      WHERE x.slot = e_slot[d.o] AND x.kind = e_kind[d.o] AND x.id = e_id[d.o] AND x.key = d.key;
  END IF;
  IF cardinality(mark_of) > 0 THEN
    INSERT INTO pending (slot, kind, id) SELECT e_slot[m.o], e_kind[m.o], e_id[m.o] FROM unnest(mark_of) m (o)
      ON CONFLICT DO NOTHING;
  END IF;
  IF cardinality(unmark_of) > 0 THEN
    DELETE FROM pending x USING unnest(unmark_of) m (o)
      WHERE x.slot = e_slot[m.o] AND x.kind = e_kind[m.o] AND x.id = e_id[m.o];
  END IF;
  RETURN '{}';
END $$;

-- Gives slots a new owner under higher epochs: higher too than those that it
-- has seen. It waits for the commits under way of those who have them.
CREATE OR REPLACE FUNCTION acquire_1(me bigint, who text, wanted smallint[], seen bigint[])
RETURNS TABLE (got smallint, under bigint) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM owners o WHERE o.slot = ANY (wanted) ORDER BY o.slot FOR UPDATE;
  PERFORM pg_advisory_xact_lock(w.writer) FROM (
      SELECT DISTINCT o.writer FROM owners o WHERE o.slot = ANY (wanted) AND o.writer <> 0 ORDER BY o.writer
    ) w;
  RETURN QUERY UPDATE owners o SET epoch = greatest(o.epoch, a.seen) + 1, writer = me, node = who
    FROM unnest(wanted, seen) a (slot, seen) WHERE o.slot = a.slot RETURNING o.slot, o.epoch;
END $$;

-- Reads a log from a sequence on: at most so many entries, and none after those
-- that together exceed a number of bytes.
CREATE OR REPLACE FUNCTION read_1(of_slot smallint, of_kind smallint, of_id bigint, start bigint, most bigint, bytes bigint)
RETURNS TABLE (number bigint, content bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE
  size bigint := 0;
BEGIN
  FOR number, content IN SELECT x.seq, x.body FROM entries x
    WHERE x.slot = of_slot AND x.kind = of_kind AND x.id = of_id AND x.seq >= start ORDER BY x.seq LIMIT most
  LOOP
    RETURN NEXT;
    size := size + length(content);
    EXIT WHEN size > bytes;
  END LOOP;
END $$;
