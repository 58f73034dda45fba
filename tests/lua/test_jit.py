"""A send is compiled by LuaJIT, in a loop and once per request, stays so, and allocates nothing."""

import re

import pytest

from snippets import SERVER, http, run

# More than the compiler needs, which lets a function be called a hundred times before it looks at it.
REQUESTS = 1000
# Whether a call of the function enters compiled code: the head of its bytecode says so.
COMPILED = """
    local function is_compiled(call)
        local head = require("jit.util").funcbc(call, 0)
        local at = 6 * bit.band(head, 0xff)
        return require("jit.vmdef").bcnames:sub(at + 1, at + 6):find("^J") ~= nil
    end
    return is_compiled(p.send), is_compiled(p.flush)
"""

# What the trace compiler says of a loop of sends when it is new, and then when it is warm.
TRACED = """
    local many = {topic = "TOPIC"}
    for i = 1, 10 do many[i] = {key = "key", value = "value"} end
    local placed = {partition = 0, timestamp = 1709164800000}
    local v = require "jit.v"
    local function traced(work)
        local name = os.tmpname()
        v.on(name)
        work()
        v.off()
        local file = io.open(name)
        local said = file:read("*a")
        file:close()
        os.remove(name)
        return said
    end
    local function sends()
        for i = 1, 10000 do
            assert(CALL)
        end
    end
    local new = traced(sends)
    assert(p:flush(60000))
    sends()
    assert(p:flush(60000))
    local warm = traced(sends)
    assert(p:flush(60000))
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    sends()
    local allocated = (collectgarbage("count") - before) * 1024
    collectgarbage("restart")
    return new, warm, allocated
"""


CALLS = {
    'p:send("TOPIC", "key", "value")': True,
    'p:send("TOPIC", nil, "value")': True,
    # Loops over options and records are compiled for themselves.
    'p:send("TOPIC", "key", "value", placed)': False,
    "p:send_multi(many)": False,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_send_is_compiled_and_stays_so(kafka, nginx, call):
    topic = kafka.topic("jit")
    server = nginx(SERVER, http_block=http("{ring_bytes = '32m'}"))
    new, warm, allocated = run(server, TRACED.replace("CALL", call).replace("TOPIC", topic))
    compiled = "test" if CALLS[call] else "record.lua"
    assert re.search(rf"TRACE +\d+ {compiled}:\d+ loop", new), new
    for said in (new, warm):
        assert "NYI" not in said and "abort" not in said, said
    assert not re.search("test:.* loop", warm), warm
    # Ten thousand sends; side traces may still be made.
    assert allocated < 10_000


def test_a_send_once_per_request_in_the_log_phase_is_compiled(kafka, nginx):
    topic = kafka.topic("jit-log")
    location = f"""
        location = /logged {{
            return 200;
            log_by_lua_block {{ p:send("{topic}", nil, "value") }}
        }}
"""
    server = nginx(SERVER + location, http_block=http())
    connection = server.connection()
    for _ in range(REQUESTS):
        connection.request("GET", "/logged")
        connection.getresponse().read()
    connection.close()
    # flush was not called yet: a function that nobody calls is not compiled.
    assert run(server, COMPILED) == [True, False]
    assert run(server, "return p:flush(60000), p:stats().delivered") == [True, REQUESTS]
