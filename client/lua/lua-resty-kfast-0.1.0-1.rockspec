rockspec_format = "3.0"
package = "lua-resty-kfast"
version = "0.1.0-1"
source = {
  url = "git+file://.",  -- of this repository: `luarocks make` takes the files that lie beside it
}
description = {
  summary = "nginx and OpenResty produce to Kafka through shared memory, and never block",
  detailed = "Needs libkfast and a running kfastd on the same host, and nginx with ngx_lua and lua-resty-core.",
  license = "Apache-2.0",
}
dependencies = {
  "lua >= 5.1, < 5.2",
}
build = {
  type = "builtin",
  modules = {
    ["resty.kafka.fast"] = "resty/kafka/fast.lua",
    ["resty.kfast"] = "resty/kfast.lua",
    ["resty.kfast.bell"] = "resty/kfast/bell.lua",
    ["resty.kfast.channel"] = "resty/kfast/channel.lua",
    ["resty.kfast.codes"] = "resty/kfast/codes.lua",
    ["resty.kfast.library"] = "resty/kfast/library.lua",
    ["resty.kfast.options"] = "resty/kfast/options.lua",
    ["resty.kfast.record"] = "resty/kfast/record.lua",
    ["resty.kfast.waiting"] = "resty/kfast/waiting.lua",
  },
}
