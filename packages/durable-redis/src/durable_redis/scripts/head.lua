-- KEYS[1] is `{namespace}:schema`. It routes the call to the slot of the namespace; all other keys
-- begin with what comes before `schema`. Scripts decide on copies of rows and write at their end,
-- because Redis does not undo what a script has written before it failed.
local call, sub, fmt, band, bor, bnot =
  redis.call, string.sub, string.format, bit.band, bit.bor, bit.bnot
local P = sub(KEYS[1], 1, -7)
if call('HEXISTS', KEYS[1], 'version') == 0 then
  return redis.error_reply('NOSCHEMA the namespace was not set up')
end
-- While a cluster moves this slot key by key, a key that does not exist cannot be asked for: better
-- to say so now than in the midst of writing.
if redis.pcall('EXISTS', P .. 'probe') ~= 0 then
  return redis.error_reply('TRYAGAIN the slot of the namespace is being moved')
end
local out = {}
