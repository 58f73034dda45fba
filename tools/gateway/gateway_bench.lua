-- What tools/bench-nginx runs inside nginx: clocks around single calls, a watch over the event loop, and counts.
local ffi = require "ffi"
local cjson = require "cjson"

local _M = {}

ffi.cdef [[
struct gateway_bench_time { long s, ns; };
int gateway_bench_clock(int clock, struct gateway_bench_time *time) __asm__("clock_gettime");
]]
local C = ffi.C
local CLOCK_MONOTONIC = 1
local time = ffi.new("struct gateway_bench_time")

local MOST_SAMPLES = 200000

--- Nanoseconds.
local function clock()
  C.gateway_bench_clock(CLOCK_MONOTONIC, time)
  return tonumber(time.s) * 1e9 + tonumber(time.ns)
end
_M.clock = clock

-- ---- single calls -----------------------------------------------------------------------------

local Samples = {}
Samples.__index = Samples

--- The times of one kind of call. `warm`: calls before the first sample, in which traces are made.
function _M.samples(warm)
  local ns = ffi.new("double[?]", MOST_SAMPLES)
  return setmetatable({ns = ns, count = 0, warm = warm, skipped = 0}, Samples)
end

--- Ends a call that began then. To be called at once after it.
function Samples:add(began)
  local took = clock() - began
  if self.skipped < self.warm then
    self.skipped = self.skipped + 1
  elseif self.count < MOST_SAMPLES then
    self.ns[self.count] = took
    self.count = self.count + 1
  end
end

--- Median, p99 and mean, nanoseconds; and how many there are. Forgets them.
function Samples:take()
  local count, sum, sorted = self.count, 0, {}
  for i = 0, count - 1 do
    sorted[i + 1] = self.ns[i]
    sum = sum + self.ns[i]
  end
  table.sort(sorted)
  self.count, self.skipped = 0, 0
  local function at(share)
    return sorted[math.floor(share * (count - 1)) + 1]
  end
  return {count = count, p50 = at(0.5), p99 = at(0.99), mean = sum / count}
end

-- ---- the compiler -----------------------------------------------------------------------------

--- From now on jit.v writes what the compiler does to the file.
function _M.watch_compiler(file)
  require("jit.v").on(file)
end

--- Whether a call of the function enters compiled code.
function _M.is_compiled(call)
  local header = require("jit.util").funcbc(call, 0)
  local names = require("jit.vmdef").bcnames
  local at = 6 * bit.band(header, 0xff)
  return names:sub(at + 1, at + 6):match("^J") ~= nil
end

-- ---- the event loop ---------------------------------------------------------------------------

local PAUSE_MS = 1
local loop = {rounds = 0, longest = 0, long = 0}

local function watch()
  local before = clock()
  while not ngx.worker.exiting() do
    ngx.sleep(PAUSE_MS / 1000)
    local now = clock()
    local late = (now - before) / 1e6 - PAUSE_MS
    before = now
    loop.rounds = loop.rounds + 1
    loop.longest = math.max(loop.longest, late)
    loop.long = loop.long + (late > 2 and 1 or 0)
  end
end

--- Watches the event loop from now on, in init_worker_by_lua: how late is a timer of a millisecond?
function _M.watch_loop()
  assert(ngx.timer.at(0, watch))
end

-- ---- answers ----------------------------------------------------------------------------------

local function say(object)
  local text = cjson.encode(object)
  ngx.header.content_type = "application/json"
  ngx.header.content_length = #text
  ngx.print(text)
end

--- The longest delay since the last time this was asked, milliseconds, and how many were above 2.
function _M.say_loop()
  local said = loop
  loop = {rounds = 0, longest = 0, long = 0}
  say(said)
end

--- What was timed, by name: samples. What has none is not there.
function _M.say_samples(timed)
  local said = {}
  for name, samples in pairs(timed) do
    said[name] = samples.count > 0 and samples:take() or nil
  end
  say(said)
end

--- Waits until all has its outcome; the producers' counts, summed up.
function _M.say_settled(producers)
  local said = {sent = 0, delivered = 0, failed = 0, unknown = 0, used_bytes = 0, ring_bytes = 0}
  for _, producer in pairs(producers) do
    local ok, why = producer:flush(120000)
    if not ok then
      said.why = why
    end
    local stats = producer:stats()
    for name, value in pairs(said) do
      if type(value) == "number" then
        said[name] = value + stats[name]
      end
    end
  end
  say(said)
end

--- This worker's memory in Lua, bytes, and its timers.
function _M.say_worker()
  collectgarbage()
  collectgarbage()
  say {
    lua_bytes = collectgarbage("count") * 1024,
    timers = ngx.timer.pending_count() + ngx.timer.running_count(),
  }
end

_M.say = say

return _M
