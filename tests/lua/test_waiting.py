"""Waiting for outcomes: right ones, by one bell, while the event loop goes on."""

import concurrent.futures
import json

import pytest

from harness.daemon import Kfastd, config_for
from nginx import wait_until
from snippets import SERVER, http, run

WAIT = """
        location = /wait {
            content_by_lua_block {
                local partition, offset = p:send("TOPIC", ngx.var.arg_key, ngx.var.arg_value,
                                                 {wait = true, timeout_ms = 60000})
                ngx.print(require("cjson").encode({partition, offset}))
            }
        }
        location = /quick { return 200; }
"""


def start(nginx, topic, options="", **more):
    return nginx(SERVER + WAIT.replace("TOPIC", topic), http_block=http(options), **more)


def test_each_of_many_waiters_gets_its_own_place(kafka, nginx):
    topic = kafka.topic("places", partitions=4)
    server = start(nginx, topic)

    def ask(number):
        connection = server.connection()
        answers = {}
        for n in range(number * 100, number * 100 + 100):
            connection.request("GET", f"/wait?key={n}&value={n}")
            answers[b"%d" % n] = tuple(json.loads(connection.getresponse().read()))
        connection.close()
        return answers

    placed = {}
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        for answers in threads.map(ask, range(16)):
            placed.update(answers)
    records = kafka.witness.read(topic)
    assert len(records) == 1600
    assert placed == {record.value: (record.partition, record.offset) for record in records}


@pytest.mark.parametrize("options", ["", "{ring_bytes = '64k', report_bytes = '4k'}"])
def test_waiters_and_others_share_a_producer(kafka, nginx, options):
    topic, other = kafka.topic("shared"), kafka.topic("unwatched")
    server = start(nginx, topic, options)
    placed = run(
        server,
        f"""
        local placed, refused = {{}}, 0
        local function waits(n)
            for i = 1, 20 do
                local partition, offset = p:send("{topic}", nil, tostring(n), {{wait = true}})
                placed[#placed + 1] = offset or partition or "none"
            end
        end
        local threads = {{}}
        for n = 1, 10 do threads[n] = ngx.thread.spawn(waits, n) end
        for n = 1, 10 do
            for i = 1, 500 do
                if not p:send("{other}", nil, "not waited for") then refused = refused + 1 end
            end
            ngx.sleep(0.001)
        end
        for n = 1, 10 do assert(ngx.thread.wait(threads[n])) end
        assert(p:flush())
        local stats = p:stats()
        return placed, refused, stats.delivered, stats.waiting""",
    )
    places, refused, delivered, waiting = placed
    accepted = [place for place in places if isinstance(place, int)]
    assert sorted(accepted) == list(range(len(accepted)))
    assert kafka.witness.count(topic) == len(accepted)
    assert kafka.witness.count(other) == 5000 - refused
    assert (delivered, waiting) == (len(accepted) + 5000 - refused, 0)
    if not options:
        assert (len(accepted), refused) == (200, 0)


def test_kafkas_error_is_the_answer(kafka, nginx):
    small = kafka.topic("small", configs={"max.message.bytes": 1000})
    server = start(nginx, small)
    code = f'return p:send("{small}", nil, require("resty.random").bytes(5000), {{wait = true}})'
    nothing, why, name = run(server, code.replace('require("resty.random").bytes(5000)', "noise()").replace(
        "return", "local function noise() local t = {} for i = 1, 5000 do t[i] = string.char(math.random(0, 255)) end return table.concat(t) end return"))
    assert (nothing, name) == (None, "FAILED")
    assert why.startswith("failed: MSG_SIZE_TOO_LARGE: ") and "never will be" in why


def test_a_topic_that_does_not_exist_is_kafkas_error(kafka):
    properties = {"topic.metadata.propagation.max.ms": 500}
    from nginx import Nginx

    with Kfastd(config_for(kafka.bootstrap, properties)) as daemon:
        environment = {"KFAST_SOCKET_DIR": str(daemon.socket_dir)}
        with Nginx(SERVER, http(), "env KFAST_SOCKET_DIR;", environment=environment) as server:
            nothing, why, code = run(server, 'return p:send("there-is-none", nil, "v", {wait = true})')
    assert (nothing, code) == (None, "FAILED")
    assert "_UNKNOWN_TOPIC" in why or "UNKNOWN_TOPIC_OR_PART" in why


def test_the_time_is_over_while_the_broker_is_away_and_others_are_served(kafka, nginx, paused):
    topic = kafka.topic("late")
    server = start(nginx, topic)
    assert run(server, f'return p:send("{topic}", nil, "0", {{wait = true}})') == [0, 0]
    paused()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        waits = threads.submit(server.text, "/wait?value=waits")
        for _ in range(20):
            assert server.get("/quick").status == 200
        nothing, why, code = run(
            server, f'return p:send("{topic}", nil, "late", {{wait = true, timeout_ms = 50}})'
        )
        assert (nothing, code) == (None, "TIMED_OUT")
        assert "no outcome within 50 ms; the record stays in the ring" in why
        nothing, why, code = run(server, "return p:flush(50)")
        assert (nothing, code) == (None, "TIMED_OUT") and "within 50 ms" in why
        nothing, why, code = run(server, "return p:flush(0)")
        assert (nothing, code) == (None, "TIMED_OUT") and "no outcome yet" in why
        kafka.resume(1)
        assert run(server, "return p:flush(60000)") == [True]
        assert json.loads(waits.result()) == [0, 1]
    assert [record.value for record in kafka.witness.read(topic)] == [b"0", b"waits", b"late"]


def test_a_client_that_goes_away_while_it_waits_leaves_nothing(kafka, nginx, paused):
    topic = kafka.topic("gone")
    server = start(nginx, topic)
    run(server, f'return p:send("{topic}", nil, "first", {{wait = true}})')
    paused()
    for n in range(5):
        connection = server.connection()
        connection.request("GET", f"/wait?value={n}")
        wait_until(lambda: run(server, "return p:stats().waiting") == [n + 1], "the request waits")
        connection.close()
    kafka.resume(1)
    assert run(server, "return p:flush(60000)") == [True]
    wait_until(lambda: run(server, "return p:stats().waiting") == [0], "nobody waits")
    assert kafka.witness.count(topic) == 6


def test_a_flush_is_for_what_was_sent_before_it(kafka, nginx):
    topic = kafka.topic("flush")
    server = start(nginx, topic)
    got = run(
        server,
        f"""
        local over = false
        local sender = ngx.thread.spawn(function()
            local sent = 0
            while not over do
                for i = 1, 10 do assert(p:send("{topic}", nil, "v")) sent = sent + 1 end
                ngx.sleep(0.001)
            end
            return sent
        end)
        for i = 1, 20 do assert(p:flush(60000)) end
        over = true
        local ok, sent = ngx.thread.wait(sender)
        return sent, p:flush(60000), kfast.new_producer({{ring_bytes = "64k"}}):flush()""",
    )
    sent, flushed, unused = got
    assert (flushed, unused) == (True, True)
    assert kafka.witness.count(topic) == sent


@pytest.mark.parametrize("mode", ["errors", "none"])
def test_without_all_reports_nobody_waits_but_a_flush_does(kafka, nginx, mode):
    topic = kafka.topic(mode)
    server = start(nginx, topic, f'{{reports = "{mode}"}}')
    nothing, why, code = run(server, f'return p:send("{topic}", nil, "v", {{wait = true}})')
    assert (nothing, code) == (None, "INVALID")
    assert f'needs a producer with reports = "all": this one has "{mode}"' in why
    assert run(server, f'return p:send("{topic}", nil, "v")')[0] >= 0
    assert run(server, "return p:flush()") == [True]
    assert kafka.witness.count(topic) == 1


def test_no_timer_is_left_to_wait_with(kafka, nginx):
    topic = kafka.topic("timers")
    server = nginx(
        SERVER,
        http_block='lua_max_pending_timers 1; init_worker_by_lua_block { kfast = require "resty.kfast" ngx.timer.at(3600, function() end) }',
    )
    nothing, why, code = run(
        server, f'return kfast.new_producer():send("{topic}", nil, "v", {{wait = true}})'
    )
    assert (nothing, code) == (None, "LIMIT")
    assert "too many pending timers" in why and "lua_max_pending_timers" in why
    # What does not wait needs no timer.
    assert run(server, f'return kfast.new_producer():send("{topic}", nil, "v")')[0] >= 0
    assert len(kafka.witness.read(topic, count=1)) == 1


def test_a_bell_that_nginx_found_no_room_to_run_is_made_anew(kafka, nginx):
    topic = kafka.topic("dropped-timer")
    server = nginx(
        SERVER,
        http_block='lua_max_running_timers 1; init_worker_by_lua_block { kfast = require "resty.kfast" }',
    )
    server.allow("lua_max_running_timers are not enough")
    send = f'return kfast.new_producer():send("{topic}", nil, "v", {{wait = true, timeout_ms = 200}})'
    run(server, "ngx.timer.at(0, function() while not kfast.over do ngx.sleep(0.01) end end)")
    assert run(server, send)[2] == "TIMED_OUT"
    run(server, "kfast.over = true")
    # What was dropped, nobody is told.
    wait_until(lambda: isinstance(run(server, send)[0], int), "a wait succeeds")


def test_a_worker_ends_though_the_timer_that_lets_the_bell_go_was_dropped(kafka, nginx):
    topic = kafka.topic("dropped-sentinel")
    server = nginx(SERVER, http_block=http() + "lua_max_running_timers 2;")
    server.allow("lua_max_running_timers are not enough")
    assert run(server, f'return p:send("{topic}", nil, "v", {{wait = true}})') == [0, 0]
    run(server, "ngx.timer.at(0, function() while not ngx.worker.exiting() do ngx.sleep(0.05) end ngx.sleep(0.2) end)")
    server.reload()


def test_who_waits_holds_its_producer(kafka, nginx, paused):
    topic = kafka.topic("held")
    server = nginx(SERVER, http_block='init_worker_by_lua_block { kfast = require "resty.kfast" }')
    send = f'return kfast.new_producer():send("{topic}", nil, "v", {{wait = true, timeout_ms = 60000}})'
    assert run(server, send) == [0, 0]
    paused()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        waits = threads.submit(run, server, send)
        wait_until(lambda: run(server, "return kfast.new_producer():stats().waiting") == [1], "one waits")
        run(server, "collectgarbage() kfast.new_producer():close()")
        kafka.resume(1)
        assert waits.result() == [0, 1]


def test_a_wait_inside_a_c_function_throws_as_nginx_does_and_leaves_nothing(kafka, nginx):
    topic = kafka.topic("inside-c")
    server = start(nginx, topic)
    thrown, why = run(
        server,
        f"""
        return pcall(string.gsub, "a", "a", function()
            return tostring(p:send("{topic}", nil, "inside", {{wait = true}}))
        end)""",
    )
    assert thrown is False and "attempt to yield across C-call boundary" in why
    assert run(server, f'return p:send("{topic}", nil, "after", {{wait = true}})') == [0, 1]
    wait_until(lambda: run(server, "return p:stats().waiting") == [0], "nobody waits")
    assert [record.value for record in kafka.witness.read(topic)] == [b"inside", b"after"]
