-- What has to happen in one atomic step, by the server itself.
--
-- Every function takes the name of one key, and finds the others that belong to it: all of them have the same hash tag.
-- Times and offsets are below 2^53, so a double holds them; an offset is a pair of numbers (milliseconds, sequence).
-- A reply begins with a word: ok, fenced, conflict, taken, alive, behind, or gone: the environment is not there.

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

-- The log -----------------------------------------------------------------------------------------------------------

-- keys: the memory of the writer. args: its name for this batch, how many shards, their stems, and for each part of the
-- batch: the epoch or nothing, how many entries, and for each entry: which of the shards, and the entry. An entry is
-- its checksum and its bytes, in one piece; each field more would cost a tenth of the time.
-- Replies `ok` and a line: `ms:sq:count` of the first entry of each shard, then the numbers of the parts that are fenced.
local function append(keys, args)
  local kept = redis.call('HMGET', keys[1], 'batch', 'reply')
  if kept[1] == args[1] then
    -- Writes again, so that WAIT on this connection waits for what an earlier one wrote.
    redis.call('HSET', keys[1], 'batch', args[1])
    return { 'ok', kept[2] }
  end
  local now = time()
  local shards = {}
  local next_arg = 3
  for i = 1, tonumber(args[2]) do
    local key = args[next_arg] .. 'meta'
    local known = redis.call('HMGET', key, 'dataset', 'ms', 'sq', 'count', 'node', 'epoch')
    if not known[1] then return { 'gone', key } end
    local shard = { key = key, log = args[next_arg] .. 'log', fence = known[5] and known[6] or 'nobody',
      ms = tonumber(known[2] or '0'), sq = tonumber(known[3] or '0'), count = tonumber(known[4] or '0') }
    if now > shard.ms then
      shard.ms, shard.sq = now, 0
    else
      shard.ms, shard.sq = after(shard.ms, shard.sq)
    end
    shard.first = text(shard.ms) .. ':' .. text(shard.sq) .. ':' .. text(shard.count + 1)
    shard.taken = 0
    shards[i] = shard
    next_arg = next_arg + 1
  end
  local fenced = {}
  local part = 0
  while next_arg <= #args do
    local epoch, entries = args[next_arg], tonumber(args[next_arg + 1])
    next_arg = next_arg + 2
    if epoch ~= '' and shards[tonumber(args[next_arg])].fence ~= epoch then
      fenced[#fenced + 1] = part
      next_arg = next_arg + 2 * entries
    else
      for _ = 1, entries do
        local shard = shards[tonumber(args[next_arg])]
        if shard.taken > 0 then shard.ms, shard.sq = after(shard.ms, shard.sq) end
        shard.taken = shard.taken + 1
        if shard.ms ~= shard.shown then
          shard.shown, shard.prefix = shard.ms, text(shard.ms) .. '-'
        end
        redis.call('XADD', shard.log, shard.prefix .. shard.sq, 's', shard.count + shard.taken, 'e', args[next_arg + 1])
        next_arg = next_arg + 2
      end
    end
    part = part + 1
  end
  local reply = {}
  for _, shard in ipairs(shards) do
    if shard.taken > 0 then
      redis.call('HSET', shard.key, 'ms', text(shard.ms), 'sq', shard.sq, 'count', text(shard.count + shard.taken))
    end
    reply[#reply + 1] = shard.first
  end
  local line = table.concat(reply, ' ') .. '|' .. table.concat(fenced, ' ')
  redis.call('HSET', keys[1], 'batch', args[1], 'reply', line)
  -- Longer than any outage in which a node waits for the answer to a batch.
  redis.call('EXPIRE', keys[1], 604800)
  return { 'ok', line }
end

-- args: after which offset, how many entries at most, how many bytes.
-- Replies ok, the last offset and its number, the mark, and then for each entry: id, number, entry.
local function read(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  local reply = { 'ok', text(shard.ms), text(shard.sq), text(shard.count), text(shard.mark_ms), text(shard.mark_sq) }
  local from = '(' .. args[1] .. '-' .. args[2]
  local left, bytes_max = tonumber(args[3]), tonumber(args[4])
  local bytes, page = 0, 4
  while left > 0 do
    local entries = redis.call('XRANGE', stem(keys[1]) .. 'log', from, '+', 'COUNT', math.min(page, left))
    for _, entry in ipairs(entries) do
      local fields = entry[2]
      if bytes >= bytes_max and #reply > 6 then return reply end
      bytes = bytes + #fields[4]
      left = left - 1
      reply[#reply + 1] = entry[1]
      reply[#reply + 1] = fields[2]
      reply[#reply + 1] = fields[4]
      from = '(' .. entry[1]
    end
    if #entries < page then break end
    -- Small entries come in large pages; large ones never many at once.
    if bytes < 65536 then page = math.min(page * 2, 256) end
  end
  return reply
end

-- args: for each entry that is to be put back: ms, sq, number, entry. Puts back what comes right behind the last entry of the log. Replies how many.
local function restore(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  local put = 0
  for i = 1, #args, 4 do
    local ms, sq, number = tonumber(args[i]), tonumber(args[i + 1]), tonumber(args[i + 2])
    local later = ms > shard.ms or (ms == shard.ms and sq > shard.sq)
    if number ~= shard.count + 1 or not later then break end
    redis.call('XADD', stem(keys[1]) .. 'log', args[i] .. '-' .. args[i + 1], 's', args[i + 2], 'e', args[i + 3])
    shard.ms, shard.sq, shard.count = ms, sq, number
    put = put + 1
  end
  if put > 0 then
    redis.call('HSET', keys[1], 'ms', text(shard.ms), 'sq', text(shard.sq), 'count', text(shard.count))
  end
  return { 'ok', put }
end

-- args: ids of entries. Replies ok and for each its number, or 0 where there is none.
local function present(keys, args)
  local reply = { 'ok' }
  for _, id in ipairs(args) do
    local entry = redis.call('XRANGE', stem(keys[1]) .. 'log', id, id)[1]
    reply[#reply + 1] = entry and entry[2][2] or '0'
  end
  return reply
end

-- args: ms and sq below which no new entry may come, the newest epoch that is known, and its owner, if it is the caller:
-- node, incarnation. Where somebody else has the same epoch, both lose the shard: one of them claimed what was forgotten.
local function raise(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  local ms, sq, epoch = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  if ms > shard.ms or (ms == shard.ms and sq > shard.sq) then
    redis.call('HSET', keys[1], 'ms', args[1], 'sq', args[2])
  end
  local torn = epoch == shard.epoch and args[4] and shard.incarnation and shard.incarnation ~= args[5]
  if torn then epoch = epoch + 1 end
  if epoch > shard.epoch then
    redis.call('HSET', keys[1], 'epoch', text(epoch))
    redis.call('HDEL', keys[1], 'node', 'incarnation', 'offered', 'claim', 'release')
    if args[4] and not torn then redis.call('HSET', keys[1], 'node', args[4], 'incarnation', args[5]) end
  end
  return { 'ok' }
end

-- Owners ------------------------------------------------------------------------------------------------------------

-- args: the epoch that was seen, node, incarnation, and a name for this try.
local function claim(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  if shard.claim ~= args[4] then
    if text(shard.epoch) ~= args[1] then return { 'fenced' } end
    shard.epoch = shard.epoch + 1
    shard.previous_node, shard.previous_incarnation = shard.node, shard.incarnation
    redis.call('HDEL', keys[1], 'offered', 'release', 'previous_node', 'previous_incarnation')
    redis.call('HSET', keys[1], 'epoch', text(shard.epoch), 'node', args[2], 'incarnation', args[3], 'claim', args[4])
    if shard.previous_node then
      redis.call('HSET', keys[1], 'previous_node', shard.previous_node, 'previous_incarnation',
        shard.previous_incarnation)
    end
  end
  return { 'ok', text(shard.epoch), text(shard.mark_ms), text(shard.mark_sq), text(shard.ms), text(shard.sq),
    shard.previous_node or false, shard.previous_incarnation or false }
end

-- args: epoch, the incarnation it is offered to or nothing, and a name for this try.
local function release(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  if shard.release == args[3] then return { 'ok' } end
  if not owned(shard, args[1]) then return { 'fenced' } end
  redis.call('HDEL', keys[1], 'node', 'incarnation', 'offered', 'claim')
  redis.call('HSET', keys[1], 'release', args[3])
  if args[2] ~= '' then redis.call('HSET', keys[1], 'offered', args[2]) end
  return { 'ok' }
end

-- Rows --------------------------------------------------------------------------------------------------------------

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
  local ms, sq = tonumber(args[2]), tonumber(args[3])
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

-- The environment ---------------------------------------------------------------------------------------------------

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
  if try == args[3] then return { 'ok', text(version) } end
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

-- Members -----------------------------------------------------------------------------------------------------------

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

-- Nothing but `redis` is there yet while the library is loaded, so no table is walked here.
local function writes(name, callback)
  redis.register_function(LIBRARY .. '_' .. name, callback)
end

local function reads(name, callback)
  redis.register_function({ function_name = LIBRARY .. '_' .. name, callback = callback, flags = { 'no-writes' } })
end

writes('append', append)
writes('restore', restore)
writes('raise', raise)
writes('claim', claim)
writes('release', release)
writes('checkpoint', checkpoint)
writes('groom', groom)
writes('found', found)
writes('put_setting', put_setting)
writes('renew', renew)
writes('leave', leave)
writes('forget', forget)
reads('read', read)
reads('present', present)
reads('rows', rows)
reads('due', due)
reads('list', list)
reads('settings', settings)
reads('census', census)
