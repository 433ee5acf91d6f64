-- ARGV: now; executor; limit; then ids, each once.
local executor, limit = ARGV[2], tonumber(ARGV[3])
local records, free = {}, 0
for i = 4, #ARGV do
  local r = load(ARGV[i])
  if r and r.owner == '' and r.phase <= LAST_UNFINISHED
    and (r.wake == '' or (r.due_ms >= 0 and r.due_ms <= now_ms)) then
    free = free + 1
    if free <= limit then
      touch(r)
      r.owner, r.gen = executor, r.gen + 1
      set_due(r, NONE8, -1)
      if r.phase == 0 then r.started = NOW end
      records[#records + 1] = r
    end
  end
end
flush()
out[1] = struct.pack('<BdH', free <= limit and 1 or 0, -1, #records)
for _, r in ipairs(records) do say(r, true) end
return table.concat(out)
