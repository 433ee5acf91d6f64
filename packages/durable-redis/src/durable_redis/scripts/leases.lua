-- ARGV: names of executors.
for _, executor in ipairs(ARGV) do
  local lease = call('HGET', P .. 'leases', executor)
  if lease then
    out[#out + 1] = struct.pack('<Bc0I4', #executor, executor, #lease)
    out[#out + 1] = lease
  end
end
return table.concat(out)
