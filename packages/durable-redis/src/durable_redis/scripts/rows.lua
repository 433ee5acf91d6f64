-- A row is one string: numbers of fixed size, what may change, and the tail, which never does.
local NUMBERS = '<BBhi4i4i4i4i4ddc8c8c8c8'
local MUTABLE = NUMBERS .. 'Bc0Hc0Hc0Hc0Hc0'
local TAIL = '<Hc0Hc0Bc0Hc0Hc0Bc0Hc0Hc0B'
local NONE8 = '\0\0\0\0\0\0\0\128'
local ZERO8 = '\0\0\0\0\0\0\0\0'
local INLINE = 512

-- Phases above 3 are final; 2 and 3 wait for children.
local LAST_UNFINISHED = 3

local CANCEL, DELIVER = 1, 2
-- Payloads that may change: whether there is one, whether it has a key of its own.
local BLOBS = {
  error = {4, 32, 'error'},
  state = {8, 64, 'state'},
  output = {16, 128, 'output'},
}

local rows, dirty = {}, {}
local puts = {}

local function row_key(id) return P .. 'e:' .. id end
local function blob_key(name, id) return P .. 'b:' .. name .. ':' .. id end

local function parse(id, s)
  local r = {id = id, packed = s}
  r.phase, r.flags, r.priority, r.index, r.crashes, r.attempt, r.pending, r.join_at, r.gen,
    r.due_ms, r.due, r.created, r.started, r.finished, r.owner, r.ended_by, r.error, r.state,
    r.output = struct.unpack(MUTABLE, s)
  r.tail = sub(s, 82 + #r.owner + #r.ended_by + #r.error + #r.state + #r.output)
  r.task, r.queue, r.parent, r.wake, r.key, r.root, r.group, r.tags, r.apart =
    struct.unpack(TAIL, r.tail)
  return r
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

-- Adds a row to the answer, with payloads or without; after `flush`, if it was changed.
local function say(r, payload)
  out[#out + 1] = struct.pack('<Bc0I4c0', #r.id, r.id, #r.packed, r.packed)
  local apart = {}
  if band(r.flags, BLOBS.error[2]) ~= 0 then apart[1] = 'error' end
  if payload then
    if band(r.flags, BLOBS.state[2]) ~= 0 then apart[#apart + 1] = 'state' end
    if band(r.flags, BLOBS.output[2]) ~= 0 then apart[#apart + 1] = 'output' end
    if r.apart ~= 0 then apart[#apart + 1] = 'payload' end
  end
  for _, name in ipairs(apart) do
    local key = blob_key(name, r.id)
    local value = puts[key] or call('GET', key)
    out[#out + 1] = struct.pack('<I4', #value)
    out[#out + 1] = value
  end
end
