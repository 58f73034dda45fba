"""Nothing grows: handles that are dropped, requests by the thousand, a VM for each request."""

import pytest

from harness.holdings import holdings, resident_bytes
from harness.kfastctl import wait_stat
from nginx import wait_until
from snippets import SERVER, http, run


def one_channel(kfastd, count=1):
    wait_stat(
        kfastd.socket_dir,
        lambda stats: stats.value("kfast_sessions") == count
        and stats.value("kfast_channels") == count,
        f"{count} sessions and channels",
    )


def test_dropped_producers_cost_nothing(kafka, kfastd, nginx):
    topic = kafka.topic("dropped")
    server = nginx(SERVER, http_block=http("{reports = 'none'}"))
    drop = f"""
        for i = 1, 50000 do
            kfast.new_producer({{reports = "none"}}):send("{topic}", nil, "v")
        end
        p:flush()
        collectgarbage() collectgarbage()
        return collectgarbage("count")"""
    run(server, drop)
    before = run(server, drop)[0]
    after = [run(server, drop)[0] for _ in range(6)][-1]
    # Kilobytes of Lua; 300,000 producers of a pointer each would be 2,400.
    assert after - before < 500
    one_channel(kfastd)


def test_handles_of_many_options_are_closed_when_they_are_dropped(kafka, kfastd, nginx):
    server = nginx(SERVER, http_block=http("{ring_bytes = '64k'}"))
    (opened,) = run(
        server,
        """
        local opened = 0
        for i = 1, 300 do
            if kfast.new_producer({ring_bytes = "64k", topics = i}) then opened = opened + 1 end
        end
        return opened""",
    )
    assert opened == 300
    (most,) = run(server, "return kfast.max_clients")
    wait_stat(
        kfastd.socket_dir,
        lambda stats: stats.value("kfast_channels") <= most,
        "no more channels than max_clients",
    )


def test_requests_leave_the_worker_as_it_was(kafka, kfastd, nginx):
    topic = kafka.topic("flat")
    log = f'log_by_lua_block {{ p:send("{topic}", nil, ngx.var.request_uri) }}'
    wait = f'content_by_lua_block {{ ngx.say(p:send("{topic}", nil, "v", {{wait = true}})) }}'
    server = nginx(
        SERVER + f"location = /log {{ return 204; {log} }} location = /wait {{ {wait} {log} }}",
        http_block=http(),
    )
    (worker,) = server.workers()
    connection = server.connection()

    def ask(times):
        for n in range(times):
            connection.request("GET", "/wait" if n % 20 == 0 else "/log")
            assert connection.getresponse().read() is not None
        return run(server, "p:flush() collectgarbage() collectgarbage() return collectgarbage('count')")[0]

    ask(2000)
    before, held = ask(2000), holdings(worker)
    resident = resident_bytes(worker)
    after = [ask(2000) for _ in range(3)][-1]
    connection.close()
    assert after - before < 200  # kilobytes
    assert resident_bytes(worker) - resident < 4 << 20
    wait_until(lambda: holdings(worker) == held, "the descriptors, threads and segments of before")
    one_channel(kfastd)


@pytest.mark.parametrize("wait", ["", ", {wait = true}"])
def test_without_the_code_cache_each_request_gives_everything_back(kafka, kfastd, nginx, wait):
    topic = kafka.topic("uncached")
    code = f'local p = require("resty.kfast").new_producer({{ring_bytes = "64k"}}) \
ngx.say(p:send("{topic}", nil, "v"{wait}))'
    server = nginx(
        f"location = /send {{ content_by_lua_block {{ {code} }} }}", http_block="lua_code_cache off;"
    )
    server.allow("lua_code_cache is off")
    (worker,) = server.workers()
    assert server.text("/send")
    one_channel(kfastd, 0)
    held = holdings(worker)
    said = [server.text("/send") for _ in range(100)]
    one_channel(kfastd, 0)
    wait_until(lambda: holdings(worker) == held, "the descriptors, threads and segments of before")
    # kfastd may be slow to answer; who waits, waits for that, too.
    refused = [text for text in said if "nil" in text]
    assert all("has not answered yet" in text for text in refused) and not (wait and refused)
    assert len(refused) < 50
    kafka.witness.read(topic, count=101 - len(refused))


def test_without_the_code_cache_the_producer_of_init_worker_is_kept(kafka, kfastd, nginx):
    topic = kafka.topic("half-cached")
    early = f"""
        lua_code_cache off;
        init_worker_by_lua_block {{
            local p = require("resty.kfast").new_producer()
            local function send()
                p:send("{topic}", nil, "v", {{wait = true}})
                ngx.timer.at(0.01, function(premature) if not premature then send() end end)
            end
            ngx.timer.at(0, send)
        }}"""
    server = nginx("location = /x { content_by_lua_block { ngx.say(1) } }", http_block=early)
    server.allow("lua_code_cache is off")
    for _ in range(50):
        server.text("/x")
    kafka.witness.read(topic, count=10)
    one_channel(kfastd, 1)
