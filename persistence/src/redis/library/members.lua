-- Who is there, by keys with a time to live.

-- keys: names (node to incarnation), records (node to record). The presence of each incarnation has a key beside them.
-- args: node, incarnation, record, for how many milliseconds.
local function presence(key, incarnation)
  return key:sub(1, -6) .. 'presence:' .. incarnation
end

local function renew(keys, args)
  local holder = redis.call('HGET', keys[1], args[1])
  if holder and holder ~= args[2] and redis.call('EXISTS', presence(keys[1], holder)) == 1 then
    return { 'taken', holder }
  end
  if holder ~= args[2] then redis.call('HSET', keys[1], args[1], args[2]) end
  if redis.call('HGET', keys[2], args[1]) ~= args[3] then redis.call('HSET', keys[2], args[1], args[3]) end
  redis.call('SET', presence(keys[1], args[2]), args[1], 'PX', args[4])
  return { 'ok' }
end

-- keys: names, records, the environment. Replies ok, the time, the counter of settings, then for each member: node,
-- incarnation, record, whether it is present.
local function census(keys, _)
  local reply = { 'ok', text(time()), redis.call('HGET', keys[3], 'settings') or '0' }
  local names = redis.call('HGETALL', keys[1])
  for i = 1, #names, 2 do
    reply[#reply + 1] = names[i]
    reply[#reply + 1] = names[i + 1]
    reply[#reply + 1] = redis.call('HGET', keys[2], names[i]) or ''
    reply[#reply + 1] = redis.call('EXISTS', presence(keys[1], names[i + 1]))
  end
  return reply
end

-- keys: names, records. args: incarnation.
local function leave(keys, args)
  local key = presence(keys[1], args[1])
  local names = redis.call('HGETALL', keys[1])
  for i = 1, #names, 2 do
    if names[i + 1] == args[1] then
      redis.call('HDEL', keys[1], names[i])
      redis.call('HDEL', keys[2], names[i])
    end
  end
  redis.call('DEL', key)
  return { 'ok' }
end

-- keys: names, records. args: node.
local function forget(keys, args)
  local holder = redis.call('HGET', keys[1], args[1])
  if not holder then return { 'ok', '0' } end
  if redis.call('EXISTS', presence(keys[1], holder)) == 1 then return { 'alive', holder } end
  redis.call('HDEL', keys[1], args[1])
  redis.call('HDEL', keys[2], args[1])
  return { 'ok', '1' }
end

writes('renew', renew)
writes('leave', leave)
writes('forget', forget)
reads('census', census)
