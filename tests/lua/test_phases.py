"""A record from every phase of nginx; waiting where it can be, and words where it cannot."""

import pytest

from nginx import wait_until
from snippets import SERVER, http, run

# phase -> what goes into a location; @ is a call that sends a record named after the phase.
PHASES = {
    "set": 'set_by_lua_block $x { @ return "" } return 200;',
    "rewrite": "rewrite_by_lua_block { @ } content_by_lua_block { ngx.say(1) }",
    "access": "access_by_lua_block { @ } content_by_lua_block { ngx.say(1) }",
    "content": "content_by_lua_block { @ ngx.say(1) }",
    "header_filter": "header_filter_by_lua_block { @ } return 200;",
    "body_filter": "body_filter_by_lua_block { if ngx.arg[2] then @ end } return 200 body;",
    "log": "log_by_lua_block { @ } return 200;",
    "balancer": "proxy_pass http://balanced/;",
    "timer": "content_by_lua_block { ngx.timer.at(0, function() @ end) ngx.say(1) }",
}
WAITING = {"rewrite", "access", "content", "timer"}
BALANCED = """
    upstream balanced {
        server 0.0.0.1;
        balancer_by_lua_block {
            @
            require("ngx.balancer").set_current_peer("127.0.0.1", tonumber(ngx.var.server_port))
        }
    }
"""
RESULTS = """
    init_by_lua_block {
        results = {}
        function keep(...) results[ngx.get_phase()] = {...} end
    }
"""


def start(nginx, call):
    def sends(text):
        return text.replace("@", call)

    locations = "".join(
        f"location = /{phase} {{ {sends(text)} }}\n" for phase, text in PHASES.items()
    )
    return nginx(SERVER + locations, http_block=RESULTS + http() + sends(BALANCED))


def test_every_phase_sends(kafka, nginx):
    topic = kafka.topic("phases")
    server = start(nginx, f'keep(p:send("{topic}", "key", ngx.get_phase()))')
    for phase in PHASES:
        assert server.get(f"/{phase}").status in (200, 204), phase
    records = kafka.witness.read(topic, count=len(PHASES))
    assert sorted(record.value.decode() for record in records) == sorted(PHASES)


def test_waiting_works_where_it_can_and_says_so_where_it_cannot(kafka, nginx):
    topic = kafka.topic("waits")
    server = start(
        nginx, f'keep(p:send("{topic}", "key", ngx.get_phase(), {{wait = true}}))'
    )
    for phase in PHASES:
        assert server.get(f"/{phase}").status in (200, 204), phase
    wait_until(lambda: run(server, "return results.timer ~= nil") == [True], "the timer has run")
    (results,) = run(server, "return results")
    placed = {record.value.decode(): record.offset for record in kafka.witness.read(topic)}
    assert set(placed) == WAITING
    for phase in PHASES:
        if phase in WAITING:
            assert results[phase] == [0, placed[phase]]
        else:
            nothing, why, code = results[phase]
            assert nothing is None and code == "INVALID"
            assert f"the phase {phase} of nginx cannot wait" in why


def test_a_flush_without_time_only_looks_in_every_phase(kafka, nginx):
    topic = kafka.topic("flushes")
    server = start(nginx, "keep(p:flush(0))")
    run(server, f'return p:send("{topic}", nil, "v", {{wait = true}})')
    for phase in PHASES:
        assert server.get(f"/{phase}").status in (200, 204), phase
    wait_until(lambda: run(server, "return results.timer ~= nil") == [True], "the timer has run")
    (results,) = run(server, "return results")
    assert results == {phase: [True] for phase in PHASES}


def test_a_producer_of_init_by_lua_opens_in_the_worker(kafka, nginx):
    topic = kafka.topic("early")
    early = """
        init_by_lua_block {
            early = require("resty.kfast").new_producer({ring_bytes = "64k"})
            early_sent = {early:send("TOPIC", nil, "from the master")}
        }
    """.replace("TOPIC", topic)
    server = nginx(SERVER, http_block=early)
    (sent,) = run(server, "return early_sent")
    assert sent[1].startswith("nginx's workers do not live yet in init_by_lua")
    assert run(server, f'return early:send("{topic}", nil, "v", {{wait = true}})') == [0, 0]
    server.reload()
    assert run(server, f'return early:send("{topic}", nil, "v", {{wait = true}})') == [0, 1]


@pytest.mark.parametrize("code", ["p", "kfast.new_producer({ring_bytes = '64k'})"])
def test_init_worker_sends(kafka, nginx, code):
    topic = kafka.topic("init-worker")
    early = f'init_worker_by_lua_block {{ kfast = require "resty.kfast" p = kfast.new_producer() \
sent = {{({code}):send("{topic}", nil, "first")}} \
waited = {{p:send("{topic}", nil, "v", {{wait = true}})}} }}'
    server = nginx(SERVER, http_block=early)
    sent, waited = run(server, "return sent, waited")
    assert sent == [0]
    assert "the phase init_worker of nginx cannot wait" in waited[1]
    (record,) = kafka.witness.read(topic, count=1)
    assert record.value == b"first"


def test_one_process_that_is_master_and_worker(kafka, nginx):
    topic = kafka.topic("single")
    server = nginx(SERVER, http_block=http(), main="master_process off;")
    assert run(server, f'return p:send("{topic}", nil, "v", {{wait = true}})') == [0, 0]
    server.quit()
