-- The bell of a worker: one connection to kfastd for all its channels, read by one light thread in one
-- timer, which tells the channels when to look for reports. docs/design.md says why, in "nginx".
local semaphore = require "ngx.semaphore"

local next, concat = next, table.concat
local min, abs = math.min, math.abs

local _M = {}

-- A bell that nobody keeps ends when nobody has waited for so long, seconds.
local LINGER = 1
-- A timer's memory comes free when it ends, so one that lives long, in seconds, or has connected often
-- is made anew.
local MADE_ANEW_AFTER, MOST_CONNECTIONS = 3600, 1000
-- nginx drops a timer that it finds no room to run (lua_max_running_timers, worker_connections), and
-- tells the error log only. A bell that does not run so soon is made anew by the next who waits, seconds.
local RUNS_WITHIN = 1
-- So the one that lets bells go may be dropped, too: a bell looks itself, seconds.
local LOOK_AFTER = 10
-- Between two tries to connect, or to have a channel rung for, seconds: at first, at most, and at most
-- while somebody waits for it. Coming back to a kfastd takes three tries.
local FIRST_DELAY, LONGEST_DELAY, LONGEST_OF_WAITERS = 0.002, 1, 0.05
-- For what has no end: 24 days, in milliseconds, the longest that a cosocket takes, and in seconds.
local NO_TIMEOUT = 0x7fffffff
local FAR_FUTURE = NO_TIMEOUT / 1000

local bells = {}        -- by the socket folder of kfastd: one for each of these that are used
local sentinel = false  -- the timer that lets them go is there
local run               -- what a bell's timer does

-- Lets the one thread that waits in a semaphore run, once, however often it was told.
local function wake(sema)
  if sema:count() < 1 then
    sema:post(1)
  end
end

local function is_wanted(channel)
  return channel.keeps_bell or channel.waiting > 0 or channel.flushing > 0
end

-- Asks the channels that want to be rung for and are not yet what to say: their hellos in one string,
-- the socket's path, or nil where there are none, and whether one cannot be rung for now.
local function hellos(bell)
  local said, path, missing = {}, nil, false
  for channel in next, bell.channels do
    if not bell.bound[channel] and is_wanted(channel) then
      local hello, where = channel:bell_hello()
      if hello then
        said[#said + 1], path = hello, where
        bell.bound[channel] = true
      else
        missing = true
      end
    end
  end
  return concat(said), path, missing
end

-- The next delay behind `delay`.
local function longer(bell, delay)
  local most = LONGEST_DELAY
  for channel in next, bell.channels do
    if not bell.bound[channel] and channel:is_waited_for() then
      most = LONGEST_OF_WAITERS
    end
  end
  return min(delay * 2, most)
end

-- One connection, from its first byte to its end. True if kfastd said anything.
local function listen(bell, said, path)
  bell.connections = bell.connections + 1
  local socket = ngx.socket.tcp()
  socket:settimeouts(1000, 1000, NO_TIMEOUT)
  bell.socket = socket
  if not socket:connect("unix:" .. path) or not socket:send(said) then
    return false
  end
  bell.connected = true
  wake(bell.more)  -- for those who came meanwhile
  local bytes = socket:receiveany(4096)
  local answered = bytes ~= nil
  while bytes do
    bell.used = true
    -- No byte says whose it is, also that which says that a session has ended. A channel in which
    -- nobody waits has nothing to do.
    if bytes:find("-", 1, true) then
      bell.bound = {}
      wake(bell.more)
    end
    for channel in next, bell.channels do
      channel:rung()
    end
    bytes = socket:receiveany(4096)
  end
  bell.connected = false
  socket:close()
  return answered
end

local function read(bell)
  local delay = FIRST_DELAY
  while true do
    local said, path = hellos(bell)
    local answered = path and listen(bell, said, path)
    -- Whatever it was to ring for, the next one finds when it is bound.
    bell.bound = {}
    for channel in next, bell.channels do
      channel.armed = false
    end
    if answered then
      delay = FIRST_DELAY
    end
    if path and not answered then
      ngx.sleep(delay)  -- kfastd has no room for bells, or stops: who waits does not make it try sooner
      delay = min(delay * 2, LONGEST_DELAY)
    elseif bell.again:wait(delay) then
      delay = FIRST_DELAY
    else
      delay = longer(bell, delay)
    end
  end
end

-- Has the connection ring for channels that came after it was made, or were not open then.
local function join(bell)
  local delay
  while true do
    if bell.more:wait(delay or FAR_FUTURE) then
      delay = nil
    end
    local said, path, missing
    if bell.connected then
      said, path, missing = hellos(bell)
    end
    if path then
      bell.socket:send(said)
    end
    delay = missing and longer(bell, delay or FIRST_DELAY / 2) or nil
  end
end

local function or_say(call, bell)
  local ok, trouble = pcall(call, bell)
  if not ok then
    ngx.log(ngx.ERR, "kfast: the bell broke: ", trouble)
    bell.broken = true
    bell.stop:post(1)
  end
end

local function keep_no_longer(bell)
  for channel in next, bell.channels do
    channel.keeps_bell = false
  end
end

local function let_go()
  for _, bell in next, bells do
    keep_no_longer(bell)
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

local function is_kept(bell)
  for channel in next, bell.channels do
    if channel.keeps_bell then
      return true
    end
  end
  return false
end

local function is_waited_for(bell)
  for channel in next, bell.channels do
    if channel:is_waited_for() then
      return true
    end
  end
  return false
end

-- nginx's time is the wall clock's, which may be set.
local function is_there(bell)
  return bell and (bell.runs or abs(ngx.now() - bell.made) < RUNS_WITHIN)
end

-- Makes the bell of a socket folder, in place of one that nginx has dropped: it, or nil and why not.
local function make(place)
  local former = bells[place]
  local bell = {
    place = place,
    channels = {},                -- a set
    bound = {},                   -- those of them that the connection rings for: a set
    connected = false,
    connections = 0,              -- made by now
    used = true, runs = false, made = ngx.now(),
    stop = semaphore.new(0),      -- posted when it may be over
    more = semaphore.new(0),      -- when there is a channel to be rung for
    again = semaphore.new(0),     -- when it is worth to connect now
  }
  local ok, why = ngx.timer.at(0, run, bell)
  if not ok then
    return nil, "no timer to wait with (" .. tostring(why) .. "): raise lua_max_pending_timers"
  end
  for channel in next, former and former.channels or {} do
    bell.channels[channel], channel.bell = true, bell
  end
  bells[place] = bell
  return bell
end

-- Ends a bell. Who still wants one is in its place as if nginx had dropped it, until another is made.
local function hand_over(bell)
  bell.runs, bell.made, bell.bound = false, -math.huge, {}
  for channel in next, bell.channels do
    channel.armed = false
    if not channel.keeps_bell and not channel:is_waited_for() then
      bell.channels[channel], channel.bell = nil, nil
    end
  end
  if next(bell.channels) == nil then
    bells[bell.place] = nil
    return
  end
  local ok, why = make(bell.place)
  if not ok then
    ngx.log(ngx.ERR, "kfast: nobody is rung for until somebody waits again: ", why)
  end
end

function run(_, bell)
  if bells[bell.place] ~= bell then
    return  -- it was given up
  end
  bell.runs = true
  local reader = ngx.thread.spawn(or_say, read, bell)
  local joiner = ngx.thread.spawn(or_say, join, bell)
  local began = ngx.now()
  repeat
    bell.used = false
    local told = bell.stop:wait(is_kept(bell) and LOOK_AFTER or LINGER)
    if ngx.worker.exiting() then
      keep_no_longer(bell)
    end
    local unused = told or not bell.used or ngx.worker.exiting()
    local over = unused and not is_kept(bell) and not is_waited_for(bell)
  until over or bell.broken or bell.connections >= MOST_CONNECTIONS or
    abs(ngx.now() - began) >= MADE_ANEW_AFTER
  ngx.thread.kill(reader)
  ngx.thread.kill(joiner)
  if bell.socket then
    bell.socket:close()
  end
  hand_over(bell)
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

--- Makes sure that the channel is rung for, or will be soon: true, or nil and why not. `keep`: for the
-- worker's life; else until nobody has waited for a while.
function _M.ensure(channel, keep)
  local bell = channel.bell
  if is_there(bell) and bell.bound[channel] and not keep then
    return true
  end
  bell = bells[channel.place]
  if not is_there(bell) then
    local why
    bell, why = make(channel.place)
    if not bell then
      return nil, why
    end
  end
  bell.channels[channel], channel.bell = true, bell
  channel.keeps_bell = channel.keeps_bell or
    (keep and not ngx.worker.exiting() and _M.guard()) and true or false
  if not bell.bound[channel] then
    -- Both, since a connection that looks alive may have ended unread.
    wake(bell.more)
    wake(bell.again)
  end
  return true
end

--- The channel's bell ends as soon as nobody waits, in no channel.
function _M.let_go(channel)
  channel.keeps_bell = false
  if channel.bell then
    channel.bell.stop:post(1)
  end
end

--- The channel is closed.
function _M.leave(channel)
  local bell = channel.bell
  if bell then
    bell.channels[channel], bell.bound[channel], channel.bell = nil, nil, nil
    _M.let_go(channel)
    bell.stop:post(1)
  end
end

return _M
