-- Reads entries of a log. KEYS: the slot's epoch, the log. ARGV: the first
-- sequence, how many entries, after how many bytes to end.
-- Answers the epoch, the sequence of the first entry, the entries.
local held = redis.call('GET', KEYS[1]) or ''
local from, limit, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local entries = {}
local length = redis.call('LLEN', KEYS[2])
if length == 0 then
  return { held, ARGV[1], entries }
end
local before = tonumber(redis.call('LINDEX', KEYS[2], 0))
from = math.max(from, before + 1)
local at, size, step = from - before, 0, 16
while at < length and #entries < limit and size <= most do
  local got = redis.call('LRANGE', KEYS[2], at, at + step - 1)
  for i = 1, #got do
    if #entries >= limit or size > most then
      break
    end
    entries[#entries + 1] = got[i]
    size = size + #got[i]
  end
  at, step = at + step, 128
end
return { held, string.format('%d', from), entries }
