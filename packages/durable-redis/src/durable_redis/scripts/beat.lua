-- ARGV: executor; 'register', 'renew' or 'sign off'; expires_at in µs as a number and as eight
-- bytes; now as eight bytes; info.
local MAX_ORDERS = 500
local executor, what, expires, expires8, started8, info = unpack(ARGV)
local alive, orders = 0, {}
if what == 'sign off' then
  call('ZREM', P .. 'x', executor)
  call('HDEL', P .. 'leases', executor)
else
  local there = call('HGET', P .. 'leases', executor)
  if there then
    started8 = sub(there, 1, 8)
    if what == 'renew' then info = sub(there, 17) end
  end
  if there or what == 'register' then
    alive = 1
    call('ZADD', P .. 'x', expires, executor)
    call('HSET', P .. 'leases', executor, started8 .. expires8 .. info)
    orders = call('ZRANGE', P .. 'q:' .. executor, 0, MAX_ORDERS)
  end
end
local time = call('TIME')
local more = #orders > MAX_ORDERS and 1 or 0
local count = math.min(#orders, MAX_ORDERS)
local heads = {}
for i = 1, count do
  local r = load(orders[i])
  if r then heads[#heads + 1] = r end
end
out[1] = struct.pack('<BdBH', alive, time[1] * 1000000 + time[2], more, #heads)
for _, r in ipairs(heads) do say(r, false) end
return table.concat(out)
