-- What libkfast's numbers are called.
local ffi = require "ffi"
local C = require "resty.kfast.library"

local ffi_string = ffi.string

local _M = {
  TIMED_OUT = -4,
  QUEUE_FULL = -2,
  FORKED = -5,
  CLOSED = -18,
  DELIVERED = 1,
  FAILED = 2,
}

local NAMES = {
  [-1] = "INVALID", [-2] = "QUEUE_FULL", [-3] = "TOO_LARGE", [-4] = "TIMED_OUT", [-5] = "FORKED",
  [-6] = "NO_DAEMON", [-7] = "PERMISSION", [-8] = "UNKNOWN_PROFILE", [-9] = "UNKNOWN_OPTION",
  [-10] = "TOPIC_NAME", [-11] = "TOPIC_NOT_ALLOWED", [-12] = "TOO_MANY_TOPICS",
  [-13] = "TOO_MANY_HEADERS", [-14] = "LIMIT", [-15] = "VERSION", [-16] = "PROTOCOL",
  [-17] = "NO_MEMORY", [-18] = "CLOSED",
}

--- The name of a negative code, as "QUEUE_FULL".
function _M.name(code)
  return NAMES[code] or tostring(code)
end

-- libkfast speaks to who calls it from C.
local IN_LUA = {
  {"send again later, wait with kfast_send_record's time%-out, or", "send again later, or"},
  {"read the reports with kfast_reports, send again", "send again"},
  {"ring%.bytes", "ring_bytes"},
  {"report%.bytes", "report_bytes"},
}

local said, in_lua = "", ""  -- what was asked for last

--- What libkfast last said of the handle, in the words of this library.
function _M.last_error(handle)
  local text = ffi_string(C.kfast_last_error(handle))
  -- While the ring is full each send is told the same, and gsub takes microseconds.
  if text ~= said then
    said, in_lua = text, text
    for i = 1, #IN_LUA do
      in_lua = in_lua:gsub(IN_LUA[i][1], IN_LUA[i][2])
    end
  end
  return in_lua
end

--- A record that is not delivered: what to tell, and FAILED or UNKNOWN. `topic` may be nil.
function _M.outcome(outcome, kafka_error, topic)
  local name = ffi_string(C.kfast_kafka_error(kafka_error))
  local where = topic and " (topic " .. topic .. ")" or ""
  if outcome == _M.FAILED then
    return "failed: " .. name .. where .. ": the record is not in Kafka and never will be", "FAILED"
  end
  return "unknown: " .. name .. where .. ": the record may be in Kafka", "UNKNOWN"
end

return _M
