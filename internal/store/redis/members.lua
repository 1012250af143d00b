-- Changes and lists the members. KEYS: their values, when they expire.
-- ARGV: put node value milliseconds, delete node, or list.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] == 'list' then
  local nodes = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%d', now), '+inf')
  local values = {}
  for i = 1, #nodes do
    values[i] = redis.call('HGET', KEYS[1], nodes[i]) or ''
  end
  return { nodes, values }
end
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%d', now))
if ARGV[1] == 'delete' then
  expired[#expired + 1] = ARGV[2]
else
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
  redis.call('ZADD', KEYS[2], string.format('%d', now + ARGV[4]), ARGV[2])
end
for i = 1, #expired do
  if expired[i] ~= ARGV[2] or ARGV[1] == 'delete' then
    redis.call('HDEL', KEYS[1], expired[i])
    redis.call('ZREM', KEYS[2], expired[i])
  end
end
return 1
