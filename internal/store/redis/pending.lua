-- Lists a slot's marked entities. KEYS: the slot's epoch, the marks.
local held = redis.call('GET', KEYS[1])
return { held or '', redis.call('SMEMBERS', KEYS[2]) }
