-- Writes everything that was decided, indexes included, and announces it.
local adds, removals, lanes, left, holders, leavers = {}, {}, {}, {}, {}, {}

local function into(lists, key, ...)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  for _, value in ipairs({...}) do list[#list + 1] = value end
end

-- Lua can pass only so many arguments at once.
local function many(command, key, list)
  for first = 1, #list, 1000 do
    local last = math.min(first + 999, #list)
    if key then
      call(command, key, unpack(list, first, last))
    else
      call(command, unpack(list, first, last))
    end
  end
end

local function moment(time) return (struct.unpack('<i8', time)) end

local function lane_key(group, priority) return P .. 'r:' .. group .. ':' .. priority end

local function index_lane(r, told)
  local was, key = r.was, nil
  if r.owner == '' and r.due_ms >= 0 then
    local group = group_of(r)
    key = lane_key(group, r.priority)
    if was.group ~= group or was.priority ~= r.priority or was.due_ms ~= r.due_ms then
      into(adds, key, r.due_ms, r.id)
      local lane = lanes[key]
      if not lane then
        lanes[key] = {group = group, priority = r.priority, due_ms = r.due_ms}
      elseif r.due_ms < lane.due_ms then
        lane.due_ms = r.due_ms
      end
      told.ready[r.queue] = true
    end
  end
  if was.group then
    local before = lane_key(was.group, was.priority)
    if before ~= key then
      into(removals, before, r.id)
      left[before] = was
    end
  end
end

local function index_holder(r)
  local was, owner = r.was, r.owner
  if was.owner ~= owner then
    if was.owner ~= '' then
      into(removals, P .. 'h:' .. was.owner, r.id)
      leavers[was.owner] = true
    end
    if owner ~= '' then
      into(adds, P .. 'h:' .. owner, moment(r.created), r.id)
      holders[owner] = true
    end
  end
  local is = marked(r)
  if was.marked and not (is and was.owner == owner) then
    into(removals, P .. 'q:' .. was.owner, r.id)
  end
  if is and not (was.marked and was.owner == owner) then
    into(adds, P .. 'q:' .. owner, 0, r.id)
  end
end

local function index_new(r)
  local created = moment(r.created)
  into(adds, P .. 'c', created, r.id)
  if r.phase <= LAST_UNFINISHED then into(adds, P .. 'u', created, r.id) end
  if r.parent ~= '' then into(adds, P .. 'k:' .. r.parent, r.index, r.id) end
  if r.root ~= '' then into(adds, P .. 't:r:' .. r.root, created, r.id) end
  local at = 1
  while at <= #r.tags do
    local tag
    tag, at = struct.unpack('<Hc0', r.tags, at)
    into(adds, P .. 't:t:' .. tag, created, r.id)
  end
end

local function flush_box(b)
  local values = {'e', b.e, 's', b.s, 'r', b.r, 'a', b.a, 'm', b.m}
  if b.p then values[11], values[12] = 'p', b.p end
  call('HSET', b.key, unpack(values))
  if b.m ~= '' then
    local _, _, till = struct.unpack('<BBd', b.m)
    call('ZADD', P .. 'm', till, b.place)
  elseif b.e == '' then
    call('ZADD', P .. 'm', 0, b.place)
  else
    call('ZREM', P .. 'm', b.place)
  end
end

local function flush_lanes()
  for _, lane in pairs(lanes) do
    call('ZADD', P .. 'l:' .. lane.group, 'LT', lane.due_ms, lane.priority)
    call('ZADD', P .. 'g', 'LT', lane.due_ms, lane.group)
  end
  for key, lane in pairs(left) do
    if call('EXISTS', key) == 0 then
      call('ZREM', P .. 'l:' .. lane.group, lane.priority)
      if call('EXISTS', P .. 'l:' .. lane.group) == 0 then call('ZREM', P .. 'g', lane.group) end
    end
  end
end

local function flush_holders()
  for owner in pairs(holders) do call('SADD', P .. 'owners', owner) end
  for owner in pairs(leavers) do
    if call('EXISTS', P .. 'h:' .. owner) == 0 then call('SREM', P .. 'owners', owner) end
  end
end

local function flush_points()
  for _, point in ipairs(points) do
    local id, name, value = point[1], point[2], point[3]
    if call('HSETNX', P .. 'p:' .. id, name, NOW .. value) == 1 then
      call('RPUSH', P .. 'o:' .. id, name)
    end
  end
end

local function announce(told)
  local queues = {told.finished and '1' or '0'}
  for queue in pairs(told.ready) do queues[#queues + 1] = queue end
  if told.finished or #queues > 1 then
    call('SPUBLISH', P .. 'hints', table.concat(queues, '\0'))
  end
end

local function pack_row(r)
  r.packed = struct.pack(MUTABLE, r.phase, r.flags, r.priority, r.index, r.crashes, r.attempt,
    r.pending, r.join_at, r.gen, r.due_ms, r.due, r.created, r.started, r.finished,
    #r.owner, r.owner, #r.ended_by, r.ended_by, #r.error, r.error, #r.state, r.state,
    #r.output, r.output) .. r.tail
end

-- Called once, and last; `dry` only fixes what is answered.
local function flush(dry)
  local told, values, gone = {ready = {}, finished = false}, {}, {}
  for _, r in ipairs(dirty) do
    pack_row(r)
    if not dry then
      values[#values + 1] = row_key(r.id)
      values[#values + 1] = r.packed
      index_lane(r, told)
      index_holder(r)
      if r.new then index_new(r) end
      if r.phase > LAST_UNFINISHED and not r.was.done then
        told.finished = true
        if not r.new then into(removals, P .. 'u', r.id) end
      end
      local is_over = over(r)
      if is_over and not r.was.over then into(adds, P .. 'f', moment(r.finished), r.id) end
      if r.was.over and not is_over then into(removals, P .. 'f', r.id) end
    end
  end
  if dry then return end
  for key, value in pairs(puts) do
    if value then
      values[#values + 1] = key
      values[#values + 1] = value
    else
      gone[#gone + 1] = key
    end
  end
  for key, id in pairs(new_keys) do
    values[#values + 1] = key
    values[#values + 1] = id
  end
  many('MSET', nil, values)
  many('UNLINK', nil, gone)
  for key, list in pairs(removals) do many('ZREM', key, list) end
  for key, list in pairs(adds) do many('ZADD', key, list) end
  flush_points()
  for _, b in pairs(boxes) do
    if b.changed then flush_box(b) end
  end
  flush_lanes()
  flush_holders()
  announce(told)
end
