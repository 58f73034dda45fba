-- Records as a Lua programmer gives them, checked and put where libkfast reads them.
local ffi = require "ffi"

local type, pairs, tostring, getmetatable = type, pairs, tostring, getmetatable
local ffi_new = ffi.new
local floor, max = math.floor, math.max
local null = ngx.null
local counts, nkeys = pcall(require, "table.nkeys")

local _M = {}

local ANY_PARTITION, NOW = -1, -1
local LAST_PARTITION = 0x7fffffff
local LAST_TIMESTAMP = 2 ^ 53
-- Arrays of more are made for one call and not kept.
local MOST_KEPT = 4096

local OPTIONS = {
  headers = true, partition = true, timestamp = true, wait = true, timeout_ms = true,
}
local FIELDS = {
  topic = true, key = true, value = true, headers = true, partition = true, timestamp = true,
}

local function is_integer(number, least, most)
  return type(number) == "number" and number >= least and number <= most and
    floor(number) == number
end

--- What is wrong with a key or a value, or nil. A nil key is a null key; a null value is kfast.null.
function _M.wrong(key, value)
  if key ~= nil and type(key) ~= "string" then
    return "the key is a " .. type(key) .. ", not a string or nil: tostring() makes it one"
  end
  if value == nil then
    return "the value is nil: give a string, or kfast.null for a tombstone"
  end
  if type(value) ~= "string" and value ~= null then
    return "the value is a " .. type(value) .. ", not a string or kfast.null: encode it first"
  end
  return nil
end

local function wrong_place(partition, timestamp)
  if partition ~= nil and not is_integer(partition, 0, LAST_PARTITION) then
    return "the partition is " .. tostring(partition) .. ", not a whole number from 0"
  end
  if timestamp ~= nil and not is_integer(timestamp, 1, LAST_TIMESTAMP) then
    return "the timestamp is " .. tostring(timestamp) ..
      ", not a whole number of milliseconds since 1970, from 1"
  end
  return nil
end

local function unknown_name(given, known)
  for name in pairs(given) do
    if not known[name] then
      return name
    end
  end
  return nil
end

--- What is wrong with the fourth argument of send, or nil.
function _M.wrong_options(given)
  if type(given) ~= "table" then
    return "the options of send are a " .. type(given) .. ", not a table"
  end
  local name = unknown_name(given, OPTIONS)
  if name ~= nil then
    return "send has no option " .. tostring(name) ..
      ": there are headers, partition, timestamp, wait and timeout_ms"
  end
  local timeout = given.timeout_ms
  if timeout ~= nil and not is_integer(timeout, 1, 0x7fffffff) then
    return "timeout_ms is " .. tostring(timeout) .. ", not a whole number from 1"
  end
  return wrong_place(given.partition, given.timestamp)
end

-- unknown_name for a record of send_multi. Where OpenResty's LuaJIT counts the fields, no loop is
-- needed: it would be a trace of its own, and leave that over the records for each of them.
local function unknown_field(given)
  if counts and getmetatable(given) == nil then
    local known = (given.value ~= nil and 1 or 0) + (given.key ~= nil and 1 or 0) +
      (given.topic ~= nil and 1 or 0) + (given.headers ~= nil and 1 or 0) +
      (given.partition ~= nil and 1 or 0) + (given.timestamp ~= nil and 1 or 0)
    if nkeys(given) == known then
      return nil
    end
  end
  return unknown_name(given, FIELDS)
end

--- What is wrong with a record of send_multi, or nil.
function _M.wrong_record(given)
  if type(given) ~= "table" then
    return "it is a " .. type(given) .. ", not a table"
  end
  local name = unknown_field(given)
  if name ~= nil then
    return "it has a field " .. tostring(name) ..
      ": there are topic, key, value, headers, partition and timestamp"
  end
  return _M.wrong(given.key, given.value) or wrong_place(given.partition, given.timestamp)
end

-- ---- headers ----------------------------------------------------------------------------------

local function key_count(given)
  if counts then
    return nkeys(given)
  end
  local count = 0
  for _ in pairs(given) do
    count = count + 1
  end
  return count
end

-- {{name, value}, …} keeps the order and may repeat a name; {name = value, …} is shorter.
local function header_count(headers)
  if headers == nil then
    return 0
  end
  if type(headers) ~= "table" then
    return nil, "the headers are a " .. type(headers) .. ", not a table"
  end
  local count = key_count(headers)
  if headers[1] ~= nil and #headers ~= count then
    return nil, "the headers are neither a list {{name, value}, …} without holes nor {name = value, …}"
  end
  return count
end

local function set_header(header, name, value)
  if type(name) ~= "string" then
    return "a header's name is a " .. type(name) .. ", not a string"
  end
  if type(value) ~= "string" and value ~= null then
    return "the header " .. name .. " is a " .. type(value) .. ", not a string or kfast.null"
  end
  header.name, header.name_size = name, #name
  if value == null then
    header.value, header.value_size = nil, 0
  else
    header.value, header.value_size = value, #value
  end
  return nil
end

local function set_headers(array, at, headers)
  if headers[1] ~= nil then
    for i = 1, #headers do
      local pair = headers[i]
      if type(pair) ~= "table" then
        return "header " .. i .. " is a " .. type(pair) .. ", not a table {name, value}"
      end
      local wrong = set_header(array[at + i - 1], pair[1], pair[2])
      if wrong then
        return wrong
      end
    end
    return nil
  end
  for name, value in pairs(headers) do
    local wrong = set_header(array[at], name, value)
    if wrong then
      return wrong
    end
    at = at + 1
  end
  return nil
end

-- Arrays that calls use one after the other: nothing in them is looked at after the call.
local function reused(kind)
  local array, room = nil, 0
  return function(count)
    if count > MOST_KEPT then
      return ffi_new(kind, count)
    end
    if count > room then
      room = MOST_KEPT
      while room / 2 >= count and room > 16 do
        room = room / 2
      end
      array = ffi_new(kind, room)
    end
    return array
  end
end

local header_array = reused("kfast_header_t[?]")
local record_array = reused("kfast_record_t[?]")

--- One record's headers as libkfast reads them, and how many; or nil, 0 and what is wrong.
function _M.headers(headers)
  local count, wrong = header_count(headers)
  if count == nil then
    return nil, 0, wrong
  end
  if count == 0 then
    return nil, 0
  end
  local array = header_array(count)
  wrong = set_headers(array, 0, headers)
  if wrong then
    return nil, 0, wrong
  end
  return array, count
end

-- ---- many -------------------------------------------------------------------------------------

-- Gives the records that have headers theirs: the array that holds them, or nil and what is wrong.
local function add_headers(array, records, count)
  local total = 0
  for i = 1, count do
    local here, wrong = header_count(records[i].headers)
    if not here then
      return nil, "record " .. i .. ": " .. wrong
    end
    total = total + here
  end
  local headers, at = header_array(max(total, 1)), 0
  for i = 1, count do
    local given = records[i].headers
    local here = header_count(given)
    if here > 0 then
      local wrong = set_headers(headers, at, given)
      if wrong then
        return nil, "record " .. i .. ": " .. wrong
      end
      array[i - 1].headers, array[i - 1].header_count = headers + at, here
      at = at + here
    end
  end
  return headers
end

--- The records as libkfast reads them; or nil, what is wrong and the code's name. The channel is
-- open; records[i].topic, or `topic` for those that name none, becomes the channel's number.
function _M.batch(channel, records, count, topic)
  local array, has_headers = record_array(count), false
  local topics = channel.topics
  for i = 1, count do
    local given = records[i]
    local wrong = _M.wrong_record(given)
    if wrong then
      return nil, "record " .. i .. ": " .. wrong, "INVALID"
    end
    local name = given.topic or topic
    local number = name ~= nil and topics[name]
    if not number then
      local why, code
      number, why, code = channel:topic(name)
      if not number then
        return nil, "record " .. i .. ": " .. why, code
      end
    end
    local record = array[i - 1]
    local key, value = given.key, given.value
    record.topic = number
    if key ~= nil then
      record.key, record.key_size = key, #key
    else
      record.key, record.key_size = nil, 0
    end
    if value ~= null then
      record.value, record.value_size = value, #value
    else
      record.value, record.value_size = nil, 0
    end
    record.partition = given.partition or ANY_PARTITION
    record.timestamp_ms = given.timestamp or NOW
    record.headers, record.header_count = nil, 0
    record.opaque = nil
    record.position = -1
    has_headers = has_headers or given.headers ~= nil
  end
  if not has_headers then
    return array
  end
  -- The array of headers is held by the second answer until the call is over.
  local headers, wrong = add_headers(array, records, count)
  if not headers then
    return nil, wrong, "INVALID"
  end
  return array, headers
end

_M.ANY_PARTITION, _M.NOW = ANY_PARTITION, NOW

return _M
