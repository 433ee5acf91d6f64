-- ARGV: now; then task, wake key or '', id or '', request, header and payload of each item.
local WOKEN, KEPT, ALREADY_KEPT, LATE, NOBODY = 1, 2, 3, 4, 5

local function answer(outcome, id, first, woken)
  return struct.pack('<BBc0Hc0Bc0', outcome, #id, id, #first, first, #woken, woken)
end

local function decide(item, sleeper, b)
  if sleeper and sleeper.phase <= LAST_UNFINISHED then
    if sleeper.owner ~= '' then return answer(LATE, sleeper.id, '', '') end
    touch(sleeper)
    set_blob(sleeper, item.phase == 4 and 'output' or 'error', item.has == 1 and item.payload)
    return answer(WOKEN, sleeper.id, '', finish(sleeper, item.phase, item.request))
  end
  if item.id == '' and b.m ~= '' then
    local _, _, till = struct.unpack('<BBd', b.m)
    if till > now then return answer(ALREADY_KEPT, '', sub(b.m, 11), '') end
  end
  if item.id == '' and item.till > now then
    b.m = struct.pack('<BBd', item.phase, item.has, item.till) .. item.request
    b.p = item.payload
    return answer(KEPT, '', '', '')
  end
  local latest = load(item.id ~= '' and item.id or b.e)
  return answer(NOBODY, latest and latest.id or '', latest and latest.ended_by or '', '')
end

local function wake(item)
  local sleeper, key = nil, item.wake
  if item.id ~= '' then
    sleeper = load(item.id)
    if not sleeper or sleeper.task ~= item.task or sleeper.wake == '' then
      return answer(NOBODY, '', '', '')
    end
    key = sleeper.wake
  end
  local b = box(item.task, key)
  if b.r == item.request and b.a ~= '' then return b.a end
  if item.id == '' then sleeper = b.s ~= '' and load(b.s) end
  change_box(b)
  local said = decide(item, sleeper, b)
  b.r, b.a = item.request, said
  return said
end

for i = 2, #ARGV, 6 do
  local item = {
    task = ARGV[i], wake = ARGV[i + 1], id = ARGV[i + 2], request = ARGV[i + 3],
    payload = ARGV[i + 5],
  }
  item.phase, item.has, item.till = struct.unpack('<BBd', ARGV[i + 4])
  out[#out + 1] = wake(item)
end
flush()
return table.concat(out)
