-- Writes everything that was decided, indexes included, and announces it.
local adds, removals, lanes, left, holders, leavers = {}, {}, {}, {}, {}, {}
local CREATED, UNFINISHED, OVER = P .. 'c', P .. 'u', P .. 'f'

local function add(key, score, member)
  local list = adds[key]
  if not list then
    list = {n = 0}
    adds[key] = list
  end
  local n = list.n
  list[n + 1], list[n + 2], list.n = score, member, n + 2
end

local function remove(key, member)
  local list = removals[key]
  if not list then
    list = {n = 0}
    removals[key] = list
  end
  local n = list.n + 1
  list[n], list.n = member, n
end

-- Lua can pass only so many arguments at once.
local function many(command, key, list, size)
  for first = 1, size, 1000 do
    local last = math.min(first + 999, size)
    if key then
      call(command, key, unpack(list, first, last))
    else
      call(command, unpack(list, first, last))
    end
  end
end

-- As text, once: to write a number out for each row costs more than to store it.
local moments, scores = {}, {}

local function moment(time)
  local text = moments[time]
  if not text then
    text = fmt('%.0f', (struct.unpack('<i8', time)))
    moments[time] = text
  end
  return text
end

local function score(number)
  local text = scores[number]
  if not text then
    text = fmt('%.0f', number)
    scores[number] = text
  end
  return text
end

local lane_keys = {}

local function lane_key(group, priority)
  local of_group = lane_keys[group]
  if not of_group then
    of_group = {}
    lane_keys[group] = of_group
  end
  local key = of_group[priority]
  if not key then
    key = P .. 'r:' .. group .. ':' .. priority
    of_group[priority] = key
  end
  return key
end

local function index_lane(r, told)
  local group0, key = r.group0, nil
  if r.owner == '' and r.due_ms >= 0 then
    local group = group_of(r)
    key = lane_key(group, r.priority)
    if group0 ~= group or r.priority0 ~= r.priority or r.due0 ~= r.due_ms then
      add(key, score(r.due_ms), r.id)
      local lane = lanes[key]
      if not lane then
        lanes[key] = {group = group, priority = r.priority, due_ms = r.due_ms}
      elseif r.due_ms < lane.due_ms then
        lane.due_ms = r.due_ms
      end
      told.ready[r.queue] = true
    end
  end
  if group0 then
    local before = lane_key(group0, r.priority0)
    if before ~= key then
      remove(before, r.id)
      if not left[before] then left[before] = {group = group0, priority = r.priority0} end
    end
  end
end

local function index_holder(r)
  local before, owner = r.owner0, r.owner
  if before ~= owner then
    if before ~= '' then
      remove(P .. 'h:' .. before, r.id)
      leavers[before] = true
    end
    if owner ~= '' then
      add(P .. 'h:' .. owner, moment(r.created), r.id)
      holders[owner] = true
    end
  end
  local is = marked(r)
  if not (is or r.marked0) then return end
  if r.marked0 and not (is and before == owner) then remove(P .. 'q:' .. before, r.id) end
  if is and not (r.marked0 and before == owner) then add(P .. 'q:' .. owner, 0, r.id) end
end

local function index_new(r)
  local created = moment(r.created)
  add(CREATED, created, r.id)
  if r.phase <= LAST_UNFINISHED then add(UNFINISHED, created, r.id) end
  if r.parent ~= '' then
    add(P .. 'k:' .. r.parent, (struct.unpack('<i4', r.counters)), r.id)
  end
  local _, root, _, tags = rest_of(r)
  if root ~= '' then add(P .. 't:r:' .. root, created, r.id) end
  local at = 1
  while at <= #tags do
    local tag
    tag, at = struct.unpack('<Hc0', tags, at)
    add(P .. 't:t:' .. tag, created, r.id)
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
  local tail = sub(r.packed, r.tail_at)
  local head = struct.pack(MUTABLE, r.phase, r.flags, r.priority, r.counters, r.pending,
    r.join_at, r.gen, r.due_ms, r.due, r.created, r.started, r.finished, #r.owner, r.owner,
    #r.ended_by, r.ended_by, #r.error, r.error, #r.state, r.state, #r.output, r.output)
  r.tail_at = #head + 1
  r.packed = head .. tail
end

local function index(r, told)
  index_lane(r, told)
  if r.owner ~= '' or r.owner0 ~= '' then index_holder(r) end
  if r.touched == NEW then index_new(r) end
  if r.phase <= LAST_UNFINISHED then return end
  if not r.done0 then
    told.finished = true
    if r.touched ~= NEW then remove(UNFINISHED, r.id) end
  end
  local is_over = over(r)
  if is_over and not r.over0 then add(OVER, moment(r.finished), r.id) end
  if r.over0 and not is_over then remove(OVER, r.id) end
end

-- Called once, and last; `dry` only fixes what is answered.
local function flush(dry)
  local told, values, gone = {ready = {}, finished = false}, {}, {}
  local n = 0
  for _, r in ipairs(dirty) do
    -- A new row is stored as it came, unless a message has ended it.
    if r.touched ~= NEW or r.phase > LAST_UNFINISHED or r.pending > 0 then pack_row(r) end
    if not dry then
      values[n + 1], values[n + 2] = row_key(r.id), r.packed
      n = n + 2
      index(r, told)
    end
  end
  if dry then return end
  for key, value in pairs(puts) do
    if value then
      values[n + 1], values[n + 2] = key, value
      n = n + 2
    else
      gone[#gone + 1] = key
    end
  end
  for key, id in pairs(new_keys) do
    values[n + 1], values[n + 2] = key, id
    n = n + 2
  end
  many('MSET', nil, values, n)
  many('UNLINK', nil, gone, #gone)
  for key, list in pairs(removals) do many('ZREM', key, list, list.n) end
  for key, list in pairs(adds) do many('ZADD', key, list, list.n) end
  flush_points()
  for _, b in pairs(boxes) do
    if b.changed then flush_box(b) end
  end
  flush_lanes()
  flush_holders()
  announce(told)
end
