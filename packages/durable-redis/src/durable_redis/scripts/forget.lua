-- ARGV: now; how many to look at. Drops expired messages, and mailboxes of which nothing is left.
local size = tonumber(ARGV[2])
local places = call('ZRANGEBYSCORE', P .. 'm', '-inf', fmt('%.0f', now), 'LIMIT', 0, size)
for _, place in ipairs(places) do
  local key = P .. 'w:' .. place
  local v = call('HMGET', key, 'e', 's')
  if (v[1] or '') == '' and (v[2] or '') == '' then
    call('UNLINK', key)
  else
    call('HSET', key, 'm', '', 'p', '')
  end
  call('ZREM', P .. 'm', place)
end
return struct.pack('<B', #places == size and 1 or 0)
