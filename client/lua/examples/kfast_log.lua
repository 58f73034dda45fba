--- nginx's access log in Kafka: a record for each request, written in the log phase. In http { }:
--
--     init_worker_by_lua_block { require("kfast_log").start {topic = "access"} }
--     log_by_lua_block { require("kfast_log").write() }
--     location = /log-counts { content_by_lua_block { require("kfast_log").say_counts() } }  # server
--
-- One log for each nginx worker. A request is never held up: what cannot be sent is counted.
local cjson = require "cjson"
local ffi = require "ffi"
local kfast = require "resty.kfast"

ffi.cdef "size_t strcspn(const char *text, const char *these);"

local _M = {}

local DEFAULT_FIELDS = {
  "time_iso8601", "remote_addr", "host", "request_method", "request_uri", "status",
  "body_bytes_sent", "request_time", "upstream_response_time", "http_referer", "http_user_agent",
}
-- Variables of nginx that are numbers in the JSON.
local NUMBERS = {
  status = true, body_bytes_sent = true, bytes_sent = true, request_length = true,
  request_time = true, msec = true, connection = true, connection_requests = true,
}
local OPTIONS = {
  topic = "string", fields = "table", template = "string", key = "string", sample = "number",
  always_from_status = "number", when_full = "string", producer = "table",
}

local log  -- this worker's
local NOT_STARTED = "kfast_log was not started, or start threw: call it in init_worker_by_lua. With " ..
  "lua_code_cache off requests do not see what was started there"

-- "$remote_addr \"$request\" ${status}" as its parts: text, variable, text, variable, …, text.
local function parts_of(template)
  local parts, at = {}, 1
  for before, open, variable, shut, after in template:gmatch("()%$({?)([%w_]+)(}?)()") do
    if open == "" or shut == "}" then
      parts[#parts + 1] = template:sub(at, before - 1)
      parts[#parts + 1] = variable
      at = after - (open == "" and #shut or 0)
    end
  end
  parts[#parts + 1] = template:sub(at)
  return parts
end

-- How each byte is written where those that match `special` are written as \xNN.
local function letters_of(special)
  local letters = {}
  for byte = 0, 255 do
    local letter = string.char(byte)
    letters[byte] = letter:find(special) and ("\\x%02X"):format(byte) or letter
  end
  return letters
end

-- As nginx does in its own log: what a client sent can neither end the line nor a quotation.
local SPECIAL_IN_LINE, BEYOND_ASCII = '[%c"\\\127-\255]', "[\128-\255]"
local LINE_LETTERS, ASCII_LETTERS = letters_of(SPECIAL_IN_LINE), letters_of(BEYOND_ASCII)

-- Loops, here and below, are what LuaJIT compiles, and patterns are not: kilobytes of bytes that need
-- care, which anybody can send, shall not cost the worker milliseconds.
local function written(text, letters)
  local parts = {}
  for i = 1, #text do
    parts[i] = letters[text:byte(i)]
  end
  return table.concat(parts)
end

local function escaped(text)
  return text:find(SPECIAL_IN_LINE) and written(text, LINE_LETTERS) or text
end

local function is_utf8(text)
  local at, size = 1, #text
  while at <= size do
    local lead = text:byte(at)
    local last = at + (lead < 128 and 0 or lead < 224 and 1 or lead < 240 and 2 or 3)
    if lead >= 128 and (lead < 194 or lead > 244 or last > size) then
      return false
    end
    -- The second byte's bounds: no longer form than needed, no surrogate, nothing beyond U+10FFFF.
    local least = lead == 224 and 160 or lead == 240 and 144 or 128
    local most = lead == 237 and 159 or lead == 244 and 143 or 191
    for i = at + 1, last do
      local tail = text:byte(i)
      if tail < least or tail > most then
        return false
      end
      least, most = 128, 191
    end
    at = last + 1
  end
  return true
end

-- JSON holds UTF-8 only. Text that is none has its bytes beyond ASCII written as \xNN.
local function utf8(text)
  return is_utf8(text) and text or written(text, ASCII_LETTERS)
end

local function line_of(parts)
  local var, line = ngx.var, {}
  for i = 1, #parts, 2 do
    line[i] = parts[i]
    if parts[i + 1] then
      line[i + 1] = escaped(var[parts[i + 1]] or "-")
    end
  end
  return table.concat(line)
end

-- What a text in JSON may not hold as it is. Of a zero byte strcspn knows by itself.
local SPECIAL = {'"\\\127'}
for byte = 1, 255 do
  if byte < 32 or byte > 127 then
    SPECIAL[#SPECIAL + 1] = string.char(byte)
  end
end
SPECIAL = table.concat(SPECIAL)

local function quoted(text)
  return cjson.encode(utf8(text))
end

-- What stands before and behind a field's value, once for all lines.
local function columns_of(fields)
  local columns = {}
  for i = 1, #fields do
    local label = "," .. quoted(fields[i]) .. ":"
    columns[i] = {
      name = fields[i], number = NUMBERS[fields[i]], label = label, open = label .. '"',
    }
  end
  return columns
end

-- A variable without a value is left out. This runs for each request, so it is made of what LuaJIT compiles: a C function
-- of Lua, such as cjson's, would leave all of it to the interpreter, and is called only for what a client has sent that
-- needs it. `values` and `parts` are kept, lest each line makes two tables.
local values, parts = {}, {}
local function json_of(columns)
  local var, count = ngx.var, #columns
  for i = 1, count do
    values[i] = var[columns[i].name] or ""
  end
  local all = table.concat(values, "", 1, count)
  local plain = tonumber(ffi.C.strcspn(all, SPECIAL)) == #all
  local n = 0
  for i = 1, count do
    local column, value = columns[i], values[i]
    if value ~= "" then
      local number = column.number and tonumber(value)
      if number then
        parts[n + 1], parts[n + 2], parts[n + 3] = column.label, number, ""
      elseif plain then
        parts[n + 1], parts[n + 2], parts[n + 3] = column.open, value, '"'
      else
        parts[n + 1], parts[n + 2], parts[n + 3] = column.label, quoted(value), ""
      end
      n = n + 3
    end
  end
  return "{" .. table.concat(parts, "", 1, n):sub(2) .. "}"
end

local function is_variable(name)
  return type(name) == "string" and name ~= "" and name:sub(1, 1) ~= "$"
end

local function wrong_fields(fields)
  local count, seen = 0, {}
  for _, name in pairs(fields) do
    if not is_variable(name) then
      return ("kfast_log's option fields has %s, which is not a variable's name without its $"):format(tostring(name))
    end
    if seen[name] then
      return "kfast_log's option fields has " .. name .. " twice"
    end
    count, seen[name] = count + 1, true
  end
  if count == 0 or count ~= #fields then
    return 'kfast_log\'s option fields is a list of names, such as {"host", "status"}'
  end
  return nil
end

local function check(options)
  if log then
    return "kfast_log is started already: one log for each worker"
  end
  for name, value in pairs(options) do
    if not OPTIONS[name] then
      return "kfast_log has no option " .. tostring(name)
    end
    if type(value) ~= OPTIONS[name] then
      return ("kfast_log's option %s is a %s, not a %s"):format(name, type(value), OPTIONS[name])
    end
  end
  if not options.topic then
    return "kfast_log needs the option topic"
  end
  if options.when_full and options.when_full ~= "drop" and options.when_full ~= "error_log" then
    return 'kfast_log\'s option when_full is "drop" or "error_log"'
  end
  if options.sample and not (options.sample >= 0 and options.sample <= 1) then
    return ("kfast_log's option sample is %s, not from 0 to 1"):format(options.sample)
  end
  if options.key and not is_variable(options.key) then
    return ("kfast_log's option key is %q, which is not a variable's name without its $"):format(options.key)
  end
  return options.fields and wrong_fields(options.fields)
end

--- Starts this worker's log; in init_worker_by_lua. Throws when an option is wrong.
--   topic               where to
--   fields              names of nginx's variables, for JSON [the usual ones of an access log]. One that
--                       has no value is left out, and so is one that nginx does not have
--   template            instead of JSON a text with variables: '$remote_addr "$request" ${status}'
--   key                 a variable that is the record's key: one key, one partition [none]
--   sample              which part of the requests is logged, 0 to 1 [1]
--   always_from_status  requests with such a status or a higher one are logged anyway [500]
--   when_full           what happens to a line that finds no room or no kfastd: "drop" counts it,
--                       "error_log" also writes it to nginx's error log, which cuts it at 2 KB ["drop"]
--   producer            options of resty.kfast's producer [{reports = "errors"}]
function _M.start(options)
  local wrong = check(options)
  if wrong then
    error(wrong, 2)
  end
  local producer, why, code = kfast.new_producer(options.producer or {reports = "errors"})
  if not producer then
    error("kfast_log: " .. why, 2)
  end
  if code then
    ngx.log(ngx.WARN, "kfast_log: no records for now: ", why)
  end
  log = {
    producer = producer,
    topic = options.topic,
    columns = columns_of(options.fields or DEFAULT_FIELDS),
    parts = options.template and parts_of(options.template),
    key = options.key,
    sample = options.sample or 1,
    always = options.always_from_status or 500,
    tell = options.when_full == "error_log",
    sent = 0, sampled_out = 0, dropped = 0, last_drop = nil,
  }
end

--- Logs the present request; in log_by_lua.
function _M.write()
  local log = log or error(NOT_STARTED, 2)
  if log.sample < 1 and ngx.status < log.always and math.random() >= log.sample then
    log.sampled_out = log.sampled_out + 1
    return
  end
  local line = log.parts and line_of(log.parts) or json_of(log.columns)
  local ok, why = log.producer:send(log.topic, log.key and ngx.var[log.key], line)
  if ok then
    log.sent = log.sent + 1
    return
  end
  log.dropped = log.dropped + 1
  log.last_drop = why
  if log.tell then
    ngx.log(ngx.ERR, "kfast_log: not sent (", why, "): ", line)
  end
end

--- This worker's counts: sent, sampled_out, dropped, last_drop (why, or nil); and of those sent
-- failed and unknown (with the producer's option reports = "all" or "errors").
function _M.counts()
  local log = log or error(NOT_STARTED, 2)
  local stats = log.producer:stats()
  return {
    worker = ngx.worker.id(), sent = log.sent, sampled_out = log.sampled_out, dropped = log.dropped,
    last_drop = log.last_drop, failed = stats.failed, unknown = stats.unknown,
    last_failure = stats.last_failure,
  }
end

--- Answers a request with the counts, as JSON.
function _M.say_counts()
  ngx.header.content_type = "application/json"
  ngx.say(cjson.encode(_M.counts()))
end

return _M
