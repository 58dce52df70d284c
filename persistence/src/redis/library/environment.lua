-- The environment and its settings.

-- args: names and values of what it is made with, unless it is there already. Replies all that is stored of it.
local function found(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then redis.call('HSET', keys[1], unpack(args)) end
  return redis.call('HGETALL', keys[1])
end

-- keys: the environment, the settings, their keys in order. args: key, the version expected, a name for this try, bytes.
-- A setting is stored as its version, the try that wrote it, and its bytes.
local function put_setting(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then return { 'gone' } end
  local version, try = 0, ''
  local stored = redis.call('HGET', keys[2], args[1])
  if stored then
    local v, t = stored:match('^(%d+):(%w*):')
    version, try = tonumber(v), t
  end
  if try == args[3] then
    again(keys[2], args[1], stored)
    return { 'ok', text(version) }
  end
  if text(version) ~= args[2] then return { 'conflict', text(version) } end
  redis.call('HSET', keys[2], args[1], text(version + 1) .. ':' .. args[3] .. ':' .. args[4])
  redis.call('ZADD', keys[3], 0, args[1])
  redis.call('HINCRBY', keys[1], 'settings', 1)
  return { 'ok', text(version + 1) }
end

-- keys: the settings, their keys in order. args: from, to, how many and how many bytes at most.
local function settings(keys, args)
  local names = redis.call('ZRANGE', keys[2], args[1], args[2], 'BYLEX', 'LIMIT', 0, args[3])
  local reply = { 'ok', '0' }
  if #names == tonumber(args[3]) then reply[2] = '1' end
  local bytes = 0
  for _, name in ipairs(names) do
    if bytes >= tonumber(args[4]) then
      reply[2] = '1'
      break
    end
    local value = redis.call('HGET', keys[1], name)
    if value then
      bytes = bytes + #value
      reply[#reply + 1] = name
      reply[#reply + 1] = value
    end
  end
  return reply
end

writes('found', found)
writes('put_setting', put_setting)
reads('settings', settings)
