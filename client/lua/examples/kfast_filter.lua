--- An edge filter: takes events as JSON objects, one a line, and routes, drops or enriches each by its
-- content before it is produced. The rules are a function of the gateway's own. What is JSON, cjson
-- says, which looks neither at UTF-8 nor at control characters in strings.
local cjson = require("cjson.safe").new()
local kfast = require "resty.kfast"

cjson.decode_invalid_numbers(false)

local _M = {}

-- What the client is told when not all were accepted, by resty.kfast's code; 500 for others, such as
-- a topic that kfastd does not allow: sending the rest again does not help before that is mended.
local STATUS = {QUEUE_FULL = 503, NO_DAEMON = 503, LIMIT = 503, TOO_LARGE = 400}

local producer, rules

--- Opens the worker's producer; in init_worker_by_lua. `decide(event)` gets each event as a table, and
-- returns a topic, a key (a string or nil) and a table of fields to be added (or nil); or nil, and
-- the event is dropped. All else of the event is passed on as it came, to the byte; so one that has such
-- a field itself is malformed, lest a reader takes the client's for the gateway's.
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

--- A field as a key: text as it is, a whole number in digits, and anything else is no key.
function _M.key(field)
  if type(field) == "number" and field % 1 == 0 and math.abs(field) < 2 ^ 53 then
    return ("%.0f"):format(field)
  end
  return type(field) == "string" and field or nil
end

-- The object's text with the fields behind its own, or nil where it has one of these itself. Written
-- anew, numbers would lose digits.
local function with(object, event, fields)
  if not fields or next(fields) == nil then
    return object
  end
  for name in pairs(fields) do
    if event[name] ~= nil then
      return nil
    end
  end
  local added, why = cjson.encode(fields)
  if not added or added:sub(1, 1) ~= "{" then
    error("kfast_filter: the rules' fields are no JSON object: " .. (why or added))
  end
  return object:sub(1, -2) .. (next(event) ~= nil and "," or "") .. added:sub(2)
end

-- The records, and of which event each is, from 1.
local function records_of(body, counts)
  local records, numbers, number = {}, {}, 0
  for line in body:gmatch("[^\r\n]+") do
    number = number + 1
    local object = line:match("^%s*({.*})%s*$")
    local event = object and cjson.decode(object)
    if not event then
      counts.malformed = counts.malformed + 1
    else
      local topic, key, fields = rules(event)
      local value = topic and with(object, event, fields)
      if value then
        records[#records + 1] = {topic = topic, key = key, value = value}
        numbers[#records] = number
      elseif topic then
        counts.malformed = counts.malformed + 1
      else
        counts.dropped = counts.dropped + 1
      end
    end
  end
  return records, numbers
end

--- Answers a POST of events with how many were produced, dropped by the rules, and malformed: 202; or,
-- when not all that should be were accepted, from the first on, also with `next`, the number of the
-- next event (of the lines that are not empty, from 1): 503, send it and the rest again; 400, it is
-- at fault; or 500, this gateway is.
function _M.handle()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body and ngx.req.get_body_file() then
    ngx.log(ngx.ERR, "kfast_filter: the body is in a file: raise client_body_buffer_size")
    return ngx.exit(500)
  end
  local counts = {produced = 0, dropped = 0, malformed = 0}
  local records, numbers = records_of(body or "", counts)
  local count, why, code = producer:send_multi(records)
  counts.produced = count or 0
  counts.error, counts.next = why, why and numbers[counts.produced + 1]
  ngx.status = why and (STATUS[code] or 500) or 202
  ngx.header.content_type = "application/json"
  ngx.say(cjson.encode(counts))
end

return _M
