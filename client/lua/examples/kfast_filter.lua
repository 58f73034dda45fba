--- An edge filter: takes events as JSON, one a line, and routes, drops or enriches each by its
-- content before it is produced. The rules are a function of the gateway's own.
local cjson = require "cjson.safe"
local kfast = require "resty.kfast"

local _M = {}

local producer, rules

--- Opens the worker's producer; in init_worker_by_lua. `decide(event)` gets each event, a table that
-- it may change, and returns a topic and a key (or nil); or nil, and the event is dropped.
function _M.start(decide, options)
  local why, code
  producer, why, code = kfast.new_producer(options)
  if not producer then
    error("kfast_filter: " .. why, 2)
  end
  if code then
    ngx.log(ngx.WARN, "kfast_filter: no records for now: ", why)
  end
  rules = decide
end

local function records_of(body, counts)
  local records = {}
  for line in body:gmatch("[^\r\n]+") do
    local event = cjson.decode(line)
    if type(event) ~= "table" then
      counts.malformed = counts.malformed + 1
    else
      local topic, key = rules(event)
      if topic then
        records[#records + 1] = {topic = topic, key = key, value = cjson.encode(event)}
      else
        counts.dropped = counts.dropped + 1
      end
    end
  end
  return records
end

--- Answers a POST of events with how many were produced, dropped by the rules, and malformed: 202,
-- or 503 when not all that should be were accepted, from the first on: send the rest again.
function _M.handle()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body and ngx.req.get_body_file() then
    ngx.log(ngx.ERR, "kfast_filter: the body is in a file: raise client_body_buffer_size")
    return ngx.exit(500)
  end
  local counts = {produced = 0, dropped = 0, malformed = 0}
  local records = records_of(body or "", counts)
  local count, why = producer:send_multi(records)
  counts.produced = count or 0
  counts.error = why
  ngx.status = why and 503 or 202
  ngx.header.content_type = "application/json"
  ngx.say(cjson.encode(counts))
end

return _M
