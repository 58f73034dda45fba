-- Who waits in a channel: for a record's outcome, for all outcomes until a record, or for the channel
-- to be open. A part of the channel (channel.lua), which takes these functions as its own.
local C = require "resty.kfast.library"
local codes = require "resty.kfast.codes"
local bell = require "resty.kfast.bell"
local semaphore = require "ngx.semaphore"

local next, select = next, select
local get_phase = ngx.get_phase
local DELIVERED = codes.DELIVERED

local Waiting = {}

-- Waiters that are kept for the next ones.
local MOST_SPARE = 256

local YIELDABLE = {
  rewrite = true, access = true, content = true, timer = true, server_rewrite = true,
  preread = true, ssl_client_hello = true, ssl_cert = true, ssl_session_fetch = true,
}

--- Whether the present phase may wait, and the bell is there to end it: true, or nil, why not and
-- INVALID. To be asked before a record is sent.
function Waiting:may_wait()
  local phase = get_phase()
  if not YIELDABLE[phase] then
    return nil, "the phase " .. phase .. " of nginx cannot wait: send without waiting, or wait in " ..
      "a timer (ngx.timer.at)", "INVALID"
  end
  local ok, why = bell.ensure(self)
  if not ok then
    return nil, why, "LIMIT"
  end
  return true
end

-- After a wait in a worker that is told to end nothing may hold it up.
local function rest(self)
  if ngx.worker.exiting() and self.waiting == 0 and self.flushing == 0 then
    bell.let_go(self)
  end
end

--- Waits for the outcome of the record at `position`, which was just sent: partition and offset; or
-- nil, why and the code's name. `user`, here and below: the producer. It is held meanwhile, or the
-- garbage collector may take it for gone, and another producer's close() would end the channel.
function Waiting:wait(position, timeout_ms, user)
  local spare = self.spare
  local waiter = spare[#spare]
  if waiter then
    spare[#spare] = nil
  else
    waiter = {sema = semaphore.new(0)}
  end
  waiter.outcome, waiter.why, waiter.user = nil, nil, user
  self.waiters[position] = waiter
  self.waiting = self.waiting + 1
  -- What happened before this is seen here; what comes after it, kfastd rings for.
  if not self.armed then
    self:read_reports()
  end
  local ok, trouble = waiter.sema:wait(timeout_ms / 1000)
  rest(self)
  if not ok and not waiter.outcome and not waiter.why then
    if self.waiters[position] == waiter then
      self.waiters[position] = nil
      self.waiting = self.waiting - 1
    end
    if trouble ~= "timeout" then
      return nil, "cannot wait: " .. tostring(trouble), "INVALID"
    end
    return nil, ("no outcome within %d ms; the record stays in the ring and is still delivered")
      :format(timeout_ms), "TIMED_OUT"
  end
  waiter.user = nil
  if ok and #spare < MOST_SPARE then
    spare[#spare + 1] = waiter
  end
  if waiter.why then
    return nil, waiter.why, waiter.code
  end
  if waiter.outcome == DELIVERED then
    return waiter.partition, waiter.offset
  end
  return nil, codes.outcome(waiter.outcome, waiter.error)
end

-- Waits until there are outcomes until `position`, or, where it is nil, until the channel is open:
-- true; nil, why it will not come and the code's name; or nil, when the time is over.
function Waiting:stand_by(position, timeout_ms, user)
  local flusher = {position = position, sema = semaphore.new(0), user = user}
  self.flushers[flusher] = true
  self.flushing = self.flushing + 1
  local ok = flusher.sema:wait(timeout_ms / 1000)
  if not ok and self.flushers[flusher] then
    self.flushers[flusher] = nil
    self.flushing = self.flushing - 1
  end
  rest(self)
  if flusher.done then
    return true
  end
  return nil, flusher.why, flusher.code
end

--- open() that waits for kfastd's answer where it has been asked.
function Waiting:wait_open(timeout_ms, user)
  local ok, why, code = self:open()
  if ok or not self.under_way then
    return ok, why, code
  end
  local may, not_here, name = self:may_wait()
  if not may then
    return nil, not_here, name
  end
  local opened, failed, failure = self:stand_by(nil, timeout_ms, user)
  if opened then
    return self:open()  -- it may have been closed again meanwhile
  end
  return nil, failed or why, failure or code
end

--- Waits until everything sent so far has its outcome: true; or nil, why not and the code's name.
function Waiting:flush(timeout_ms, user)
  if self.closed then
    return self:open()
  end
  if self.lost then
    local why = self.lost
    self.lost = nil
    return nil, why .. "; what became of the records before is not known", "CLOSED"
  end
  if not self.last then
    return true
  end
  local position = self.last
  local code = C.kfast_flush_to(self.handle, position, 0)
  if code == 0 then
    return true
  end
  if code ~= codes.TIMED_OUT then
    return self:refused(code)
  end
  if timeout_ms == 0 then
    return self:refused(code)
  end
  local ok, why, name = self:may_wait()
  if not ok then
    return nil, why, name
  end
  self.armed = true  -- kfast_flush_to has asked for a ring
  ok, why, name = self:stand_by(position, timeout_ms, user)
  if ok then
    return true
  end
  if why then
    return nil, why, name
  end
  return nil, ("not everything has its outcome within %d ms; the records stay in the ring and " ..
    "are still delivered"):format(timeout_ms), "TIMED_OUT"
end

-- ---- being told ------------------------------------------------------------------------------

-- Tells those who wait for the channel to be open that it is, or why it is not.
function Waiting:tell_openers(why, code)
  for flusher in next, self.flushers do
    if not flusher.position then
      self.flushers[flusher] = nil
      self.flushing = self.flushing - 1
      flusher.done, flusher.why, flusher.code = why == nil, why, code
      flusher.sema:post(1)
    end
  end
end

-- Tells everybody who waits that no outcome will come.
function Waiting:tell_all(why, code)
  for _, waiter in next, self.waiters do
    waiter.why, waiter.code = why, code
    waiter.sema:post(1)
  end
  for flusher in next, self.flushers do
    flusher.why, flusher.code = why, code
    flusher.sema:post(1)
  end
  self.waiters, self.waiting = {}, 0
  self.flushers, self.flushing = {}, 0
end

--- The bell rang: looks for what is waited for, if anything is.
function Waiting:rung()
  self.armed = false
  if not self.handle or (self.waiting == 0 and self.flushing == 0) then
    return
  end
  if not self:read_reports() then
    return
  end
  for flusher in next, self.flushers do
    local code = flusher.position and C.kfast_flush_to(self.handle, flusher.position, 0)
    if code and code ~= codes.TIMED_OUT then
      self.flushers[flusher] = nil
      self.flushing = self.flushing - 1
      flusher.done = code == 0
      if code ~= 0 then
        flusher.why, flusher.code = select(2, self:refused(code))
      end
      flusher.sema:post(1)
      if not self.handle then
        return
      end
    end
  end
end

-- A request that nginx ends while it waits never comes back to say so. Then nobody is in its
-- semaphore's queue, and what it waited for has not come.
local function is_abandoned(waiter)
  return waiter.sema:count() >= 0
end

--- Whether anybody waits. Not to be asked by one who is about to.
function Waiting:is_waited_for()
  for position, waiter in next, self.waiters do
    if is_abandoned(waiter) then
      self.waiters[position] = nil
      self.waiting = self.waiting - 1
    end
  end
  for flusher in next, self.flushers do
    if is_abandoned(flusher) then
      self.flushers[flusher] = nil
      self.flushing = self.flushing - 1
    end
  end
  return self.waiting > 0 or self.flushing > 0
end

return Waiting
