-- Who owns a shard: one owner at a time, by its epoch.

-- args: the epoch that was seen, node, incarnation, and a name for this try.
local function claim(keys, args)
  local shard = facts(keys[1])
  if not shard then return { 'gone' } end
  if shard.claim == args[4] then
    again(keys[1], 'claim', args[4])
  else
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
  if shard.release == args[3] then
    again(keys[1], 'release', args[3])
    return { 'ok' }
  end
  if not owned(shard, args[1]) then return { 'fenced' } end
  redis.call('HDEL', keys[1], 'node', 'incarnation', 'offered', 'claim')
  redis.call('HSET', keys[1], 'release', args[3])
  if args[2] ~= '' then redis.call('HSET', keys[1], 'offered', args[2]) end
  return { 'ok' }
end

writes('claim', claim)
writes('release', release)
