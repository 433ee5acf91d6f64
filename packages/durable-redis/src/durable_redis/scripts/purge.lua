-- ARGV: now; finished_before in µs; how many to delete at most; how many to look at; how many to
-- pass over, because they were looked at and must stay.
local limit, size, passed = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local before = tonumber(ARGV[2])
local members = call('ZRANGE', P .. 'f', passed, passed + size - 1, 'WITHSCORES')
local ended = #members < 2 * size
local gone, keys, deleted = {}, {}, 0

local function delete(r)
  deleted = deleted + 1
  local id = r.id
  for _, key in ipairs({
    row_key(id), blob_key('error', id), blob_key('state', id), blob_key('output', id),
    blob_key('payload', id), P .. 'p:' .. id, P .. 'o:' .. id,
  }) do keys[#keys + 1] = key end
  local name, root, _, tags = rest_of(r)
  if name ~= '' then keys[#keys + 1] = named('i', r.task, name) end
  remove(P .. 'f', id)
  remove(P .. 'c', id)
  if r.parent ~= '' then remove(P .. 'k:' .. r.parent, id) end
  if root ~= '' then remove(P .. 't:r:' .. root, id) end
  local at = 1
  while at <= #tags do
    local tag
    tag, at = struct.unpack('<Hc0', tags, at)
    remove(P .. 't:t:' .. tag, id)
  end
  if r.wake ~= '' then
    local b = box(r.task, r.wake)
    if b.e == id then
      b.e = ''
      change_box(b)
    end
  end
end

for i = 1, #members, 2 do
  if tonumber(members[i + 1]) >= before or deleted >= limit then
    ended = true
    break
  end
  local r = load(members[i])
  local parent = r and r.parent ~= '' and load(r.parent)
  if not r then
    remove(P .. 'f', members[i])
  elseif parent and parent.phase <= LAST_UNFINISHED then
    passed = passed + 1
  else
    delete(r)
  end
end
many('UNLINK', nil, keys, #keys)
flush()
return struct.pack('<HBI4', deleted, ended and 1 or 0, passed)
