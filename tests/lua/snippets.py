"""Pieces of configuration, and Lua that a test has run in an nginx worker's request."""

import json

from nginx import Nginx

# A producer of the worker's life, and a place that runs the Lua in a request's body and answers
# with what it returns, as JSON.
HTTP = """
    lua_socket_log_errors on;
    init_worker_by_lua_block {
        kfast = require "resty.kfast"
        p = assert(kfast.new_producer(OPTIONS))
    }
"""
SERVER = """
        location = /run {
            client_body_buffer_size 64k;
            content_by_lua_block {
                ngx.req.read_body()
                local run = assert(loadstring(ngx.req.get_body_data(), "=test"))
                local function pack(...) return {n = select("#", ...), ...} end
                local got = pack(run())
                for i = 1, got.n do
                    if got[i] == nil then got[i] = ngx.null end
                end
                got.n = nil
                ngx.print(require("cjson").encode(setmetatable(got, require("cjson").array_mt)))
            }
        }
"""

# What nginx itself says of a bell whose kfastd is killed.
BELL_DIES = r"(connect|send|recv)\(\).* failed \(\d+: .*\), context: ngx\.timer"


def http(options: str = "") -> str:
    """The http block, with the options of the worker's producer in Lua."""
    return HTTP.replace("OPTIONS", options)


def run(nginx: Nginx, code: str, timeout: float = 60) -> list:
    """What the Lua `code` returns in a request of its own; nil is None."""
    answer = nginx.request("POST", "/run", code.encode(), timeout=timeout)
    assert answer.status == 200, f"{code}: {answer}\n{nginx.log_text()[-3000:]}"
    return json.loads(answer.body)
