-- The bell of a channel: one connection to kfastd, read by one light thread in one timer, which
-- tells the channel when to look for reports. docs/design.md says why, in "nginx".
local semaphore = require "ngx.semaphore"

local _M = {}

-- A bell that nobody keeps ends when nobody has waited for so long, seconds.
local LINGER = 1
-- A timer's memory comes free when it ends, so a long-lived one is made anew, seconds.
local MADE_ANEW_AFTER = 3600
-- nginx drops a timer that it finds no room to run (lua_max_running_timers, worker_connections), and
-- tells the error log only. A bell that does not run so soon is made anew, seconds.
local RUNS_WITHIN = 1
-- So the one that lets bells go may be dropped, too: a bell looks itself, seconds.
local LOOK_AFTER = 10
-- Between two tries to connect, seconds.
local FIRST_DELAY, LONGEST_DELAY = 0.002, 1
-- For what has no end: 24 days, in milliseconds, the longest that a cosocket takes.
local NO_TIMEOUT = 0x7fffffff
-- When the sentinel runs if nginx does not end before, seconds.
local FAR_FUTURE = 0x7fffffff / 1000

local bells = {}        -- those that are there: a set
local sentinel = false  -- the timer that lets them go is there

-- One connection, from its first byte to its end. True if it was bound.
local function listen(channel, bell, hello, path)
  local socket = ngx.socket.tcp()
  socket:settimeouts(1000, 1000, NO_TIMEOUT)
  bell.socket = socket
  if not socket:connect("unix:" .. path) or not socket:send(hello) then
    return false
  end
  local bytes = socket:receiveany(4096)
  local bound = bytes ~= nil
  while bytes do
    bell.used = true
    channel:rung()
    bytes = socket:receiveany(4096)
  end
  socket:close()
  -- Whatever it was to ring for, the next one finds when it is bound.
  channel.armed = false
  return bound
end

local function read(channel, bell)
  local delay = 0
  while not channel.closed do
    local hello, path = channel:bell_hello()
    if hello and listen(channel, bell, hello, path) then
      delay = 0
    end
    delay = math.min(delay == 0 and FIRST_DELAY or delay * 2, LONGEST_DELAY)
    ngx.sleep(delay)
  end
end

local function read_or_say(channel, bell)
  local ok, trouble = pcall(read, channel, bell)
  if not ok then
    ngx.log(ngx.ERR, "kfast: the bell broke: ", trouble)
    bell.broken = true
    bell.stop:post(1)
  end
end

local function let_go()
  for bell in pairs(bells) do
    bell.kept = false
    bell.stop:post(1)
  end
end

-- Lets a worker end that is told to: pending timers run early then. What is posted at that moment
-- nginx would not see before the next event, and there may be none, so a timer posts it.
local function watch_for_exit(premature)
  sentinel = false
  if not premature then
    return _M.guard()
  end
  local ok = ngx.timer.at(0, let_go)
  if not ok then
    let_go()
  end
end

local function run(_, channel, bell)
  if channel.bell ~= bell then
    return  -- it was given up
  end
  bell.runs = true
  local reader = ngx.thread.spawn(read_or_say, channel, bell)
  local began = ngx.now()
  repeat
    bell.used = false
    local told = bell.stop:wait(bell.kept and LOOK_AFTER or LINGER)
    bell.kept = bell.kept and not ngx.worker.exiting()
    local unused = told or not bell.used or ngx.worker.exiting()
    local over = not bell.kept and unused and not channel:is_waited_for()
  until over or bell.broken or channel.closed or math.abs(ngx.now() - began) >= MADE_ANEW_AFTER
  ngx.thread.kill(reader)
  if bell.socket then
    bell.socket:close()
  end
  channel.armed = false
  bells[bell], channel.bell = nil, nil
  if not channel.closed and (bell.kept or channel:is_waited_for()) then
    _M.ensure(channel, bell.kept)
  end
end

-- Sees to it that bells do not hold up a worker that is told to end.
function _M.guard()
  if not sentinel then
    local ok, why = ngx.timer.at(FAR_FUTURE, watch_for_exit)
    sentinel = ok
    if not ok then
      ngx.log(ngx.WARN, "kfast: no timer to watch for nginx's end, so no bell is kept: ", why)
    end
  end
  return sentinel
end

--- Makes sure that the channel is rung for: true, or nil and why not. `keep`: for the worker's
-- life; else until nobody has waited for a while.
function _M.ensure(channel, keep)
  local former = channel.bell
  -- nginx's time is the wall clock's, which may be set.
  if former and (former.runs or math.abs(ngx.now() - former.made) < RUNS_WITHIN) then
    return true
  end
  if former then
    bells[former], channel.bell = nil, nil
    keep = keep or former.kept
  end
  local bell = {stop = semaphore.new(0), used = true, runs = false, made = ngx.now()}
  local ok, why = ngx.timer.at(0, run, channel, bell)
  if not ok then
    return nil, "no timer to wait with (" .. tostring(why) .. "): raise lua_max_pending_timers"
  end
  bells[bell], channel.bell = true, bell
  bell.kept = keep and not ngx.worker.exiting() and _M.guard() and true or false
  return true
end

--- Ends the channel's bell as soon as nobody waits.
function _M.let_go(channel)
  local bell = channel.bell
  if bell then
    bell.kept = false
    bell.stop:post(1)
  end
end

return _M
