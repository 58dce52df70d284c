-- The mailbox logs.

-- Entries that may be there already, by their bytes: those that came after `since`. Whoever looks knows that it has
-- appended none of these, so what is the same is what it looks for.
local function present_since(log, since)
  local there = {}
  for _, entry in ipairs(redis.call('XRANGE', log, '(' .. since, '+', 'COUNT', 10000)) do
    local same = there[entry[2][4]] or {}
    same[#same + 1] = entry[1]:gsub('-', ':') .. ':' .. entry[2][2]
    there[entry[2][4]] = same
  end
  return there
end

-- keys: the memory of the writer. args: its name for this batch, `1` if it may have been carried out by a server that
-- forgot it, or nothing, how many shards, their stems (and after each, if so, the id behind which to look), and for each
-- part of the batch: the epoch or nothing, how many entries, and for each entry: which of the shards, and the entry. An
-- entry is its checksum and its bytes, in one piece; each field more would cost a tenth of the time.
-- Replies `ok` and a line: `ms:sq:count` of the first entry of each shard, or `!` and that of every entry, and then the
-- numbers of the parts that are fenced.
local function append(keys, args)
  local kept = redis.call('HMGET', keys[1], 'batch', 'reply')
  if kept[1] == args[1] then
    again(keys[1], 'batch', args[1])
    return { 'ok', kept[2] }
  end
  local now = time()
  local shards = {}
  local doubt = args[2] ~= ''
  local placed = {}
  local next_arg = 4
  for i = 1, tonumber(args[3]) do
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
    if doubt then
      shard.there = present_since(shard.log, args[next_arg + 1])
      next_arg = next_arg + 1
    end
    next_arg = next_arg + 1
  end
  local fenced = {}
  local part = 0
  while next_arg <= #args do
    local epoch, entries = args[next_arg], tonumber(args[next_arg + 1])
    next_arg = next_arg + 2
    local wrong = epoch ~= '' and shards[tonumber(args[next_arg])].fence ~= epoch
    if wrong and not doubt then
      fenced[#fenced + 1] = part
      next_arg = next_arg + 2 * entries
    else
      local refused = false
      for _ = 1, entries do
        local shard = shards[tonumber(args[next_arg])]
        local there = doubt and shard.there[args[next_arg + 1]]
        if there and #there > 0 then
          placed[#placed + 1] = table.remove(there, 1)
        elseif wrong then
          refused = true
          placed[#placed + 1] = '-'
        else
          if shard.taken > 0 then shard.ms, shard.sq = after(shard.ms, shard.sq) end
          shard.taken = shard.taken + 1
          if shard.ms ~= shard.shown then
            shard.shown, shard.prefix = shard.ms, text(shard.ms) .. '-'
          end
          redis.call('XADD', shard.log, shard.prefix .. shard.sq, 's', shard.count + shard.taken, 'e', args[next_arg + 1])
          if doubt then
            placed[#placed + 1] = text(shard.ms) .. ':' .. text(shard.sq) .. ':' .. text(shard.count + shard.taken)
          end
        end
        next_arg = next_arg + 2
      end
      if refused then fenced[#fenced + 1] = part end
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
  local places = doubt and '!' .. table.concat(placed, ' ') or table.concat(reply, ' ')
  local line = places .. '|' .. table.concat(fenced, ' ')
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

writes('append', append)
writes('restore', restore)
writes('raise', raise)
reads('read', read)
reads('present', present)
