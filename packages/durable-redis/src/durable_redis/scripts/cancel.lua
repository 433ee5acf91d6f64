-- ARGV: now; request; then ids.
local ENDED, MARKED, FINISHED, MISSING = 1, 2, 3, 4
local CANCELLED = 8
local request, answers = ARGV[2], {}

local function cancel(id)
  local r = load(id)
  if not r then return {MISSING} end
  if r.phase > LAST_UNFINISHED then
    return {r.ended_by == request and ENDED or FINISHED, row = r}
  end
  if r.owner == '' and band(r.flags, DELIVER) == 0 then
    return {ENDED, row = r, woken = finish(r, CANCELLED, request)}
  end
  touch(r)
  r.flags = bor(r.flags, CANCEL)
  if r.owner == '' then set_due(r, ZERO8, 0) end
  return {MARKED, row = r}
end

for i = 3, #ARGV do answers[#answers + 1] = cancel(ARGV[i]) end
flush()
for _, answer in ipairs(answers) do
  local woken = answer.woken or ''
  out[#out + 1] = struct.pack('<BBBc0', answer[1], answer.row and 1 or 0, #woken, woken)
  if answer.row then say(answer.row, false) end
end
return table.concat(out)
