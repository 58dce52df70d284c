-- Rows, and the sorted sets by which they are found.

-- The columns stand in front of the snapshot, so that they are read without it: version, flags, due, started, ended,
-- and the lengths of status and group, which follow.
local FIXED = 30

local function front(key)
  local bytes = redis.call('GETRANGE', key, 0, 255)
  if bytes == '' then return nil end
  local _, flags, due, started, ended, status, group = struct.unpack('<BBI8I8I8I2I2', bytes)
  local size = FIXED + status + group
  if size > 256 then bytes = redis.call('GETRANGE', key, 0, size - 1) end
  return {
    bytes = bytes:sub(1, size),
    due = bit.band(flags, 1) ~= 0 and due,
    attention = bit.band(flags, 2) ~= 0 and 0,
    ended = bit.band(flags, 4) ~= 0 and ended,
    started = started,
    status = bytes:sub(FIXED + 1, FIXED + status),
    group = bytes:sub(FIXED + status + 1, size),
  }
end

-- Members that are still to be added to sorted sets: many at a time, because each call costs more than each member.
local AT_ONCE = 1000

local function flush(adding)
  for key, members in pairs(adding) do
    redis.call('ZADD', key, unpack(members))
    adding[key] = nil
  end
end

local function add(adding, key, score, actor)
  local members = adding[key]
  if not members then
    members = {}
    adding[key] = members
  end
  members[#members + 1] = score
  members[#members + 1] = actor
  if #members >= AT_ONCE then flush(adding) end
end

local function take(adding, key, actor)
  flush(adding)
  redis.call('ZREM', key, actor)
end

local function leave_status(adding, stem, status, actor)
  local key = stem .. 'status:' .. status
  take(adding, key, actor)
  if redis.call('EXISTS', key) == 0 then redis.call('SREM', stem .. 'statuses', status) end
end

local function remove_row(stem, actor)
  local key = stem .. 'row:' .. actor
  local old = front(key)
  if not old then return end
  if old.due then redis.call('ZREM', stem .. 'due', actor) end
  if old.attention then redis.call('ZREM', stem .. 'attention', actor) end
  if old.ended then redis.call('ZREM', stem .. 'ended', actor) end
  leave_status({}, stem, old.status, actor)
  redis.call('ZREM', stem .. 'actors', actor)
  redis.call('DEL', key)
end

local function index(adding, key, old, score, actor)
  if score ~= '' then
    if old ~= tonumber(score) then add(adding, key, score, actor) end
  elseif old then
    take(adding, key, actor)
  end
end

local function put_row(adding, stem, actor, due, attention, ended, started, status, row)
  local key = stem .. 'row:' .. actor
  local old = front(key) or {}
  index(adding, stem .. 'due', old.due, due, actor)
  index(adding, stem .. 'attention', old.attention, attention, actor)
  index(adding, stem .. 'ended', old.ended, ended, actor)
  if old.status ~= status then
    if old.status then leave_status(adding, stem, old.status, actor) end
    redis.call('SADD', stem .. 'statuses', status)
  end
  if old.status ~= status or old.started ~= tonumber(started) then
    add(adding, stem .. 'status:' .. status, started, actor)
  end
  if not old.bytes then add(adding, stem .. 'actors', 0, actor) end
  redis.call('SET', key, row)
end

-- args: epoch, mark, how many rows to put, their seven parts each, and the actors whose rows go.
local function checkpoint(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  if not owned(shard, args[1]) then return { 'fenced' } end
  local ms, sq = tonumber(args[2]), tonumber(args[3])
  -- Overtaken by a later one of the same owner: its rows are older than those that are there.
  if ms < shard.mark_ms or (ms == shard.mark_ms and sq < shard.mark_sq) then return { 'ok' } end
  local stem = stem(keys[1])
  local next_arg = 5
  local adding = {}
  for _ = 1, tonumber(args[4]) do
    put_row(adding, stem, args[next_arg], args[next_arg + 1], args[next_arg + 2], args[next_arg + 3], args[next_arg + 4],
      args[next_arg + 5], args[next_arg + 6])
    next_arg = next_arg + 7
  end
  flush(adding)
  for i = next_arg, #args do
    remove_row(stem, args[i])
  end
  if ms > shard.ms or (ms == shard.ms and sq > shard.sq) then
    ms, sq = shard.ms, shard.sq
  end
  if ms > shard.mark_ms or (ms == shard.mark_ms and sq > shard.mark_sq) then
    redis.call('HSET', keys[1], 'mark_ms', text(ms), 'mark_sq', text(sq))
    redis.call('XTRIM', stem .. 'log', 'MINID', text(ms) .. '-' .. text(sq + 1))
  end
  return { 'ok' }
end

-- args: epoch, before which time, how many at most.
local function groom(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  if not owned(shard, args[1]) then return { 'fenced' } end
  local stem = stem(keys[1])
  local actors = redis.call('ZRANGE', stem .. 'ended', '-inf', '(' .. args[2], 'BYSCORE', 'LIMIT', 0, args[3])
  for _, actor in ipairs(actors) do
    remove_row(stem, actor)
  end
  return { 'ok', #actors }
end

-- args: which set, from, how many at most, how many bytes at most; from and to are bounds by actor.
-- Replies whole rows by actor: ok, whether there is more, then actor and row.
local function rows(keys, args)
  local stem = stem(keys[1])
  local actors = redis.call('ZRANGE', stem .. args[1], args[2], args[3], 'BYLEX', 'LIMIT', 0, args[4])
  local reply = { 'ok', '0' }
  if #actors == tonumber(args[4]) then reply[2] = '1' end
  local bytes = 0
  for _, actor in ipairs(actors) do
    if bytes >= tonumber(args[5]) then
      reply[2] = '1'
      break
    end
    local row = redis.call('GET', stem .. 'row:' .. actor)
    if row then
      bytes = bytes + #row
      reply[#reply + 1] = actor
      reply[#reply + 1] = row
    end
  end
  return reply
end

-- How many members of a sorted set come before a place, and whether one is there. Members of one score are in the
-- order of their bytes, so the place is found by halving.
local function place(key, score, member)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', key, middle, middle)[1]
    if found == member then return middle, true end
    if less(found, member) then low = middle + 1 else high = middle end
  end
  return low, false
end

-- args: before which time, how many at most, and the last one before, if any: time, actor.
local function due(keys, args)
  local key = stem(keys[1]) .. 'due'
  local from = 0
  if args[3] then
    local found
    from, found = place(key, args[3], args[4])
    if found then from = from + 1 end
  end
  local page = redis.call('ZRANGE', key, from, from + tonumber(args[2]) - 1, 'WITHSCORES')
  local reply = { 'ok' }
  for i = 1, #page, 2 do
    if tonumber(page[i + 1]) >= tonumber(args[1]) then break end
    reply[#reply + 1] = page[i + 1]
    reply[#reply + 1] = page[i]
  end
  return reply
end

-- args: prefix of actors; `=` and a group, `^` and a prefix of groups, or nothing; how many at most; how many to look
-- at; `1` and a status, or `0`; and the last one before, if any: started, actor.
-- Replies ok, whether that is all, where it looked last, and then actor and columns of each.
local function list(keys, args)
  local stem = stem(keys[1])
  local look = tonumber(args[5])
  local statuses = { args[7] }
  if args[6] == '0' then statuses = redis.call('SMEMBERS', stem .. 'statuses') end
  local found = {}
  for _, status in ipairs(statuses) do
    local key = stem .. 'status:' .. status
    local to
    if args[8] then to = place(key, args[8], args[9]) else to = redis.call('ZCARD', key) end
    if to > 0 then
      local page = redis.call('ZRANGE', key, math.max(0, to - look), to - 1, 'WITHSCORES')
      for i = 1, #page, 2 do
        found[#found + 1] = { page[i], page[i + 1], tonumber(page[i + 1]) }
      end
    end
  end
  table.sort(found, function(a, b)
    if a[3] ~= b[3] then return a[3] > b[3] end
    return less(b[1], a[1])
  end)
  local reply = { 'ok', '1', '', '' }
  local left = tonumber(args[4])
  if #found >= look then reply[2] = '0' end
  for i = 1, math.min(#found, look) do
    local actor = found[i][1]
    reply[3], reply[4] = found[i][2], actor
    if actor:sub(1, #args[1]) == args[1] then
      local row = front(stem .. 'row:' .. actor)
      local fits = row ~= nil
      if fits and args[2] == '=' then fits = row.group == args[3] end
      if fits and args[2] == '^' then fits = row.group:sub(1, #args[3]) == args[3] end
      if fits then
        reply[#reply + 1] = actor
        reply[#reply + 1] = row.bytes
        left = left - 1
        if left == 0 then
          if i < #found then reply[2] = '0' end
          break
        end
      end
    end
  end
  return reply
end

writes('checkpoint', checkpoint)
writes('groom', groom)
reads('rows', rows)
reads('due', due)
reads('list', list)
