-- What has to happen in one atomic step, by the server itself.
--
-- Every function takes the name of one key, and finds the others that belong to it: all of them have the same hash tag.
-- Times and offsets are below 2^53, so a double holds them; an offset is a pair of numbers (milliseconds, sequence).
-- A reply begins with a word: ok, fenced, conflict, taken, alive, or gone: the environment is not there.

local SEQUENCE_MAX = 1048575

local function text(number)
  return string.format('%.0f', number)
end

local function time()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end

local function after(ms, sq)
  if sq < SEQUENCE_MAX then return ms, sq + 1 end
  return ms + 1, 0
end

local function less(a, b)
  if a == b then return false end
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- The facts of a shard, by name; nil where the environment has gone.
local FACTS = { 'dataset', 'ms', 'sq', 'count', 'epoch', 'node', 'incarnation', 'offered', 'mark_ms', 'mark_sq',
  'claim', 'release', 'previous_node', 'previous_incarnation' }

local function facts(key)
  local values = redis.call('HMGET', key, unpack(FACTS))
  if not values[1] then return nil end
  local found = {}
  for i, name in ipairs(FACTS) do
    found[name] = values[i] or nil
  end
  for _, name in ipairs({ 'ms', 'sq', 'count', 'epoch', 'mark_ms', 'mark_sq' }) do
    found[name] = tonumber(found[name] or '0')
  end
  return found
end

-- KEYS[1] is `...:meta`; the other keys of the shard begin like it.
local function stem(key)
  return key:sub(1, -5)
end

local function owned(shard, epoch)
  return shard.node and text(shard.epoch) == epoch
end

-- Writes what is written, so that WAIT on this connection waits for what another connection wrote.
local function again(key, field, value)
  redis.call('HSET', key, field, value)
end

-- Nothing but `redis` is there yet while the library is loaded, so no table is walked here.
local function writes(name, callback)
  redis.register_function(LIBRARY .. '_' .. name, callback)
end

local function reads(name, callback)
  redis.register_function({ function_name = LIBRARY .. '_' .. name, callback = callback, flags = { 'no-writes' } })
end
