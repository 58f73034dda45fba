--- resty.kfast in the call shape of lua-resty-kafka-fast.
local kfast = require "resty.kfast"

local _M = {_VERSION = kfast._VERSION, null = kfast.null}

--- A producer for `brokers`, which names a profile of kfastd.toml: kfastd owns the connections, and
-- brokers that it has no profile for are an error. `conf` are resty.kfast's options. Or nil, why
-- and the code's name.
function _M.new_producer(brokers, conf)
  if brokers ~= nil and (type(brokers) ~= "string" or brokers:find("[:,]")) then
    return nil, "brokers are named by a profile of kfastd.toml, not by their addresses: put these " ..
      "into [clusters] there, and give the profile's name", "INVALID"
  end
  if conf ~= nil and type(conf) ~= "table" then
    return nil, "the configuration is a " .. type(conf) .. ", not a table", "INVALID"
  end
  local options = {profile = brokers}
  for name, value in pairs(conf or {}) do
    if name == "profile" and brokers ~= nil and value ~= brokers then
      return nil, "the brokers name the profile " .. brokers .. ", the configuration " ..
        tostring(value), "INVALID"
    end
    options[name] = value
  end
  local producer, why, code = kfast.new_producer(options)
  if producer and code == "UNKNOWN_PROFILE" then
    producer:close()
    return nil, why, code
  end
  return producer, why, code
end

return _M
