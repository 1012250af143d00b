-- Notes the format of the data where there is none yet, and answers which it
-- is. KEYS: the format. ARGV: the one to note.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
