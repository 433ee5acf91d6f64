-- KEYS[1]: the schema. ARGV: 'migrate' or 'look'; the newest version and protocol; then the names
-- of the migrations. Answers version, protocol and the names of what was done now.
local newest, protocol = tonumber(ARGV[2]), ARGV[3]
local found = redis.call('HMGET', KEYS[1], 'version', 'protocol')
local version, done = tonumber(found[1] or '0'), {}
if ARGV[1] == 'migrate' and version < newest then
  for number = version + 1, newest do done[#done + 1] = ARGV[3 + number] end
  redis.call('HSET', KEYS[1], 'version', newest, 'protocol', protocol)
  found = {newest, protocol}
end
return {tonumber(found[1] or '0'), tonumber(found[2] or '0'), unpack(done)}
