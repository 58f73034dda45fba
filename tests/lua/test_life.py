"""Reloads, deaths and absences: nothing is lost, blocked or left behind."""

import collections
import concurrent.futures
import os
import signal
import threading

import pytest

from harness.holdings import holdings
from harness.kfastctl import stat, wait_stat
from harness.wall_clock import WallClock
from nginx import wait_until
from snippets import BELL_DIES, SERVER, http, run

SEND = """
        location = /send {
            content_by_lua_block { ngx.say(p:send("TOPIC", nil, ngx.var.arg_value) and "sent" or "refused") }
        }
        location = /wait {
            content_by_lua_block {
                ngx.say(p:send("TOPIC", nil, ngx.var.arg_value, {wait = true, timeout_ms = 60000})
                        and "delivered" or "not")
            }
        }
        location = /late {
            content_by_lua_block {
                -- Timers are run early when the worker is told to end; what such a one posts itself
                -- may not be seen before the next event.
                local told = require("ngx.semaphore").new(0)
                local function post() told:post(1) end
                ngx.timer.at(3600, function() ngx.timer.at(0, post) end)
                assert(told:wait(60))
                ngx.say(p:send("TOPIC", nil, ngx.var.arg_value, {wait = true}) and "delivered" or "not")
            }
        }
"""


def start(nginx, topic, options="", **more):
    server = nginx(SERVER + SEND.replace("TOPIC", topic), http_block=http(options), **more)
    server.allow(BELL_DIES)
    return server


class Load:
    """Clients that send numbered records one after the other and keep what they were told.

    Connections are not kept alive: what nginx closes at a reload is no failure of ours.
    """

    def __init__(self, server, paths, clients=4):
        self._server, self._paths = server, paths
        self._over = threading.Event()
        self.answers = collections.Counter()
        self.accepted = set()
        self.failures = []
        self._answered = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, args=(client,)) for client in range(clients)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_answers(self, count):
        with self._answered:
            enough = self._answered.wait_for(lambda: sum(self.answers.values()) >= count, 60)
        assert enough, f"not {count} answers: {self.answers}"

    def _run(self, client):
        number = 0
        while not self._over.is_set():
            path = self._paths[number % len(self._paths)]
            value = f"{client}.{number}"
            number += 1
            try:
                answer = self._server.get(f"{path}?value={value}")
                said = answer.text.strip() if answer.status == 200 else str(answer)
            except OSError as error:
                said = repr(error)
            with self._answered:
                self._answered.notify_all()
                self.answers[said] += 1
                if said in ("sent", "delivered"):
                    self.accepted.add(value.encode())
                elif said not in ("refused", "not"):
                    self.failures.append(said)


def delivered(kafka, topic, load):
    """Waits until every accepted record is in Kafka; the values read."""

    def all_there():
        nonlocal values
        values = [record.value for record in kafka.witness.read(topic)]
        return load.accepted <= set(values)

    values = []
    wait_until(all_there, "every accepted record in Kafka")
    return values


# nginx


def test_reloads_under_load_lose_and_block_nothing(kafka, kfastd, nginx):
    topic = kafka.topic("reload", partitions=3)
    server = start(nginx, topic, workers=2)
    with Load(server, ("/send", "/wait")) as load:
        for _ in range(5):
            load.wait_answers(sum(load.answers.values()) + 100)
            server.reload()
        load.wait_answers(sum(load.answers.values()) + 100)
    assert set(load.answers) == {"sent", "delivered"}, load.answers
    values = delivered(kafka, topic, load)
    assert sorted(values) == sorted(load.accepted)
    wait_stat(
        kfastd.socket_dir,
        lambda stats: stats.value("kfast_sessions") == 2 and stats.value("kfast_channels") == 2,
        "a session and a channel for each of the two workers",
    )


def test_many_reloads_leave_nothing_behind(kafka, kfastd, nginx):
    topic = kafka.topic("reloads")
    server = start(nginx, topic)

    def reload(times):
        for _ in range(times):
            server.reload()
            assert server.get("/wait?value=v").text == "delivered\n"
        wait_stat(
            kfastd.socket_dir,
            lambda stats: stats.value("kfast_sessions") == 1 and stats.value("kfast_channels") == 1,
            "one session, one channel",
        )

    def held():
        return holdings(kfastd.pid), holdings(server.workers()[0]), holdings(server.pid)

    reload(3)
    before = held()
    # By hand, thousands: KFAST_RELOADS=2000.
    reload(int(os.environ.get("KFAST_RELOADS", "25")))
    wait_until(lambda: held() == before, "what was held before the reloads", 10)


def test_a_worker_that_is_killed_has_its_records_delivered(kafka, nginx, paused):
    topic = kafka.topic("killed")
    server = start(nginx, topic)
    paused()
    for n in range(100):
        assert server.get(f"/send?value={n}").text == "sent\n"
    server.kill_worker()
    server.allow(r"worker process \d+ exited on signal 9")
    kafka.resume(1)
    assert server.get("/wait?value=after").text == "delivered\n"
    values = [record.value for record in kafka.witness.read(topic, count=101)]
    assert sorted(values) == sorted([b"%d" % n for n in range(100)] + [b"after"])


def test_requests_that_wait_are_finished_by_a_worker_that_is_told_to_end(kafka, nginx, paused):
    topic = kafka.topic("graceful")
    server = start(nginx, topic)
    assert server.get("/wait?value=0").text == "delivered\n"
    paused()
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        waits = threads.submit(server.text, "/wait?value=1")
        late = threads.submit(server.text, "/late?value=2")
        wait_until(lambda: run(server, "return p:stats().waiting")[0] >= 1, "a request waits")
        server.reload(wait=False)
        server.wait_log("gracefully shutting down")
        kafka.resume(1)
        assert waits.result() == "delivered\n"
        assert late.result() == "delivered\n"
    server.wait_log("exited with code 0")
    assert kafka.witness.count(topic) == 3


def test_worker_shutdown_timeout_ends_what_waits(kafka, nginx, paused):
    topic = kafka.topic("cut")
    server = start(nginx, topic, main="worker_shutdown_timeout 1;")
    assert server.get("/wait?value=0").text == "delivered\n"
    paused()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        waits = threads.submit(server.get, "/wait?value=1")
        wait_until(lambda: run(server, "return p:stats().waiting")[0] == 1, "a request waits")
        server.reload()
        assert waits.exception() is not None
    kafka.resume(1)
    # What was accepted is delivered all the same.
    assert len(kafka.witness.read(topic, count=2)) == 2


# The broker


def test_the_broker_is_killed_under_load_and_nobody_waits_who_did_not_ask_to(kafka, nginx):
    topic = kafka.topic("broker9", partitions=3)
    server = start(nginx, topic, workers=2)
    with Load(server, ("/send",)) as load:
        load.wait_answers(200)
        kafka.kill(1)
        try:
            load.wait_answers(sum(load.answers.values()) + 500)
        finally:
            kafka.start(1)
        load.wait_answers(sum(load.answers.values()) + 100)
    assert set(load.answers) == {"sent"}, load.answers
    assert set(delivered(kafka, topic, load)) == load.accepted
    assert server.get("/wait?value=after").text == "delivered\n"


# kfastd


def test_kfastd_is_killed_under_load_and_nobody_notices(kafka, kfastd, nginx):
    topic = kafka.topic("kill9", partitions=3)
    server = start(nginx, topic, workers=2)
    with Load(server, ("/send", "/wait")) as load:
        for _ in range(3):
            load.wait_answers(sum(load.answers.values()) + 100)
            kfastd.kill()
            assert server.get("/send?value=while+it+is+away").text == "sent\n"
            kfastd.start()
        load.wait_answers(sum(load.answers.values()) + 100)
    assert not load.failures and set(load.answers) == {"sent", "delivered"}, load.answers
    values = delivered(kafka, topic, load)
    assert set(values) - {b"while+it+is+away"} == load.accepted


def test_an_idle_worker_comes_back_to_a_kfastd_that_was_killed(kafka, kfastd, nginx, paused):
    topic = kafka.topic("idle")
    server = start(nginx, topic)
    assert server.get("/wait?value=0").text == "delivered\n"
    paused()
    assert server.get("/send?value=1").text == "sent\n"
    mark = kfastd.mark()
    kfastd.kill()
    kfastd.start()
    # Nobody calls the library: the bell's end does.
    kfastd.wait_log("channel taken back", since=mark)
    kafka.resume(1)
    values = {record.value for record in kafka.witness.read(topic, count=2)}
    assert values == {b"0", b"1"}


def test_kfastd_is_absent_at_start_and_comes(kafka, kfastd, nginx):
    topic = kafka.topic("absent")
    kfastd.terminate()
    assert kfastd.wait() == 0
    server = start(nginx, topic)
    nothing, why, code = run(server, f'return p:send("{topic}", nil, "v")')
    assert (nothing, code) == (None, "NO_DAEMON")
    assert "kfastd does not answer on" in why and "systemctl start kfastd" in why
    for path in ("/send", "/wait"):
        assert server.get(f"{path}?value=v").text in ("refused\n", "not\n")
    nothing, why, code = run(server, f'return p:send_multi{{{{topic = "{topic}", value = "v"}}}}')
    assert (nothing, code) == (None, "NO_DAEMON")
    (stats,) = run(server, "return p:stats()")
    assert stats["open"] is False and "kfastd does not answer" in stats["why"]
    kfastd.start()
    # Its bell opens it, without a request.
    kfastd.wait_log("channel opened .*program=nginx")
    assert server.get("/wait?value=after").text == "delivered\n"
    assert [record.value for record in kafka.witness.read(topic)] == [b"after"]


def test_a_worker_opens_again_though_the_clock_was_set_back_while_kfastd_was_absent(
    kafka, kfastd, nginx
):
    topic, clock = kafka.topic("lua-clock"), WallClock()
    kfastd.kill()
    variables = "".join(f"env {name};\n" for name in clock.environment)
    server = start(nginx, topic, main=variables, more_environment=clock.environment)
    assert server.get("/send?value=0").text == "refused\n"
    clock.set(-24)
    kfastd.start()
    wait_until(lambda: server.get("/send?value=1").text == "sent\n", "a send")


def test_a_producer_of_a_request_recovers_by_its_sends(kafka, kfastd, nginx):
    topic = kafka.topic("recovers")
    kfastd.kill()
    server = nginx(SERVER, http_block='init_worker_by_lua_block { kfast = require "resty.kfast" }')
    send = f'return kfast.new_producer():send("{topic}", nil, "v", {{wait = true}})'
    nothing, why, code = run(server, send)
    assert (nothing, code) == (None, "NO_DAEMON")
    kfastd.start()
    wait_until(lambda: run(server, send) == [0, 0], "a send succeeds")


def test_a_kfastd_that_hangs_holds_no_worker_up(kafka, kfastd, nginx):
    topic = kafka.topic("hangs")
    kfastd.pause()
    server = start(nginx, topic)
    for _ in range(20):
        assert server.get("/send?value=v").text == "refused\n"
    nothing, why, code = run(server, f'return p:send("{topic}", nil, "v")')
    assert (nothing, code) == (None, "NO_DAEMON") and "has not answered yet" in why
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        # Who waits, waits for kfastd's answer, too.
        waits = threads.submit(server.text, "/wait?value=v")
        wait_until(lambda: run(server, "return p:stats().waiting") == [1], "a request waits")
        nothing, why, code = run(
            server, f'return p:send("{topic}", nil, "v", {{wait = true, timeout_ms = 20}})'
        )
        assert (nothing, code) == (None, "NO_DAEMON") and "has not answered yet" in why
        kfastd.signal(signal.SIGCONT)
        assert waits.result() == "delivered\n"
    wait_until(lambda: server.get("/send?value=v").text == "sent\n", "a send succeeds")
    # An open channel takes records whatever kfastd does.
    kfastd.pause()
    for _ in range(20):
        assert server.get("/send?value=v").text == "sent\n"
    kfastd.signal(signal.SIGCONT)
    assert run(server, "return p:flush(60000)") == [True]


def test_waiters_and_flushes_outlive_kfastd(kafka, kfastd, nginx, paused):
    topic = kafka.topic("outlive")
    server = start(nginx, topic)
    assert server.get("/wait?value=0").text == "delivered\n"
    paused()
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        waits = [threads.submit(server.text, f"/wait?value={n}") for n in (1, 2, 3)]
        wait_until(lambda: run(server, "return p:stats().waiting") == [3], "three requests wait")
        flush = threads.submit(run, server, "return p:flush(60000)")
        wait_until(lambda: run(server, "return p:stats().waiting") == [4], "and a flush")
        kfastd.kill()
        kfastd.start()
        kafka.resume(1)
        assert [each.result() for each in waits] == ["delivered\n"] * 3
        assert flush.result() == [True]


def test_a_channel_that_kfastd_ends_is_opened_anew(kafka, kfastd, nginx):
    topic = kafka.topic("ended")
    server = start(nginx, topic)
    assert server.get("/wait?value=0").text == "delivered\n"
    (worker,) = server.workers()
    # The worker breaks a rule of the shared memory: kfastd ends the session for good.
    (code,) = run(
        server,
        """
        local ffi = require "ffi"
        local maps = io.open("/proc/self/maps"):read("*a")
        local at = maps:match("(%x+)-%x+ rw%-s [^\\n]*memfd:kfast%-c2d")
        ffi.cast("uint64_t*", tonumber(at, 16))[0] = 7
        -- Rings for it, and sends nothing that would put it right.
        ffi.cdef "int kfast_purge(kfast_producer_t* producer);"
        return require("resty.kfast.library").kfast_purge(p.channel.handle)
        """,
    )
    assert code == 0
    kfastd.wait_log("session ended: its shared memory broke the rules")
    wait_until(lambda: run(server, "return p.channel.lost") != [None], "the worker hears of it")
    nothing, why, code = run(server, "return p:flush()")
    assert (nothing, code) == (None, "CLOSED") and "what became of the records before" in why
    wait_until(lambda: server.get("/wait?value=1").text == "delivered\n", "a send succeeds")
    assert run(server, "return p:flush()") == [True]
    assert server.workers() == [worker]


def test_the_ring_is_full_and_says_so_at_once(kafka, nginx, paused):
    topic = kafka.topic("full")
    server = start(nginx, topic, "{ring_bytes = '64k'}")
    assert server.get("/wait?value=0").text == "delivered\n"
    paused()
    sent, why, code, again = run(
        server,
        f"""
        local sent, value = 0, ("x"):rep(1000)
        while true do
            local ok, why, code = p:send("{topic}", nil, value)
            if not ok then
                return sent, why, code, {{p:send_multi{{{{topic = "{topic}", value = value}}}}}}
            end
            sent = sent + 1
        end""",
    )
    assert code == "QUEUE_FULL" and "the ring is full" in why
    # In the words of Lua.
    assert "raise ring_bytes" in why and "kfast_send_record" not in why
    assert again[1:] == [why, "QUEUE_FULL"] or again[2] == "QUEUE_FULL"
    kafka.resume(1)
    assert run(server, "return p:flush(60000)") == [True]
    assert server.get("/wait?value=after").text == "delivered\n"
    assert kafka.witness.count(topic) == sent + 2


def test_reports_that_nobody_reads_keep_no_record_out(kafka, nginx):
    topic = kafka.topic("unread")
    # Room for the reports of 64 records, of which nobody waits for any.
    server = start(nginx, topic, "{ring_bytes = '64k', report_bytes = '4k'}")
    (sent,) = run(
        server,
        f"""
        local sent = 0
        while sent < 20000 do
            if p:send("{topic}", nil, "v") then sent = sent + 1 else ngx.sleep(0.001) end
        end
        return sent""",
    )
    assert run(server, "return p:flush(60000)") == [True]
    assert kafka.witness.count(topic) == sent
    (stats,) = run(server, "return p:stats()")
    assert stats["delivered"] == sent


def test_a_channel_that_ends_while_its_ring_is_full_is_an_error_and_no_crash(kafka, kfastd, nginx, paused):
    topic = kafka.topic("full-ended")
    server = start(nginx, topic, "{ring_bytes = '64k'}")
    assert server.get("/wait?value=0").text == "delivered\n"
    (worker,) = server.workers()
    paused()
    (code,) = run(
        server,
        f"""
        local ffi = require "ffi"
        local value = ("x"):rep(1000)
        while p:send("{topic}", nil, value) do end
        local maps = io.open("/proc/self/maps"):read("*a")
        local at = maps:match("(%x+)-%x+ rw%-s [^\\n]*memfd:kfast%-c2d")
        ffi.cast("uint64_t*", tonumber(at, 16))[0] = 7
        ffi.cdef "int kfast_purge(kfast_producer_t* producer);"
        require("resty.kfast.library").kfast_purge(p.channel.handle)
        -- In one turn of the event loop, so that it is a send that hears of it.
        local why, code
        repeat
            ngx.update_time()
            why, code = select(2, p:send("{topic}", nil, value))
        until code ~= "QUEUE_FULL"
        return code""",
    )
    assert code == "CLOSED"
    kafka.resume(1)
    wait_until(lambda: server.get("/wait?value=1").text == "delivered\n", "a send succeeds")
    assert server.workers() == [worker]
    server.allow("kfast: .* records were not delivered")
