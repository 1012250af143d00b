-- Before a read that must be durable: a write that comes after all others, for
-- replicas to confirm. A slot without an epoch has never been written to.
do
  local epoch = redis.call('GET', KEYS[1])
  if epoch then
    redis.call('SET', KEYS[1], epoch)
  end
end
