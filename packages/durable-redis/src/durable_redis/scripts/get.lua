-- ARGV: 'record' or 'head'; then ids.
for i = 2, #ARGV do
  local r = load(ARGV[i])
  out[#out + 1] = r and '\1' or '\0'
  if r then say(r, ARGV[1] == 'record') end
end
return table.concat(out)
