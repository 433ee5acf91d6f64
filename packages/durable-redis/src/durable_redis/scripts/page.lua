-- ARGV: how many to look at; which source or ''; score and member to go on after, or ''; least
-- score or ''; then the sources to choose from, as suffixes of keys. Answers which source was
-- chosen, whether it has ended, and the rows with their scores.
local size, chosen, score, member, least = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if chosen == '' then
  local fewest
  for i = 6, #ARGV do
    local number = call('ZCARD', P .. ARGV[i])
    if not fewest or number < fewest then fewest, chosen = number, i - 6 end
  end
end
local key = P .. ARGV[6 + tonumber(chosen)]
local first = 0
if score ~= '' then
  first = seek(key, score, member)
elseif least ~= '' then
  first = call('ZCOUNT', key, '-inf', '(' .. least)
end
local members = call('ZRANGE', key, first, first + size - 1, 'WITHSCORES')
local count = #members / 2
out[1] = struct.pack('<BBH', tonumber(chosen), count < size and 1 or 0, count)
for i = 1, #members, 2 do
  local r = load(members[i])
  out[#out + 1] = struct.pack('<BdBc0', r and 1 or 0, tonumber(members[i + 1]), #members[i],
    members[i])
  if r then say(r, false) end
end
return table.concat(out)
