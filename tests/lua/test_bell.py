"""One bell for a worker: whatever the number of its producers, their options and their ends."""

from harness.holdings import descriptors
from nginx import wait_until
from snippets import BELL_DIES, SERVER, http, run

# Producers of other options, made where the worker's own was.
OTHERS = """
        others = {}
        for n = 1, 8 do
            others[n] = assert(kfast.new_producer({program = "other" .. n, ring_bytes = "64k"}))
        end
"""


def start(nginx, others=OTHERS):
    own = "p = assert(kfast.new_producer())"
    return nginx(SERVER, http_block=http().replace(own, own + others))


def sockets(kfastd, before):
    return (descriptors(kfastd.pid) - before)["unix socket"]


def wait_in_all(topic, records=10):
    """Lua: each producer waits for one record behind the other, all of them side by side."""
    return f"""
        local threads = {{}}
        for n = 0, #others do
            local producer = others[n] or p
            threads[#threads + 1] = ngx.thread.spawn(function()
                for i = 1, {records} do
                    assert(producer:send("{topic}", nil, "v", {{wait = true, timeout_ms = 60000}}))
                end
            end)
        end
        for _, thread in ipairs(threads) do assert(ngx.thread.wait(thread)) end
    """


def test_one_bell_for_a_worker_whatever_the_number_of_producers(kafka, kfastd, nginx):
    topic = kafka.topic("one-bell")
    before = descriptors(kfastd.pid)
    server = start(nginx, "")
    opened = descriptors(kfastd.pid) - before
    # Its session and its bell.
    wait_until(lambda: sockets(kfastd, before) == 2, "one session and one bell")
    run(
        server,
        f"""
        local threads = {{}}
        for n = 1, 50 do
            threads[n] = ngx.thread.spawn(function()
                return assert(kfast.new_producer():send("{topic}", nil, "v", {{wait = true}}))
            end)
        end
        for n = 1, 50 do assert(ngx.thread.wait(threads[n])) end
        """,
    )
    after = descriptors(kfastd.pid) - before
    assert after["unix socket"] == 2 and after["memfd:kfast-c2d"] == 1, (opened, after)


def test_producers_of_all_options_share_the_bell(kafka, kfastd, nginx):
    topic = kafka.topic("all-options")
    before = descriptors(kfastd.pid)
    server = start(nginx)
    run(server, wait_in_all(topic))
    assert kafka.witness.count(topic) == 90
    assert sockets(kfastd, before) == 9 + 1


def test_a_producer_that_comes_later_joins_the_bell(kafka, kfastd, nginx):
    topic = kafka.topic("joins")
    before = descriptors(kfastd.pid)
    server = start(nginx, "others = {}")
    run(server, wait_in_all(topic, 1))
    run(server, OTHERS + wait_in_all(topic))
    assert kafka.witness.count(topic) == 91
    assert sockets(kfastd, before) == 9 + 1


def test_a_producer_that_closes_leaves_the_bell_to_the_others(kafka, kfastd, nginx):
    topic = kafka.topic("closes")
    before = descriptors(kfastd.pid)
    server = start(nginx, "others = {}")
    run(
        server,
        f"""
        local over = false
        local thread = ngx.thread.spawn(function()
            for i = 1, 100 do
                local other = assert(kfast.new_producer({{program = "brief" .. i}}))
                if i % 2 == 0 then
                    assert(other:send("{topic}", nil, "brief", {{wait = true, timeout_ms = 60000}}))
                end
                other:close()
            end
            over = true
        end)
        repeat
            assert(p:send("{topic}", nil, "v", {{wait = true, timeout_ms = 60000}}))
        until over
        assert(ngx.thread.wait(thread))
        """,
    )
    wait_until(lambda: sockets(kfastd, before) == 2, "one session and one bell")
    run(server, wait_in_all(topic, 1))


def test_producers_one_behind_the_other_need_no_kept_bell(kafka, kfastd, nginx):
    topic = kafka.topic("one-by-one")
    server = nginx(SERVER, http_block='init_worker_by_lua_block { kfast = require "resty.kfast" }')
    # So many connections that the bell is made anew on the way. A hello may be sent into the one
    # that ends with the producer before.
    server.allow(BELL_DIES)
    run(
        server,
        f"""
        for i = 1, 1100 do
            local producer = assert(kfast.new_producer({{program = "next" .. i, ring_bytes = "64k"}}))
            assert(producer:send("{topic}", nil, "v", {{wait = true, timeout_ms = 60000}}))
            producer:close()
        end
        """,
    )
    assert kafka.witness.count(topic) == 1100


def test_all_producers_come_back_by_one_bell(kafka, kfastd, nginx):
    topic = kafka.topic("come-back")
    server = start(nginx)
    server.allow(BELL_DIES)
    run(server, wait_in_all(topic, 1))
    held = descriptors(kfastd.pid)["unix socket"]
    for _ in range(3):
        mark = kfastd.mark()
        kfastd.kill()
        kfastd.start()
        # Nobody calls the library: the bell's end does.
        for channel in range(1, 10):
            kfastd.wait_log(f"channel taken back channel={channel} ", since=mark)
        run(server, wait_in_all(topic, 1))
        assert descriptors(kfastd.pid)["unix socket"] == held
    assert kafka.witness.count(topic) == 4 * 9


def test_a_producer_that_cannot_open_holds_up_nobody(kafka, kfastd, nginx):
    topic = kafka.topic("cannot-open")
    before = descriptors(kfastd.pid)
    server = start(nginx, 'others = {} refused = kfast.new_producer({profile = "there-is-none"})')
    run(server, wait_in_all(topic, 20))
    assert kafka.witness.count(topic) == 20
    (_, why, _) = run(server, f'return refused:send("{topic}", nil, "v", {{wait = true}})')
    assert "there-is-none" in why
    assert sockets(kfastd, before) <= 3
