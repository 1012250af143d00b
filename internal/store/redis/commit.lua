-- Commits one slot's part of a batch, or refuses it as a whole.
--
-- KEYS[1]: the slot's epoch; the others are named by the operations.
-- ARGV[1]: what KEYS[1] must hold. ARGV[2]: "touch" when a part that changes
-- nothing must still be a write, so that replicas confirm it.
-- The rest are operations: name, index of the key, a number, how many
-- arguments follow, the arguments. They come in an order in which no key that
-- has vanished is written again: while a slot moves to another server, a
-- script may not make a key that is not there.
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then
  return held or ''
end
local n = #ARGV
if n == 2 then
  if ARGV[2] == 'touch' then
    redis.call('SET', KEYS[1], held)
  end
  return 1
end

-- Every log must end where the owner believes, before anything is written,
-- unless it begins anew.
local i = 3
while i <= n and (ARGV[i] == 'append' or ARGV[i] == 'begin') do
  local key = KEYS[tonumber(ARGV[i + 1])]
  local last = redis.call('LLEN', key) - 1
  if last >= 0 then
    last = last + tonumber(redis.call('LINDEX', key, 0))
  else
    last = 0
  end
  if ARGV[i] == 'append' and tonumber(ARGV[i + 2]) ~= last + 1 then
    return redis.error_reply('HOLE ' .. key .. ' ends at ' .. last .. ', and ' .. ARGV[i + 2] .. ' was to be appended')
  end
  i = i + 4 + ARGV[i + 3]
end

-- The stack of Lua is bounded, so long lists go in pieces of an even length.
local function call(command, key, from, to)
  for at = from, to, 4000 do
    redis.call(command, key, unpack(ARGV, at, math.min(at + 3999, to)))
  end
end

local commands = { put = 'HSET', delete = 'HDEL', mark = 'SADD', unmark = 'SREM', append = 'RPUSH', begin = 'RPUSH' }
i = 3
while i <= n do
  local op, key, number, count = ARGV[i], KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2], tonumber(ARGV[i + 3])
  if op == 'trim' then
    local length = redis.call('LLEN', key)
    if length > 0 then
      local before = tonumber(redis.call('LINDEX', key, 0))
      local drop = math.min(tonumber(number) - 1 - before, length - 1)
      if drop > 0 then
        redis.call('LTRIM', key, drop, -1)
        redis.call('LSET', key, 0, string.format('%d', before + drop))
      end
    end
  else
    if op == 'append' and number == '1' then
      redis.call('RPUSH', key, '0')
    elseif op == 'begin' then
      local before = string.format('%d', number - 1)
      if redis.call('LLEN', key) > 0 then
        redis.call('LTRIM', key, 0, 0)
        redis.call('LSET', key, 0, before)
      else
        redis.call('RPUSH', key, before)
      end
    end
    call(commands[op], key, i + 4, i + 3 + count)
  end
  i = i + 4 + count
end
return 1
