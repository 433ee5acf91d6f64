-- ARGV: now; 'dry' or ''; then id, row and payload of each item.
local answers = {}
for i = 3, #ARGV, 3 do
  local r = parse(ARGV[i], ARGV[i + 1])
  local name = rest_of(r)
  local code, there = existing(r, name)
  if code then
    answers[#answers + 1] = {code, there}
  else
    adopt(r, name, ARGV[i + 2])
    -- The sender knows the row that it sent; it does not know of messages.
    answers[#answers + 1] = r.phase > LAST_UNFINISHED and {1, r}
  end
end
flush(ARGV[2] == 'dry')
for _, answer in ipairs(answers) do
  if answer then
    out[#out + 1] = struct.pack('<BB', answer[1], 1)
    say(answer[2], true)
  else
    out[#out + 1] = '\1\0'
  end
end
return table.concat(out)
