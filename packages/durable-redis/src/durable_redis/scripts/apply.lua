-- ARGV: now; then of each item: id, owner, header, values as the header says, name and value of
-- each checkpoint, and id, row and payload of each child.
local APPLIED, ALREADY, SUPERSEDED, CANCEL_REQUESTED, CHILD_CONFLICT, MISSING = 1, 2, 3, 4, 5, 6
local KEEP, RELEASE, FINISH, SETTLE = 0, 1, 2, 3
local at = 2
local NOTHING = {}
local PLAIN = {APPLIED}

local function take()
  at = at + 1
  return ARGV[at - 1]
end

local function read_item()
  local id, owner, header = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  local gen, kind, phase, mask, attempt, join_at, priority, due_ms, due, n_points, n_children =
    struct.unpack('<dBBHi4i4hdc8HH', header)
  local item = {
    id = id, owner = owner, gen = gen, kind = kind, phase = phase, mask = mask, attempt = attempt,
    join_at = join_at, priority = priority, due_ms = due_ms, due = due,
    state = nil, output = nil, error = nil, points = NOTHING, children = NOTHING,
  }
  if band(mask, 1) ~= 0 then item.state = take() end
  if band(mask, 4) ~= 0 then item.output = take() end
  if band(mask, 16) ~= 0 then item.error = take() end
  if n_points > 0 then item.points = {} end
  for i = 1, n_points do item.points[i] = {id, take(), take()} end
  if n_children > 0 then item.children = {} end
  for i = 1, n_children do item.children[i] = {take(), take(), take()} end
  return item
end

local function refusal(r, item)
  if r.owner ~= item.owner or r.gen ~= item.gen then
    local done = (r.owner == '' and r.gen == item.gen)
      or r.ended_by == item.owner .. '/' .. fmt('%.0f', item.gen)
    return done and ALREADY or SUPERSEDED
  end
  if (item.kind == SETTLE) ~= (r.phase > LAST_UNFINISHED) then return SUPERSEDED end
  if item.kind <= RELEASE and band(r.flags, CANCEL) ~= 0 and band(item.mask, 1024) == 0 then
    return CANCEL_REQUESTED
  end
  return nil
end

-- Returns the children to insert, or nil and the place of the first that belongs to another.
local function fresh_children(item)
  local fresh, seen, keys = {}, {}, {}
  for place, child in ipairs(item.children) do
    local there = load(child[1])
    if there then
      if there.parent ~= item.id then return nil, place - 1 end
    elseif not seen[child[1]] then
      local r = parse(child[1], child[2])
      if r.wake ~= '' then
        local b = box(r.task, r.wake)
        if keys[b.key] or b.s ~= '' then return nil, place - 1 end
        keys[b.key] = true
      end
      seen[child[1]] = true
      fresh[#fresh + 1] = {r, child[3]}
    end
  end
  return fresh, nil
end

local function write_values(r, item)
  touch(r)
  local mask = item.mask
  if band(mask, 3) ~= 0 then set_blob(r, 'state', item.state) end
  if band(mask, 12) ~= 0 then set_blob(r, 'output', item.output) end
  if band(mask, 48) ~= 0 then set_blob(r, 'error', item.error) end
  if mask >= 64 then
    if band(mask, 64) ~= 0 then
      r.counters = sub(r.counters, 1, 8) .. struct.pack('<i4', item.attempt)
    end
    if band(mask, 128) ~= 0 then r.join_at = item.join_at end
    if band(mask, 256) ~= 0 then r.priority = item.priority end
    if band(mask, 512) ~= 0 then
      r.counters = sub(r.counters, 1, 4) .. '\0\0\0\0' .. sub(r.counters, 9)
    end
  end
  for _, point in ipairs(item.points) do points[#points + 1] = point end
end

local function apply(item)
  local r = load(item.id)
  if not r then return {MISSING} end
  local refused = refusal(r, item)
  if refused then return {refused, row = r} end
  if item.kind == SETTLE then
    touch(r)
    r.owner = ''
    set_due(r, item.due, item.due_ms)
    return PLAIN
  end
  if item.kind == FINISH then
    write_values(r, item)
    local token = item.owner .. '/' .. fmt('%.0f', item.gen)
    local woken = finish(r, item.phase, token)
    return woken == '' and PLAIN or {APPLIED, woken = woken}
  end
  local fresh, conflict = fresh_children(item)
  if not fresh then return {CHILD_CONFLICT, row = r, conflict = conflict} end
  write_values(r, item)
  local held = {}
  for _, child in ipairs(fresh) do
    adopt(child[1], '', child[2])
    if child[1].phase <= LAST_UNFINISHED then r.pending = r.pending + 1 end
    if child[1].owner ~= '' then held[#held + 1] = child[1].id end
  end
  if item.kind == KEEP then return {APPLIED, held = held} end
  r.owner, r.phase = '', item.phase
  set_due(r, item.due, item.due_ms)
  join(r)
  local due = r.due_ms >= 0 and r.due_ms <= now_ms
  return {APPLIED, held = held, woken = due and r.id or ''}
end

local answers = {}
while at <= #ARGV do answers[#answers + 1] = apply(read_item()) end
flush()
for _, answer in ipairs(answers) do
  if answer == PLAIN then
    out[#out + 1] = '\1\0\0\0\0\0\0'
  else
    local woken, held = answer.woken or '', answer.held or NOTHING
    out[#out + 1] = struct.pack('<BBBc0HH', answer[1], answer.row and 1 or 0, #woken, woken,
      answer.conflict or 0, #held)
    if answer.row then say(answer.row, false) end
    for _, id in ipairs(held) do out[#out + 1] = struct.pack('<Bc0', #id, id) end
  end
end
return table.concat(out)
