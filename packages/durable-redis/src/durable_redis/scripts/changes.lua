-- Changes of rows, in memory until `flush`.
local NOW, now, now_ms = struct.unpack('<c8dd', ARGV[1])
local boxes, new_keys = {}, {}
local points, dirty = {}, {}

local function named(kind, task, name) return P .. kind .. ':' .. #task .. ':' .. task .. ':' .. name end

local groups = {}
local TOUCHED, NEW = 1, 2

local function group_of(r)
  if r.phase > LAST_UNFINISHED or string.byte(r.task) == 36 then return '$' end
  local of_queue = groups[r.queue]
  if not of_queue then
    of_queue = {}
    groups[r.queue] = of_queue
  end
  local group = of_queue[r.task]
  if not group then
    group = #r.queue .. ':' .. r.queue .. ':' .. r.task
    of_queue[r.task] = group
  end
  return group
end

local function marked(r)
  return r.owner ~= '' and band(r.flags, CANCEL) ~= 0 and r.phase <= LAST_UNFINISHED
end

local function over(r)
  return r.phase > LAST_UNFINISHED and r.owner == '' and r.due_ms < 0 and r.pending == 0
end

-- Must be called before a row is changed: what it was decides which indexes change.
local function touch(r)
  if r.touched > 0 then return end
  r.touched = TOUCHED
  r.group0 = r.owner == '' and r.due_ms >= 0 and group_of(r)
  r.priority0, r.due0, r.owner0 = r.priority, r.due_ms, r.owner
  r.marked0, r.done0, r.over0 = marked(r), r.phase > LAST_UNFINISHED, over(r)
  dirty[#dirty + 1] = r
end

local function set_due(r, due, due_ms) r.due, r.due_ms = due, due_ms end

local function set_blob(r, name, value)
  local blob = BLOBS[name]
  local key = blob_key(name, r.id)
  if band(r.flags, blob[2]) ~= 0 then puts[key] = false end
  r.flags = band(r.flags, bnot(blob[1] + blob[2]))
  r[name] = ''
  if not value then return end
  r.flags = bor(r.flags, blob[1])
  if #value <= INLINE then
    r[name] = value
  else
    r.flags = bor(r.flags, blob[2])
    puts[key] = value
  end
end

-- What is known of one (task, wake key): `e` the latest sleeper, `s` the one that still sleeps,
-- `r` the last request and `a` its answer, `m` a message for the next sleeper and `p` its payload.
local function box(task, wake)
  local key = named('w', task, wake)
  local b = boxes[key]
  if not b then
    local v = call('HMGET', key, 'e', 's', 'r', 'a', 'm')
    b = {e = v[1] or '', s = v[2] or '', r = v[3] or '', a = v[4] or '', m = v[5] or ''}
    b.key, b.place = key, #task .. ':' .. task .. ':' .. wake
    boxes[key] = b
  end
  return b
end

local function change_box(b) b.changed = true end

-- Makes a waiting, un-held row due if it waits for no more children than are left.
local function join(r)
  if r.owner == '' and (r.phase == 2 or r.phase == 3) and r.pending <= r.join_at then
    set_due(r, ZERO8, 0)
    return true
  end
  return false
end

-- Ends a row and counts it down at its parent; returns the parent's id if it became claimable.
local function finish(r, phase, ended_by)
  touch(r)
  r.phase, r.owner, r.ended_by, r.finished = phase, '', ended_by, NOW
  if r.pending > 0 then set_due(r, ZERO8, 0) else set_due(r, NONE8, -1) end
  if r.wake ~= '' then
    local b = box(r.task, r.wake)
    if b.s == r.id then
      b.s = ''
      change_box(b)
    end
  end
  local p = r.parent ~= '' and load(r.parent)
  if p then
    touch(p)
    p.pending = p.pending - 1
    if join(p) then return p.id end
  end
  return ''
end

-- Returns how and by which row a new one is hindered, nil if it is not.
local function existing(r, name)
  local there = load(r.id)
  if there then return 2, there end
  if name ~= '' then
    local key = named('i', r.task, name)
    local id = new_keys[key] or call('GET', key)
    local by_key = id and load(id)
    if by_key then return 3, by_key end
  end
  if r.wake ~= '' then
    local b = box(r.task, r.wake)
    local sleeper = b.s ~= '' and load(b.s)
    if sleeper then return 4, sleeper end
  end
  return nil
end

-- Inserts a row. A sleeper for whom a fresh message waits is born finished with it.
local function adopt(r, name, payload)
  rows[r.id] = r
  r.touched = NEW
  r.owner0 = ''
  dirty[#dirty + 1] = r
  if band(r.flags, BLOBS.state[2]) ~= 0 then
    local size = struct.unpack('<I4', payload)
    puts[blob_key('state', r.id)] = sub(payload, 5 + size)
    payload = sub(payload, 5, 4 + size)
  end
  if payload ~= '' then puts[blob_key('payload', r.id)] = payload end
  if name ~= '' then new_keys[named('i', r.task, name)] = r.id end
  if r.wake == '' then return end
  local b = box(r.task, r.wake)
  change_box(b)
  b.e, b.s = r.id, r.id
  if b.m == '' then return end
  local phase, has, till = struct.unpack('<BBd', b.m)
  local request = sub(b.m, 11)
  if till > now then
    r.phase, r.ended_by, r.finished = phase, request, NOW
    set_due(r, NONE8, -1)
    if b.p == nil then b.p = call('HGET', b.key, 'p') or '' end
    set_blob(r, phase == 4 and 'output' or 'error', has == 1 and b.p)
    b.s = ''
  end
  b.m, b.p = '', ''
end
