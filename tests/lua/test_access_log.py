"""kfast_log.lua counts each request once and makes a line of whatever a client sends."""

import collections
import json
import random
import socket
import urllib.parse

import pytest

from nginx import wait_until

LOG = """
    init_worker_by_lua_block { require("kfast_log").start {OPTIONS} }
    log_by_lua_block { require("kfast_log").write() }
"""
COUNTS = 'location = /log-counts { content_by_lua_block { require("kfast_log").say_counts() } }\n'


def start(nginx, options, server="", **more):
    return nginx(COUNTS + server, http_block=LOG.replace("OPTIONS", options), **more)


def counts(server):
    return json.loads(server.text("/log-counts"))


def lines(kafka, topic, server):
    """The lines that were sent so far, but for those of the counts themselves."""
    return [record.value for record in kafka.witness.read(topic, count=counts(server)["sent"])]


# Bytes

PIECES = [
    *(b"\0", b"\x1f", b"\x7f", b'"', b"\\", b"\r\n", b"/", "é".encode(), "€\u2028".encode(), "😀".encode()),
    *(b"\xed\xa0\x80", b"\xc0\x80", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80"),
    *(b"\xc3", b"\xa9", b"\xff"),
]


def as_text(value: bytes) -> str:
    """What the line has of a value: its text, or, where it is none, its bytes beyond ASCII in hex."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 128 else f"\\x{byte:02X}" for byte in value)


def test_any_bytes_of_a_variable_are_a_text_in_the_json(kafka, nginx):
    topic, dice = kafka.topic("any-bytes"), random.Random(7)
    server = start(
        nginx,
        f'topic = "{topic}", fields = {{"sent", "arg_a-b", "status", "request_time", "none"}}',
        'set $sent ""; location = /v { content_by_lua_block { ngx.var.sent = ngx.unescape_uri(ngx.var.arg_v) } }',
    )
    values = [bytes([byte]) for byte in range(256)]
    values += [b"".join(dice.choices(PIECES, k=dice.randrange(1, 6))) for _ in range(300)]
    connection = server.connection()
    for value in values:
        connection.request("GET", "/v?a-b=odd&v=" + urllib.parse.quote(value, safe=""))
        connection.getresponse().read()
    connection.close()
    read = [json.loads(line) for line in lines(kafka, topic, server)]
    read = [line for line in read if "arg_a-b" in line]
    assert [line["sent"] for line in read] == [as_text(value) for value in values]
    assert all(set(line) == {"sent", "arg_a-b", "status", "request_time"} for line in read)
    assert all(line["status"] == 200 and line["request_time"] >= 0 for line in read)


def test_a_line_that_is_too_large_is_counted_and_the_next_one_is_sent(kafka, nginx):
    topic = kafka.topic("too-large")
    server = start(
        nginx,
        f'topic = "{topic}", fields = {{"sent"}}, when_full = "error_log", producer = {{ring_bytes = "64k"}}',
        'set $sent ""; location = /v { content_by_lua_block { ngx.var.sent = ("\\\\"):rep(tonumber(ngx.var.arg_n)) } }',
    )
    server.allow("kfast_log: not sent")
    for size in (100_000, 10):
        server.get(f"/v?n={size}")
    now = counts(server)
    assert now["dropped"] == 1 and "a quarter of the ring" in now["last_drop"]
    assert json.dumps({"sent": "\\" * 10}, separators=(",", ":")).encode() in lines(kafka, topic, server)


# Requests


def test_each_request_is_one_line_however_it_goes(kafka, nginx):
    topic = kafka.topic("one-line")
    listener = socket.create_server(("127.0.0.1", 0))
    server = start(
        nginx,
        f'topic = "{topic}", fields = {{"request_uri", "status"}}',
        f"""
        location = /hangs {{ proxy_pass http://127.0.0.1:{listener.getsockname()[1]}; }}
        location = /redirected {{ error_page 404 = /other; return 404; }}
        location = /other {{ return 200; }}
        location = /asks {{
            content_by_lua_block {{ ngx.location.capture("/other") ngx.location.capture("/asks/not") }}
        }}
        location = /body {{ content_by_lua_block {{ ngx.req.read_body() ngx.say(#ngx.req.get_body_data()) }} }}
        location = /throws {{ content_by_lua_block {{ error("thrown") }} }}
        """,
    )
    server.allow("thrown|No such file|client sent invalid|prematurely closed")
    for path in ("/redirected", "/asks", "/throws", "/missing"):
        server.get(path)
    server.request("POST", "/body", b"\0" * 10_000)
    raw = socket.create_connection(("127.0.0.1", server.port))
    # Pipelined, and at the end one that is none.
    raw.sendall(b"GET /other?pipelined HTTP/1.1\r\nHost: a\r\n\r\n" * 20 + b"\x16\x03\x01 what\r\n\r\n")
    while raw.recv(65536):
        pass
    raw.close()
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.sendall(b"GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n")
    upstream, _ = listener.accept()
    raw.close()
    wait_until(lambda: any(b"/hangs" in line for line in lines(kafka, topic, server)), "the line of who went away")
    upstream.close()
    listener.close()
    read = [json.loads(line) for line in lines(kafka, topic, server)]
    seen = collections.Counter((line.get("request_uri"), line["status"]) for line in read)
    del seen["/log-counts", 200], seen["/", 204]
    assert seen == {
        ("/redirected", 200): 1,
        ("/asks", 200): 1,
        ("/throws", 500): 1,
        ("/missing", 404): 1,
        ("/body", 200): 1,
        ("/other?pipelined", 200): 20,
        (None, 400): 1,
        ("/hangs", 499): 1,
    }
    assert counts(server)["dropped"] == 0


@pytest.mark.parametrize("sample", [0, 1])
def test_a_sample_of_none_or_all_is_that(kafka, nginx, sample):
    topic = kafka.topic("sampled")
    server = start(nginx, f'topic = "{topic}", fields = {{"uri"}}, sample = {sample}', "location /e { return 503; }")
    server.get("/e")
    before = counts(server)
    for _ in range(19):
        server.get("/")
    after = counts(server)
    # The counts before are a request, too.
    assert after["sent"] - before["sent"] == 20 * sample
    assert after["sampled_out"] - before["sampled_out"] == 20 * (1 - sample)
    # What failed is there in any case.
    assert b'{"uri":"/e"}' in lines(kafka, topic, server)


# Options


def test_a_template_has_variables_as_nginx_writes_them(kafka, nginx):
    topic = kafka.topic("template")
    server = start(nginx, f"topic = '{topic}', template = '$uri|${{status}}0|${{uri|{{$status}}|$none|$5|$'")
    server.get("/missing")
    server.allow("No such file")
    assert b"/missing|4040|${uri|{404}|-|-|$" in lines(kafka, topic, server)


def test_without_a_start_a_request_says_so(nginx):
    server = nginx(COUNTS, http_block='log_by_lua_block { require("kfast_log").write() }')
    server.allow("kfast_log was not started")
    assert server.get("/log-counts").status == 500
    server.wait_log("failed to run log_by_lua.*kfast_log was not started, or start threw")


def test_a_second_start_is_refused(kafka, nginx):
    topic = kafka.topic("once")
    code = f"""
        log_by_lua_block {{ require("kfast_log").write() }}
        init_worker_by_lua_block {{
            local start = require("kfast_log").start
            start {{topic = "{topic}", fields = {{"uri"}}}}
            why = select(2, pcall(start, {{topic = "another"}}))
        }}"""
    server = nginx(COUNTS + "location = /why { content_by_lua_block { ngx.say(why) } }", http_block=code)
    assert "one log for each worker" in server.text("/why")
    assert b'{"uri":"/why"}' in lines(kafka, topic, server)


def test_a_reload_changes_the_fields(kafka, nginx):
    topic = kafka.topic("fields")
    server = start(nginx, f'topic = "{topic}", fields = {{"uri"}}')
    server.configure(COUNTS, LOG.replace("OPTIONS", f'topic = "{topic}", fields = {{"args", "status"}}'))
    server.reload()
    server.get("/?2")
    assert {b'{"uri":"/"}', b'{"args":"2","status":204}'} <= set(lines(kafka, topic, server))
