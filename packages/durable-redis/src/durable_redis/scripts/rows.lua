-- A row is one string: numbers of fixed size, what may change, and the tail, which never does.
local MUTABLE = '<BHhc12i4i4ddc8c8c8c8Bc0Hc0Hc0Hc0Hc0'
local TAIL = '<Hc0Hc0Bc0Hc0'
local REST = '<Hc0Bc0Hc0Hc0'
local NONE8 = '\0\0\0\0\0\0\0\128'
local ZERO8 = '\0\0\0\0\0\0\0\0'
local INLINE = 512

-- Phases above 3 are final; 2 and 3 wait for children.
local LAST_UNFINISHED = 3

-- Flags: a mark, how to cancel, and whether the payload of a new row has a key of its own.
local CANCEL, DELIVER, APART = 1, 2, 256
-- Payloads that may change: whether there is one, and whether it has a key of its own.
local BLOBS = {error = {4, 32}, state = {8, 64}, output = {16, 128}}

local rows, puts = {}, {}

local function row_key(id) return P .. 'e:' .. id end
local function blob_key(name, id) return P .. 'b:' .. name .. ':' .. id end

-- Written out, because a table that grows field by field is moved again and again. With more than
-- 32 fields it would take twice the room, and collecting it is what a script spends its time on.
local function parse(id, s)
  local phase, flags, priority, counters, pending, join_at, gen, due_ms, due, created, started,
    finished, owner, ended_by, err, state, output, at = struct.unpack(MUTABLE, s)
  local task, queue, parent, wake = struct.unpack(TAIL, s, at)
  return {
    id = id, packed = s, tail_at = at, touched = 0,
    phase = phase, flags = flags, priority = priority, counters = counters, pending = pending,
    join_at = join_at, gen = gen, due_ms = due_ms, due = due, created = created, started = started,
    finished = finished, owner = owner, ended_by = ended_by, error = err, state = state,
    output = output,
    task = task, queue = queue, parent = parent, wake = wake,
    group0 = false, priority0 = priority, due0 = due_ms, owner0 = owner, marked0 = false,
    done0 = false, over0 = false,
  }
end

-- Returns what is seldom needed of a row: key, root, group and tags.
local function rest_of(r)
  local _, _, _, _, at = struct.unpack(TAIL, r.packed, r.tail_at)
  return struct.unpack(REST, r.packed, at)
end

-- Returns the row as it is by now, false if there is none.
local function load(id)
  local r = rows[id]
  if r == nil then
    local s = call('GET', row_key(id))
    r = s and parse(id, s)
    rows[id] = r
  end
  return r
end

local function say_apart(name, id)
  local key = blob_key(name, id)
  local value = puts[key] or call('GET', key)
  out[#out + 1] = struct.pack('<I4', #value)
  out[#out + 1] = value
end

-- Adds a row to the answer, with payloads or without; after `flush`, if it was changed.
local function say(r, payload)
  out[#out + 1] = struct.pack('<Bc0I4', #r.id, r.id, #r.packed)
  out[#out + 1] = r.packed
  if r.flags < 32 then return end
  if band(r.flags, 32) ~= 0 then say_apart('error', r.id) end
  if not payload then return end
  if band(r.flags, 64) ~= 0 then say_apart('state', r.id) end
  if band(r.flags, 128) ~= 0 then say_apart('output', r.id) end
  if r.flags >= APART then say_apart('payload', r.id) end
end
