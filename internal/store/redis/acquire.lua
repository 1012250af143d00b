-- Gives a slot a new owner under a higher epoch.
--
-- KEYS[1]: the slot's epoch. ARGV: an epoch that was seen, the token of this
-- acquisition, the owner.
local held = redis.call('GET', KEYS[1])
local epoch = tonumber(ARGV[1])
if held then
  epoch = math.max(epoch, tonumber(string.match(held, '^%d+')))
end
epoch = epoch + 1
redis.call('SET', KEYS[1], string.format('%d %s %s', epoch, ARGV[2], ARGV[3]))
return epoch
