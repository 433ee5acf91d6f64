-- ARGV: now; executor; limit; then groups of queue and task.
local executor, limit = ARGV[2], tonumber(ARGV[3])
local PAGE = 16
local wanted, found, visited = {}, {}, {}
for i = 4, #ARGV do wanted[#wanted + 1] = ARGV[i] end
for first = 1, #wanted, 1000 do
  local last = math.min(first + 999, #wanted)
  local scores = call('ZMSCORE', P .. 'g', unpack(wanted, first, last))
  for i, score in ipairs(scores) do
    if score and tonumber(score) <= now_ms then
      local group = wanted[first + i - 1]
      visited[#visited + 1] = group
      for _, priority in ipairs(call('ZRANGEBYSCORE', P .. 'l:' .. group, '-inf', now_ms)) do
        found[#found + 1] = {
          key = lane_key(group, priority), group = group, priority = priority,
          rank = tonumber(priority), at = 0, page = {}, next = 1, more = true,
        }
      end
    end
  end
end
table.sort(found, function(a, b) return a.rank > b.rank end)

-- The lane's next due row, read page by page; nil when there is none.
local function head(lane, size)
  if lane.next > #lane.page and lane.more then
    lane.page = call('ZRANGEBYSCORE', lane.key, '-inf', now_ms, 'WITHSCORES', 'LIMIT', lane.at, size)
    lane.at = lane.at + #lane.page / 2
    lane.more = #lane.page == 2 * size
    lane.next = 1
  end
  return lane.page[lane.next], tonumber(lane.page[lane.next + 1])
end

local taken, lanes_of, first, exhausted = {}, {}, 1, true
while first <= #found do
  local last = first
  while last < #found and found[last + 1].rank == found[first].rank do last = last + 1 end
  local size = last == first and math.min(limit - #taken + 1, 256) or PAGE
  while true do
    local best, best_due
    for i = first, last do
      local id, due = head(found[i], size)
      if id and (not best or due < best_due) then best, best_due = found[i], due end
    end
    if not best then break end
    if #taken >= limit then
      exhausted = false
      break
    end
    taken[#taken + 1], lanes_of[#taken + 1] = best.page[best.next], best.key
    best.next = best.next + 2
  end
  if not exhausted then break end
  first = last + 1
end

local records = {}
for i, id in ipairs(taken) do
  local r = load(id)
  if r then
    touch(r)
    r.owner, r.gen = executor, r.gen + 1
    set_due(r, NONE8, -1)
    if r.phase == 0 then r.started = NOW end
    records[#records + 1] = r
  else
    -- A server that evicts keys leaves places without rows.
    remove(lanes_of[i], id)
  end
end
flush()

-- Bounds that were too low are mended, so that the next claim does not look in vain.
for i = 1, math.min(#found, first) do
  local lane = found[i]
  local least = call('ZRANGE', lane.key, 0, 0, 'WITHSCORES')
  if least[1] then call('ZADD', P .. 'l:' .. lane.group, least[2], lane.priority) end
end
for _, group in ipairs(visited) do
  local least = call('ZRANGE', P .. 'l:' .. group, 0, 0, 'WITHSCORES')
  if least[1] then call('ZADD', P .. 'g', least[2], group) end
end
local next_due = -1
for begin = 1, #wanted, 1000 do
  local stop = math.min(begin + 999, #wanted)
  for _, score in ipairs(call('ZMSCORE', P .. 'g', unpack(wanted, begin, stop))) do
    local due = score and tonumber(score)
    if due and due > now_ms and (next_due < 0 or due < next_due) then next_due = due end
  end
end
out[1] = struct.pack('<BdH', exhausted and 1 or 0, next_due, #records)
for _, r in ipairs(records) do say(r, true) end
return table.concat(out)
