-- ARGV: id; first place; how many.
local id, first, size = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local names = call('LRANGE', P .. 'o:' .. id, first, first + size)
local more = #names > size and 1 or 0
if more == 1 then names[#names] = nil end
out[1] = struct.pack('<BH', more, #names)
for _, name in ipairs(names) do
  local value = call('HGET', P .. 'p:' .. id, name)
  out[#out + 1] = struct.pack('<Hc0I4', #name, name, #value)
  out[#out + 1] = value
end
return table.concat(out)
