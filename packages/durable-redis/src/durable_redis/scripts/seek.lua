-- Bytes decide: Lua itself compares by the server's locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Returns the rank of the first member after (score, member), whether that is still there or not.
local function seek(key, score, member)
  local there = call('ZSCORE', key, member)
  if there and tonumber(there) == tonumber(score) then return call('ZRANK', key, member) + 1 end
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(member, call('ZRANGE', key, middle, middle)[1]) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end
