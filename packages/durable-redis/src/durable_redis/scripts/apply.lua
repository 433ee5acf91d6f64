-- ARGV: now; then of each item: id, owner, header, values as the header says, name and value of
-- each checkpoint, and id, row and payload of each child.
local APPLIED, ALREADY, SUPERSEDED, CANCEL_REQUESTED, CHILD_CONFLICT, MISSING = 1, 2, 3, 4, 5, 6
local KEEP, RELEASE, FINISH, SETTLE = 0, 1, 2, 3
local at = 2

local function take()
  at = at + 1
  return ARGV[at - 1]
end

local function read_item()
  local item = {id = take(), owner = take(), blobs = {}, points = {}, children = {}}
  local mask, n_points, n_children
  item.gen, item.kind, item.phase, mask, item.attempt, item.join_at, item.priority, item.due_ms,
    item.due, n_points, n_children = struct.unpack('<dBBHi4i4hdc8HH', take())
  for bit_, name in pairs({[1] = 'state', [4] = 'output', [16] = 'error'}) do
    if band(mask, bit_ * 2) ~= 0 then item.blobs[name] = false end
  end
  if band(mask, 1) ~= 0 then item.blobs.state = take() end
  if band(mask, 4) ~= 0 then item.blobs.output = take() end
  if band(mask, 16) ~= 0 then item.blobs.error = take() end
  item.mask = mask
  for i = 1, n_points do item.points[i] = {item.id, take(), take()} end
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
  for name, value in pairs(item.blobs) do set_blob(r, name, value) end
  if band(mask, 64) ~= 0 then r.attempt = item.attempt end
  if band(mask, 128) ~= 0 then r.join_at = item.join_at end
  if band(mask, 256) ~= 0 then r.priority = item.priority end
  if band(mask, 512) ~= 0 then r.crashes = 0 end
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
    return {APPLIED}
  end
  if item.kind == FINISH then
    write_values(r, item)
    local token = item.owner .. '/' .. fmt('%.0f', item.gen)
    return {APPLIED, woken = finish(r, item.phase, token)}
  end
  local fresh, conflict = fresh_children(item)
  if not fresh then return {CHILD_CONFLICT, row = r, conflict = conflict} end
  write_values(r, item)
  local held = {}
  for _, child in ipairs(fresh) do
    adopt(child[1], child[2])
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
  local woken, held = answer.woken or '', answer.held or {}
  out[#out + 1] = struct.pack('<BBBc0HH', answer[1], answer.row and 1 or 0, #woken, woken,
    answer.conflict or 0, #held)
  if answer.row then say(answer.row, false) end
  for _, id in ipairs(held) do out[#out + 1] = struct.pack('<Bc0', #id, id) end
end
return table.concat(out)
