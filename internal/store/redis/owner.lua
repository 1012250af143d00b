-- Tells who owns a slot. KEYS: the slot's epoch.
return redis.call('GET', KEYS[1]) or ''
