-- Reads an entity's records. KEYS: the slot's epoch, the records.
local held = redis.call('GET', KEYS[1])
return { held or '', redis.call('HGETALL', KEYS[2]) }
