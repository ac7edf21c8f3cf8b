-- For wrk: each connection rests between its requests, so that the machine is left to what is tested. Milliseconds.
function delay()
  return 20
end
