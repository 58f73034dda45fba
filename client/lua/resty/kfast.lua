--- kfast for nginx and OpenResty: produces to Kafka through shared memory, and never blocks.
--
--     init_worker_by_lua_block { kfast = require("resty.kfast").new_producer() }
--     log_by_lua_block { kfast:send("logs", nil, ngx.var.request_uri) }
--
-- No function throws: what goes wrong is nil, a sentence and a code, which is the name of libkfast's
-- (QUEUE_FULL, NO_DAEMON, TOO_LARGE, INVALID, …), FAILED or UNKNOWN.
local C = require "resty.kfast.library"
local Channel = require "resty.kfast.channel"
local bell = require "resty.kfast.bell"
local options = require "resty.kfast.options"
local record = require "resty.kfast.record"

local tonumber, type, setmetatable, next = tonumber, type, setmetatable, next
local null = ngx.null
local DEFAULT_TIMEOUT_MS = 10000

local _M = {
  _VERSION = "0.1.0",
  --- The value of a tombstone, and of a header without a value.
  null = null,
  --- How many channels one worker may have: producers with equal options share one.
  max_clients = 16,
}

local Producer = {}
local producer_mt = {__index = Producer}
local channels, open_channels = {}, 0  -- by their options

-- ---- sending ----------------------------------------------------------------------------------

local function send_now(channel, number, key, value, opts)
  local key_size, value_size = key and #key or 0, 0
  if value == null then
    value = nil
  else
    value_size = #value
  end
  if not opts or not (opts.headers or opts.partition or opts.timestamp) then
    return tonumber(C.kfast_send(channel.handle, number, key, key_size, value, value_size))
  end
  local headers, count, wrong = record.headers(opts.headers)
  if wrong then
    return nil, wrong
  end
  return tonumber(C.kfast_send_record(channel.handle, number,
    opts.partition or record.ANY_PARTITION, opts.timestamp or record.NOW, key, key_size, value,
    value_size, headers, count, 0))
end

local function accepted(channel, position, count)
  channel.last = position
  channel.sent = channel.sent + count
  if channel.sent >= channel.read_at then
    channel:read_reports()
  end
end

-- Everything but a plain record on an open channel to a topic that was used before.
local function send_with_care(producer, topic, key, value, opts)
  local channel = producer.channel
  local wrong = record.wrong(key, value) or opts ~= nil and record.wrong_options(opts)
  if wrong then
    return nil, wrong, "INVALID"
  end
  local wait = opts and opts.wait
  local timeout_ms = opts and opts.timeout_ms or DEFAULT_TIMEOUT_MS
  local ok, why, code
  if wait then
    ok, why, code = channel:wait_open(timeout_ms, producer)
  else
    ok, why, code = channel:open()
  end
  if not ok then
    return nil, why, code
  end
  local number = topic ~= nil and channel.topics[topic]
  if not number then
    number, why, code = channel:topic(topic)
    if not number then
      return nil, why, code
    end
  end
  if wait then
    if channel.mode ~= "all" then
      return nil, "waiting for a record needs a producer with reports = \"all\": this one has \"" ..
        channel.mode .. "\"", "INVALID"
    end
    ok, why, code = channel:may_wait()
    if not ok then
      return nil, why, code
    end
  end
  local position
  position, wrong = send_now(channel, number, key, value, opts)
  if wrong then
    return nil, wrong, "INVALID"
  end
  if position < 0 and channel:makes_room(position) then
    position = send_now(channel, number, key, value, opts)
  end
  if position < 0 then
    return channel:refused(position)
  end
  if not wait then
    accepted(channel, position, 1)
    return position
  end
  channel.last, channel.sent = position, channel.sent + 1
  return channel:wait(position, timeout_ms, producer)
end

--- Sends a record: copies it into the ring and returns its position, at once and in every phase.
-- `key`: a string, or nil for a null key. `value`: a string, or kfast.null for a tombstone. Both may
-- hold any bytes. `opts` may be nil: headers ({{name, value}, …} or {name = value}), partition,
-- timestamp (milliseconds since 1970), wait (true), timeout_ms (of the wait, 10000).
-- With wait it returns the record's partition and offset, which are -1 where a kfastd that is gone
-- knew them, or nil, why and FAILED, UNKNOWN or TIMED_OUT. The event loop goes on meanwhile; phases
-- that cannot yield cannot wait. Else nil, why and the code's name: nothing was accepted.
function Producer:send(topic, key, value, opts)
  local channel = self.channel
  local number = topic ~= nil and channel.topics[topic]
  if not number or opts ~= nil or type(value) ~= "string" then
    return send_with_care(self, topic, key, value, opts)
  end
  local position
  if key == nil then
    position = tonumber(C.kfast_send(channel.handle, number, nil, 0, value, #value))
  elseif type(key) == "string" then
    position = tonumber(C.kfast_send(channel.handle, number, key, #key, value, #value))
  else
    return send_with_care(self, topic, key, value, opts)
  end
  if position < 0 then
    if not channel:makes_room(position) then
      return channel:refused(position)
    end
    return send_with_care(self, topic, key, value)
  end
  channel.last = position
  local sent = channel.sent + 1
  channel.sent = sent
  if sent >= channel.read_at then
    channel:read_reports()
  end
  return position
end

--- Sends many records by one call of libkfast, in order, without waiting. Each is a table of topic,
-- key, value, headers, partition and timestamp; records.topic is for those that name none. Returns
-- how many were accepted, from the first on, and where that is not all of them why the next one was
-- not, and the code's name. Where it is none, or one is malformed: nil and the same two.
function Producer:send_multi(records)
  if type(records) ~= "table" then
    return nil, "send_multi takes a table of records, not a " .. type(records), "INVALID"
  end
  local count, channel = #records, self.channel
  if count == 0 then
    return 0
  end
  local ok, why, code = channel:open()
  if not ok then
    return nil, why, code
  end
  local batch, headers, name = record.batch(channel, records, count, records.topic)
  if not batch then
    return nil, headers, name
  end
  local done = C.kfast_send_batch(channel.handle, batch, count, 0)
  local refusal = done < 0 and done or 0
  done = done < 0 and 0 or done
  if done < count then
    refusal = tonumber(batch[done].position)
    if channel:makes_room(refusal) then
      local more = C.kfast_send_batch(channel.handle, batch + done, count - done, 0)
      done = done + (more < 0 and 0 or more)
      refusal = done < count and tonumber(batch[done].position) or 0
    end
  end
  if refusal < 0 and done < count then
    ok, why, code = channel:refused(refusal)
  end
  if done > 0 and channel.handle then
    accepted(channel, tonumber(batch[done - 1].position), done)
  end
  if done == count then
    return count
  end
  return done > 0 and done or nil, why, code
end

--- Waits until every record sent so far has its outcome, for at most `timeout_ms` (10000); 0 only
-- looks, in every phase. True; or nil, why not and the code's name.
function Producer:flush(timeout_ms)
  timeout_ms = timeout_ms or DEFAULT_TIMEOUT_MS
  if type(timeout_ms) ~= "number" or not (timeout_ms >= 0 and timeout_ms <= 0x7fffffff) then
    return nil, "timeout_ms is " .. tostring(timeout_ms) .. ", not a number from 0", "INVALID"
  end
  return self.channel:flush(timeout_ms, self)
end

--- Counts of the channel, which producers with equal options share: sent, delivered, failed, unknown
-- (of those whose report is read), waiting, used_bytes and ring_bytes (0 where it is not open), open,
-- why (where it is not), last_failure (a sentence, or nil).
function Producer:stats()
  local channel = self.channel
  if channel.handle then
    channel:read_reports()
  end
  local handle = channel.handle
  return {
    open = handle ~= nil,
    why = not handle and (channel.closed and "the producer is closed" or channel.why) or nil,
    sent = channel.sent,
    delivered = channel.delivered,
    failed = channel.failed,
    unknown = channel.unknown,
    waiting = channel.waiting + channel.flushing,
    used_bytes = handle and tonumber(C.kfast_used_bytes(handle)) or 0,
    ring_bytes = handle and tonumber(C.kfast_ring_bytes(handle)) or 0,
    last_failure = channel.last_failure,
  }
end

-- ---- coming and going -------------------------------------------------------------------------

local function forget(channel)
  channels[channel.key] = nil
  open_channels = open_channels - 1
  channel:close()
end

-- Closes what no producer uses; true if that made room.
local function make_room()
  collectgarbage()
  for _, channel in next, channels do
    if next(channel.users) == nil and not channel:is_waited_for() then
      forget(channel)
    end
  end
  return open_channels < _M.max_clients
end

local function channel_for(given)
  local list, key = options.normalize(given)
  if not list then
    return nil, key, "INVALID"
  end
  local channel = channels[key]
  if channel then
    return channel
  end
  if open_channels >= _M.max_clients and not make_room() then
    return nil, ("this worker has %d kfast channels, one for each set of options: use fewer, close " ..
      "producers, or raise kfast.max_clients"):format(open_channels), "LIMIT"
  end
  local why
  channel, why = Channel.new(list)
  if not channel then
    return nil, why, "INVALID"
  end
  channel.key = key
  channels[key] = channel
  open_channels = open_channels + 1
  return channel
end

--- A producer. `opts` are kfast.h's options with _ for the dot, and may be nil: profile, socket_dir,
-- ring_bytes, report_bytes, topics, reports, program. It is there also while kfastd is not: then the
-- second and third answer say why, its sends fail with that, and it opens when kfastd comes.
-- Producers with equal options share one channel of the worker, so it is cheap to make one where it
-- is needed. In init_worker_by_lua its bell stays for the worker's life, and a kfastd that was
-- restarted is come back to without traffic.
-- Nil, why and the code's name where the options are wrong or there are max_clients already.
function _M.new_producer(opts)
  local channel, why, code = channel_for(opts)
  if not channel then
    return nil, why, code
  end
  local producer = setmetatable({channel = channel}, producer_mt)
  channel.users[producer] = true
  local ok
  ok, why, code = channel:open()
  if ngx.get_phase() == "init_worker" then
    bell.ensure(channel, true)
  end
  if not ok then
    return producer, why, code
  end
  return producer
end

local closed = Channel.closed_one()

--- Closes the producer, and the channel with the last of its producers. What was sent is still
-- delivered; flush first to know. Without it the garbage collector does the same, later.
function Producer:close()
  local channel = self.channel
  if channel == closed then
    return
  end
  self.channel = closed
  channel.users[self] = nil
  if next(channel.users) == nil and channels[channel.key] == channel then
    forget(channel)
  end
end

return _M
