-- ARGV: now; limit.
local CANCELLED = 8
local limit, LEASES = tonumber(ARGV[2]), 100
local expired = call('ZRANGEBYSCORE', P .. 'x', '-inf', '(' .. fmt('%.0f', now), 'LIMIT', 0, LEASES)
local gone = {}
for _, executor in ipairs(expired) do gone[executor] = true end

local dead, freed, more = {}, 0, #expired == LEASES
local owners = call('SMEMBERS', P .. 'owners')
for first = 1, #owners, 1000 do
  local last = math.min(first + 999, #owners)
  for i, lease in ipairs(call('ZMSCORE', P .. 'x', unpack(owners, first, last))) do
    local owner = owners[first + i - 1]
    if not lease or gone[owner] then dead[#dead + 1] = owner end
  end
end
for _, owner in ipairs(dead) do
  local ids = call('ZRANGE', P .. 'h:' .. owner, 0, limit - freed)
  for _, id in ipairs(ids) do
    if freed >= limit then
      more = true
      break
    end
    freed = freed + 1
    local r = load(id)
    if not r then
      remove(P .. 'h:' .. owner, id)
      leavers[owner] = true
    else
      touch(r)
      local index, crashes, attempt = struct.unpack('<i4i4i4', r.counters)
      r.counters = struct.pack('<i4i4i4', index, crashes + 1, attempt)
      r.owner, r.gen = '', r.gen + 1
      local ends = band(r.flags, CANCEL) ~= 0 and band(r.flags, DELIVER) == 0
      if ends and r.phase <= LAST_UNFINISHED then
        finish(r, CANCELLED, 'reap')
      else
        set_due(r, ZERO8, 0)
      end
    end
  end
end
flush()
if #expired > 0 then
  call('ZREM', P .. 'x', unpack(expired))
  call('HDEL', P .. 'leases', unpack(expired))
end
return struct.pack('<HHB', #expired, freed, more and 1 or 0)
