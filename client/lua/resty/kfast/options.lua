-- A producer's options, as a Lua programmer writes them, for libkfast.
local ffi = require "ffi"
local C = require "resty.kfast.library"

local _M = {}

local WHY_BYTES = 512

-- What the worker of nginx is, nobody chooses.
local NOT_HERE = {
  ["thread.safe"] = "an nginx worker has one thread",
  ["connect.timeout.ms"] = "resty.kfast does not wait for kfastd",
}

--- The options as a list of {name, value} in a fixed order, and one string that is equal for equal
-- options; or nil and what is wrong. `given` is a table or nil; the names of kfast.h are written
-- with _ for the dot.
function _M.normalize(given)
  local list = {}
  if given ~= nil and type(given) ~= "table" then
    return nil, "the options are a " .. type(given) .. ", not a table"
  end
  for name, value in pairs(given or {}) do
    if type(name) ~= "string" then
      return nil, "the options are a table of names and values, as {profile = \"default\"}"
    end
    local dotted = name:gsub("_", ".")
    if NOT_HERE[dotted] then
      return nil, "the option " .. name .. " is not for nginx: " .. NOT_HERE[dotted]
    end
    if type(value) == "number" then
      value = ("%.0f"):format(value)
    end
    if type(value) ~= "string" or value:find("\0", 1, true) or dotted:find("\0", 1, true) then
      return nil, "the option " .. name .. " is not a text or a number: " .. type(value)
    end
    list[#list + 1] = {dotted, value}
  end
  if not (given and given.program) then
    list[#list + 1] = {"program", "nginx"}  -- the process's own name is nginx's whole command line
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local words = {}
  for i, option in ipairs(list) do
    words[i] = option[1] .. "\0" .. option[2]
  end
  return list, table.concat(words, "\0")
end

--- libkfast's options for a list of normalize(), freed with the garbage; or nil and what is wrong.
function _M.new(list)
  local options = C.kfast_options_new()
  if options == nil then
    return nil, "no memory for a producer's options"
  end
  options = ffi.gc(options, C.kfast_options_free)
  local why = ffi.new("char[?]", WHY_BYTES)
  for _, option in ipairs(list) do
    if C.kfast_options_set(options, option[1], option[2], why, WHY_BYTES) ~= 0 then
      return nil, ffi.string(why)
    end
  end
  return options
end

return _M
