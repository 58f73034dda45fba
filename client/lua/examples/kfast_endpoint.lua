--- Requests become records: POST /topics/NAME, with the value as its body and the key in the header
-- Kafka-Key. Answers 202 at once, or with ?wait=1 200 with partition and offset after Kafka has it.
local cjson = require "cjson"
local kfast = require "resty.kfast"

local _M = {}

-- What the client is told for which of resty.kfast's codes; 500 for others.
local STATUS = {
  TOPIC_NAME = 400, INVALID = 400, TOO_MANY_HEADERS = 400,
  PERMISSION = 403, TOPIC_NOT_ALLOWED = 403,
  TOO_LARGE = 413,
  QUEUE_FULL = 503, NO_DAEMON = 503, LIMIT = 503, TOO_MANY_TOPICS = 503,
  FAILED = 502,                    -- Kafka does not take it
  TIMED_OUT = 504, UNKNOWN = 504,  -- it may be in Kafka, or come there
}

local producer

local function answer(status, body)
  ngx.status = status
  ngx.header.content_type = "application/json"
  if status == 503 then
    ngx.header.retry_after = "1"
  end
  ngx.say(cjson.encode(body))
end

--- Opens the worker's producer; in init_worker_by_lua. `options` as for resty.kfast, or nil.
function _M.start(options)
  local why, code
  producer, why, code = kfast.new_producer(options)
  if not producer then
    error("kfast_endpoint: " .. why, 2)
  end
  if code then
    ngx.log(ngx.WARN, "kfast_endpoint: no records for now: ", why)
  end
end

--- Answers a request; in content_by_lua. The body is read from memory: let client_body_buffer_size
-- be client_max_body_size.
function _M.handle(topic)
  if ngx.req.get_method() ~= "POST" then
    ngx.header.allow = "POST"
    return answer(405, {error = "POST a record's value"})
  end
  ngx.req.read_body()
  local value = ngx.req.get_body_data()
  if not value then
    if ngx.req.get_body_file() then
      return answer(500, {error = "the body is in a file: raise client_body_buffer_size"})
    end
    value = ""
  end
  local key = ngx.var.http_kafka_key
  if ngx.var.arg_wait ~= "1" then
    local ok, why, code = producer:send(topic, key, value)
    if ok then
      return answer(202, {accepted = true})
    end
    return answer(STATUS[code] or 500, {error = why, code = code})
  end
  local partition, offset, code = producer:send(topic, key, value, {wait = true})
  if partition then
    return answer(200, {topic = topic, partition = partition, offset = offset})
  end
  return answer(STATUS[code] or 500, {error = offset, code = code})
end

return _M
