-- One channel to kfastd, which all producers of a worker with equal options share: opening it and
-- coming back, its topics and its reports.
local ffi = require "ffi"
local C = require "resty.kfast.library"
local codes = require "resty.kfast.codes"
local options = require "resty.kfast.options"
local bell = require "resty.kfast.bell"
local waiting = require "resty.kfast.waiting"

local ffi_string, tonumber = ffi.string, tonumber
local now, get_phase = ngx.now, ngx.get_phase
local DELIVERED = codes.DELIVERED

local Channel = {}
local mt = {__index = Channel}
for name, call in pairs(waiting) do
  Channel[name] = call
end

-- How long a worker may stand still for kfastd's answers when it opens a channel: once, and not
-- again before kfastd has answered. Usually it is 2 ms. In init_worker_by_lua nobody waits for it.
local PATIENCE_MS = 50
local EARLY_PATIENCE_MS = 500
-- Between two tries to open, seconds.
local FIRST_DELAY, LONGEST_DELAY = 0.01, 1
-- Failures without a waiter are logged, at most so often, seconds.
local LOG_EVERY = 10
local REPORTS_AT_ONCE = 256

local reports = ffi.new("kfast_report_t[?]", REPORTS_AT_ONCE)
local WHY_BYTES = 512

--- A channel that is not open yet. `list` is of options.normalize(). Or nil and what is wrong.
function Channel.new(list)
  local made, why = options.new(list)
  if not made then
    return nil, why
  end
  local mode, place = "all", ""
  for _, option in ipairs(list) do
    mode = option[1] == "reports" and option[2] or mode
    place = option[1] == "socket.dir" and option[2] or place
  end
  return setmetatable({
    options = made,
    mode = mode,
    place = place,     -- whose bell it uses
    keeps_bell = false,
    users = setmetatable({}, {__mode = "k"}),  -- the producers
    handle = nil,      -- open
    opening = nil,     -- begun
    under_way = false, -- kfastd has been asked and has not answered yet
    patience = PATIENCE_MS,
    delay = 0,
    due = 0,           -- when to try to open again
    why = "not opened yet", why_code = "NO_DAEMON",
    topics = {},       -- name -> number of this handle
    last = nil,        -- the position of the record that was sent last
    lost = nil,        -- why it ended for good with records sent, until a flush has said so
    sent = 0,
    read_at = 1024,    -- reports are read when so many are sent
    full_at = 0,       -- when reports were read because of a full ring
    waiters = {},      -- position -> waiter
    waiting = 0,
    spare = {},
    flushers = {},     -- a set: those who wait for all records until a position, or, without one,
                       -- for the channel to be open
    flushing = 0,
    armed = false,     -- kfastd was asked for a ring that has not come yet
    delivered = 0, failed = 0, unknown = 0,
    last_failure = nil,
    unlogged = 0, logged = 0,
  }, mt)
end

--- What a closed producer has in a channel's place.
function Channel.closed_one()
  return setmetatable({closed = true, topics = {}, users = {}, waiting = 0, flushing = 0, sent = 0,
    delivered = 0, failed = 0, unknown = 0, mode = "all"}, mt)
end

-- ---- opening ----------------------------------------------------------------------------------

function Channel:put_off(code)
  self.why = codes.last_error(self.opening)
  self.why_code = codes.name(code)
  self.under_way = false
  self:tell_openers(self.why, self.why_code)
  self.delay = math.min(self.delay == 0 and FIRST_DELAY or self.delay * 2, LONGEST_DELAY)
  self.due = now() + self.delay
  return nil, self.why, self.why_code
end

function Channel:begin()
  local out, why = ffi.new("kfast_producer_t*[1]"), ffi.new("char[?]", WHY_BYTES)
  local code = C.kfast_producer_begin(self.options, out, why, WHY_BYTES)
  if code ~= 0 then
    self.why, self.why_code = ffi_string(why), codes.name(code)
    self.due = now() + LONGEST_DELAY
    return nil, self.why, self.why_code
  end
  self.opening = ffi.gc(out[0], C.kfast_producer_close)
  return true
end

--- Opens the channel if it is not and a try is due: true, or nil, why not and the code's name.
function Channel:open()
  if self.handle then
    return true
  end
  if self.closed then
    return nil, "the producer is closed", "CLOSED"
  end
  local left = self.due - now()
  -- nginx's time is the wall clock's: more than was ever waited means that it was set back.
  if left > 0 and left <= LONGEST_DELAY then
    return nil, self.why, self.why_code
  end
  if get_phase() == "init" then
    return nil, "nginx's workers do not live yet in init_by_lua: a producer opens when a worker " ..
      "first sends, or in init_worker_by_lua", "INVALID"
  end
  if not self.opening then
    local ok, why, code = self:begin()
    if not ok then
      return nil, why, code
    end
  end
  local patience = self.patience
  if patience > 0 and get_phase() == "init_worker" then
    patience = EARLY_PATIENCE_MS
  end
  local code = C.kfast_producer_ready(self.opening, patience)
  if code == codes.FORKED then
    self.opening, self.under_way = nil, false
    return nil, "nginx has forked: try again", "FORKED"
  end
  if code == codes.TIMED_OUT then
    if self.patience > 0 then
      self.patience = 0
      ngx.update_time()
    end
    -- kfastd has the question. Look again in the event loop's next round.
    self.why = "kfastd has not answered yet: it starts, hangs or is overloaded; see `kfastctl health`"
    self.why_code = "NO_DAEMON"
    self.under_way = true
    self.due = now() + 0.001
    return nil, self.why, self.why_code
  end
  self.patience = PATIENCE_MS
  if code ~= 0 then
    return self:put_off(code)
  end
  self.handle, self.opening, self.under_way = self.opening, nil, false
  self.topics, self.last = {}, nil
  self.delay, self.due, self.armed = 0, 0, false
  self:tell_openers()
  return true
end

local function give_back(handle)
  if handle then
    C.kfast_producer_close(ffi.gc(handle, nil))
  end
end

--- The channel ended for good, by kfastd or because nginx forked: the next use opens another.
function Channel:lose(code)
  self.why = codes.last_error(self.handle)
  self.why_code = codes.name(code)
  local handle = self.handle
  self.lost = self.last and self.why or nil
  self.handle, self.topics, self.last, self.armed = nil, {}, nil, false
  self.delay = FIRST_DELAY
  self.due = now() + FIRST_DELAY
  give_back(handle)
  self:tell_all(self.why .. "; what became of the record is not known", self.why_code)
  return nil, self.why, self.why_code
end

--- Gives everything back. Whoever waits gets an error; what was sent is still delivered.
function Channel:close()
  local handle, opening = self.handle, self.opening
  self.closed, self.handle, self.opening, self.topics = true, nil, nil, {}
  bell.leave(self)
  give_back(handle)
  give_back(opening)
  self:tell_all("the producer was closed while it waited; the record is still delivered", "CLOSED")
end

-- ---- sending ----------------------------------------------------------------------------------

--- The answer for a call of libkfast that gave a negative code.
function Channel:refused(code)
  if not self.handle then
    return nil, self.why, self.why_code  -- lost since, when reports were read
  end
  if code == codes.CLOSED or code == codes.FORKED then
    return self:lose(code)
  end
  return nil, codes.last_error(self.handle), codes.name(code)
end

--- The topic's number; or nil, why not and the code's name. The channel is open.
function Channel:topic(name)
  if type(name) ~= "string" then
    return nil, "the topic is a " .. type(name) .. ", not a string", "INVALID"
  end
  if name:find("\0", 1, true) then
    return nil, "the topic's name has a binary zero in it", "TOPIC_NAME"
  end
  local number = C.kfast_topic(self.handle, name)
  if number < 0 then
    return self:refused(number)
  end
  self.topics[name] = number
  return number
end

--- The name of a topic's number, or nil.
function Channel:topic_name(number)
  local name = self.handle and C.kfast_topic_name(self.handle, number)
  return name ~= nil and name ~= false and ffi_string(name) or nil
end

--- Whether a full ring is worth another try: reports that nobody read may have kept records out.
-- They are read once in a round of the event loop at most.
function Channel:makes_room(code)
  if code ~= codes.QUEUE_FULL or self.full_at == now() then
    return false
  end
  self.full_at = now()
  return self:read_reports()
end

-- ---- reports ----------------------------------------------------------------------------------

function Channel:note_failure(report)
  local text, what = codes.outcome(report.outcome, report.error, self:topic_name(report.topic))
  if what == "FAILED" then
    self.failed = self.failed + 1
  else
    self.unknown = self.unknown + 1
  end
  self.last_failure = text
  self.unlogged = self.unlogged + 1
  if math.abs(now() - self.logged) >= LOG_EVERY then
    ngx.log(ngx.ERR, "kfast: ", self.unlogged, " records were not delivered; the last one ", text)
    self.unlogged, self.logged = 0, now()
  end
end

local function take(self, report)
  local outcome = report.outcome
  if self.waiting > 0 then
    local position = tonumber(report.position)
    local waiter = self.waiters[position]
    if waiter then
      waiter.outcome, waiter.error = outcome, report.error
      waiter.partition, waiter.offset = report.partition, tonumber(report.offset)
      self.waiters[position] = nil
      self.waiting = self.waiting - 1
      if outcome == DELIVERED then
        self.delivered = self.delivered + 1
      elseif outcome == codes.FAILED then
        self.failed = self.failed + 1
      else
        self.unknown = self.unknown + 1
      end
      waiter.sema:post(1)
      return
    end
  end
  if outcome == DELIVERED then
    self.delivered = self.delivered + 1
  else
    self:note_failure(report)
  end
end

--- Reads all reports and gives them to who waits for them; then kfastd will ring at its next
-- progress. False when the channel is lost.
function Channel:read_reports()
  self.read_at = self.sent + 1024
  while true do
    local count = C.kfast_reports(self.handle, reports, REPORTS_AT_ONCE)
    if count < 0 then
      self:lose(count)
      return false
    end
    for i = 0, count - 1 do
      take(self, reports[i])
    end
    if count < REPORTS_AT_ONCE then
      self.armed = true
      return true
    end
  end
end

-- ---- what the bell asks -----------------------------------------------------------------------

local PATH_BYTES = 108
local hello, path = ffi.new("char[?]", 64), ffi.new("char[?]", PATH_BYTES)

--- What to say on which socket to be rung for: two strings; or nil when kfastd is away. Opens the
-- channel, or comes back to kfastd, if that is due.
function Channel:bell_hello()
  if not self:open() then
    return nil
  end
  local size = C.kfast_bell(self.handle, hello, path, PATH_BYTES)
  if size < 0 then
    if size == codes.CLOSED or size == codes.FORKED then
      self:lose(size)
    end
    return nil
  end
  return ffi_string(hello, size), ffi_string(path)
end

return Channel
