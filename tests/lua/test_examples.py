"""The examples of client/lua/examples do what their first lines say."""

import base64
import json

import pytest

from harness.ports import free_ports, release_ports
from nginx import LUA, wait_until

EXAMPLES = LUA / "examples"


class Example:
    """A configuration of the examples, running; its own server is asked."""

    def __init__(self, nginx, name, replace=()):
        (self.port,) = free_ports(1)
        text = (EXAMPLES / name).read_text()
        for old, new in (("127.0.0.1:8080", f"127.0.0.1:{self.port}"), *replace):
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        self.nginx = nginx(http_block=text)

    def ask(self, path, body=None, method="", **headers):
        method = method or ("GET" if body is None else "POST")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.nginx.request(method, path, body, named, port=self.port)

    def json(self, *arguments, **headers):
        answer = self.ask(*arguments, **headers)
        return answer.status, json.loads(answer.body)

    def counts(self):
        return self.json("/log-counts")[1]


@pytest.fixture
def example(nginx):
    """`example(name, replace)` starts a configuration of the examples."""
    started = []

    def start(name, replace=()):
        started.append(Example(nginx, name, replace))
        return started[-1]

    yield start
    release_ports([each.port for each in started])


def test_every_configuration_is_run():
    found = {path.name for path in EXAMPLES.glob("*.conf")}
    assert found == {"access_log.conf", "access_log_line.conf", "endpoint.conf", "edge_filter.conf"}


def test_the_access_log_is_three_lines():
    lines = (EXAMPLES / "access_log.conf").read_text().splitlines()
    assert sum("by_lua_block" in line for line in lines) == 3


# The access log


def test_the_access_log_as_json(kafka, example):
    topic = kafka.topic("access")
    shown = example("access_log.conf", [('"access"', f'"{topic}"')])
    for n in range(10):
        answer = shown.ask(f'/page?n={n}&q="', User_Agent='a "quoted" \\ agent')
        assert (answer.status, answer.text) == (200, "hello\n")
    counts = shown.counts()
    assert (counts["dropped"], counts["sampled_out"]) == (0, 0)
    records = kafka.witness.read(topic, count=counts["sent"])
    assert {record.key for record in records} == {b"127.0.0.1"}
    # Others are nginx's answer to the fixture, and the counts.
    lines = [json.loads(record.value) for record in records]
    lines = [line for line in lines if line["request_uri"].startswith("/page")]
    assert [line["request_uri"] for line in lines] == [f'/page?n={n}&q="' for n in range(10)]
    assert {line["http_user_agent"] for line in lines} == {'a "quoted" \\ agent'}
    assert lines[0]["status"] == 200 and lines[0]["body_bytes_sent"] == 6
    assert "http_referer" not in lines[0]


def test_the_access_log_as_lines_sampled(kafka, example):
    topic = kafka.topic("line")
    shown = example("access_log_line.conf", [('"access"', f'"{topic}"')])
    connection = shown.nginx.connection(port=shown.port)
    for _ in range(500):
        connection.request("GET", "/")
        connection.getresponse().read()
    for _ in range(20):
        connection.request("GET", "/missing")
        connection.getresponse().read()
    connection.close()
    counts = shown.counts()
    assert counts["sent"] + counts["sampled_out"] >= 520 and counts["sampled_out"] > 300
    lines = [record.value.decode() for record in kafka.witness.read(topic, count=counts["sent"])]
    # What failed is there whatever the dice say.
    assert sum(' "GET /missing HTTP/1.1" 404 ' in line for line in lines) == 20
    assert all(line.startswith("127.0.0.1 - - [") for line in lines)


def test_what_finds_no_room_is_counted_and_goes_to_the_error_log(kafka, example, paused):
    topic = kafka.topic("full-log")
    replace = [('"access"', f'"{topic}"'), ("sample = 0.1", "sample = 1")]
    shown = example("access_log_line.conf", replace)
    shown.ask("/before")
    kafka.witness.read(topic, count=1)
    paused()
    shown.nginx.allow("kfast_log: not sent")
    asked = 1
    while shown.counts()["dropped"] == 0:
        for _ in range(50):
            assert shown.ask("/" + "x" * 500).status == 200
            asked += 1
    counts = shown.counts()
    assert "the ring is full" in counts["last_drop"]
    assert "kfast_log: not sent (the ring is full" in shown.nginx.log_text()
    kafka.resume(1)
    # All that was sent, and the counts' own requests, is there; only what was counted is not.
    wait_until(lambda: shown.counts()["sent"] > counts["sent"] + 1, "lines are sent again")
    last = shown.counts()
    assert last["sent"] + last["dropped"] >= asked
    assert len(kafka.witness.read(topic, count=last["sent"])) >= last["sent"]


def test_without_kfastd_the_gateway_serves_and_the_log_comes_by_itself(kafka, kfastd, example):
    topic = kafka.topic("no-kfastd")
    kfastd.kill()
    shown = example("access_log.conf", [('"access"', f'"{topic}"')])
    shown.nginx.allow("kfast_log: no records for now: kfastd does not answer")
    assert shown.ask("/").status == 200
    counts = shown.counts()
    assert counts["dropped"] >= 1 and "kfastd does not answer" in counts["last_drop"]
    kfastd.start()
    wait_until(lambda: shown.ask("/").status == 200 and shown.counts()["sent"] > 0, "a line is sent")
    kafka.witness.read(topic, count=1)


@pytest.mark.parametrize(
    "options, words",
    {
        "{}": "needs the option topic",
        "{topic = 7}": "option topic is a number, not a string",
        "{topic = 'a', colour = 1}": "has no option colour",
        "{topic = 'a', when_full = 'wait'}": '"drop" or "error_log"',
        "{topic = 'a', fields = {}}": "fields is a list of names",
        "{topic = 'a', fields = {host = 'status'}}": "fields is a list of names",
        "{topic = 'a', fields = {'host', 7}}": "fields has 7, which is not a variable's name",
        "{topic = 'a', fields = {'$host'}}": "without its $",
        "{topic = 'a', fields = {'host', 'host'}}": "fields has host twice",
        "{topic = 'a', key = '$host'}": "key is \"$host\"",
        "{topic = 'a', sample = 10}": "sample is 10, not from 0 to 1",
        "{topic = 'a', sample = 0/0}": "not from 0 to 1",
        "{topic = 'a', producer = {ring_bytes = 5}}": "not a power of two",
    }.items(),
)
def test_a_wrong_option_of_the_log_is_named_when_the_worker_starts(nginx, options, words):
    code = f'init_worker_by_lua_block {{ ok, why = pcall(require("kfast_log").start, {options}) }}'
    server = nginx("location = /why { content_by_lua_block { ngx.say(why) } }", http_block=code)
    assert words in server.text("/why")


def test_what_a_client_sends_cannot_forge_a_line_or_break_the_json(kafka, example):
    topic, lines = kafka.topic("bytes"), kafka.topic("forged")
    shown = example("access_log.conf", [('"access"', f'"{topic}"')])
    sent = {"latin": b"\xff\xfe \xe2\xc3\xa9\x82\xac", "surrogate": b"\xed\xa0\x80", "right": "é€😀".encode()}
    for name, agent in sent.items():
        shown.ask(f"/{name}", User_Agent=agent.decode("latin1"))
    read = kafka.witness.read(topic, count=shown.counts()["sent"])
    agents = {line["request_uri"]: line.get("http_user_agent") for line in (json.loads(r.value) for r in read)}
    assert agents["/right"] == "é€😀"
    assert agents["/latin"] == r"\xFF\xFE \xE2\xC3\xA9\x82\xAC"
    assert agents["/surrogate"] == r"\xED\xA0\x80"
    replace = [('"access"', f'"{lines}"'), ("sample = 0.1", "sample = 1")]
    shown = example("access_log_line.conf", replace)
    user = base64.b64encode(b'x [now] "GET / HTTP/1.1" 200 5\n9.9.9.9 - admin:p').decode()
    shown.ask("/forged", Authorization=f"Basic {user}")
    read = kafka.witness.read(lines, count=shown.counts()["sent"])
    (line,) = [record.value.decode() for record in read if b"/forged" in record.value]
    assert r"x [now] \x22GET / HTTP/1.1\x22 200 5\x0A9.9.9.9 - admin" in line and "\n" not in line


# Requests that become records


def test_the_endpoint_answers_at_once_or_with_partition_and_offset(kafka, example):
    topic = kafka.topic("endpoint")
    shown = example("endpoint.conf", [("orders", topic)])
    assert shown.json(f"/topics/{topic}", b"one", Kafka_Key="k") == (202, {"accepted": True})
    status, placed = shown.json(f"/topics/{topic}?wait=1", b"two\0", Kafka_Key="k")
    assert (status, placed) == (200, {"topic": topic, "partition": 0, "offset": 1})
    large = b"x" * 900_000
    assert shown.json(f"/topics/{topic}?wait=1", large)[1]["offset"] == 2
    assert [(r.key, r.value) for r in kafka.witness.read(topic)] == [
        (b"k", b"one"), (b"k", b"two\0"), (None, large),
    ]


def test_the_endpoint_names_what_is_wrong(kafka, kfastd, example):
    topic = kafka.topic("endpoint-errors")
    shown = example("endpoint.conf", [("orders", topic)])
    assert shown.ask(f"/topics/{topic}").status == 405
    assert shown.ask("/topics/made-up", b"v").status == 404
    assert shown.ask(f"/topics/{topic}", b"x" * 1_000_000).status == 413
    status, said = shown.json(f"/topics/{topic}?wait=1", b"v")
    assert (status, said["offset"]) == (200, 0)
    shown.nginx.allow("client intended to send too large body|No such file or directory")


def test_the_endpoint_without_kfastd_is_unavailable_and_says_when_to_try_again(kfastd, example):
    kfastd.kill()
    shown = example("endpoint.conf")
    shown.nginx.allow("kfast_endpoint: no records for now")
    answer = shown.ask("/topics/orders?wait=1", b"v")
    assert answer.status == 503 and answer.headers["Retry-After"] == "1"
    assert json.loads(answer.body)["code"] == "NO_DAEMON"


# The edge filter


def test_the_edge_filter_routes_drops_and_enriches(kafka, example):
    orders, events = kafka.topic("orders"), kafka.topic("events")
    shown = example("edge_filter.conf", [('"orders"', f'"{orders}"'), ('"events"', f'"{events}"')])
    lines = [
        {"type": "order", "id": 7, "large": 1234567890123456789, "none": [], "null": None},
        {"type": "debug", "text": "x"},
        {"type": "view", "page": "/"},
        {"type": "order", "id": "8"},
        {},
        {"type": "order", "id": None},
    ]
    body = "\n".join(json.dumps(line) for line in lines) + '\nno json\n["a"]\n{"x":NaN}\n'
    counts = {"produced": 5, "dropped": 1, "malformed": 3}
    assert shown.json("/events", body.encode()) == (202, counts)
    placed = kafka.witness.read(orders, count=3)
    assert [record.key for record in placed] == [b"7", b"8", None]
    order = json.loads(placed[0].value)
    assert order.pop("client") == "127.0.0.1" and order.pop("received_at") > 1e9
    assert order == lines[0]
    view, empty = [json.loads(record.value) for record in kafka.witness.read(events, count=2)]
    assert view["page"] == "/" and set(empty) == {"client", "received_at"}


def test_the_edge_filter_says_whether_sending_again_helps(kafka, example):
    topic = kafka.topic("filtered")
    shown = example(
        "edge_filter.conf",
        [('"orders"', '"no topic"'), ('"events"', f'"{topic}"'), ("900k", "3m")],
    )
    order, large = b'{"type":"order","id":1}', b'{"type":"' + b"x" * 1_500_000 + b'"}'
    assert shown.json("/events", b"{}\n" + order)[0] == 500
    assert shown.json("/events", large)[0] == 400


def test_the_edge_filter_says_which_event_comes_next(kafka, example):
    topic = kafka.topic("next-event")
    shown = example("edge_filter.conf", [('"events"', f'"{topic}"'), ("900k", "3m")])
    events = [b"{}", b'{"type":"debug"}', b"no json", b'{"type":"' + b"x" * 1_500_000 + b'"}', b"{}"]
    status, said = shown.json("/events", b"\n\n".join(events))
    # The fourth, whatever became of those before it.
    assert (status, said["produced"], said["next"]) == (400, 1, 4)


def test_what_a_client_sends_is_not_taken_for_what_the_gateway_adds(kafka, example):
    topic = kafka.topic("forged-field")
    shown = example("edge_filter.conf", [('"events"', f'"{topic}"')])
    forged = [b'{"client":"10.0.0.1"}', b'{"cl\\u0069ent":null}', b'{"a":1}']
    counts = {"produced": 1, "dropped": 0, "malformed": 2}
    assert shown.json("/events", b"\n".join(forged)) == (202, counts)
    (record,) = kafka.witness.read(topic, count=1)
    assert json.loads(record.value)["client"] == "127.0.0.1"


@pytest.mark.parametrize("field", ["received_at = 0/0", "7"])
def test_fields_of_the_rules_that_are_no_json_are_the_gateways_error(kafka, example, field):
    topic = kafka.topic("bad-field")
    replace = [('"events"', f'"{topic}"'), ("received_at = ngx.now(), client = ngx.var.remote_addr", field)]
    shown = example("edge_filter.conf", replace)
    shown.nginx.allow("the rules' fields are no JSON object")
    assert shown.ask("/events", b"{}").status == 500
    shown.nginx.wait_log("the rules' fields are no JSON object")
    assert kafka.witness.count(topic) == 0
