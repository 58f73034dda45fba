"""What is sent is what is in Kafka, and what cannot be sent is an error in words, never a throw."""

import json

import pytest

from harness.daemon import Kfastd, config_for
from nginx import Nginx
from snippets import SERVER, http, run


@pytest.fixture(scope="module")
def stage(kafka):
    """One kfastd and one nginx for the tests of this file."""
    with Kfastd(config_for(kafka.bootstrap, produce=("ok*",))) as daemon:
        environment = {"KFAST_SOCKET_DIR": str(daemon.socket_dir)}
        main = "env KFAST_SOCKET_DIR;"
        with Nginx(SERVER, http(), main, environment=environment) as server:
            server.kfastd = daemon
            yield server


def lua(text: bytes) -> str:
    """A Lua string of any bytes."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text) + '"'


def test_any_bytes_are_fine_in_key_and_value(kafka, stage):
    topic = kafka.topic("ok-bytes")
    every = bytes(range(256))
    run(stage, f'assert(p:send("{topic}", {lua(every)}, {lua(b"a" + bytes(2) + b"z")})) assert(p:flush())')
    (record,) = kafka.witness.read(topic)
    assert (record.key, record.value) == (every, b"a\0\0z")


def test_nil_empty_and_null_are_different(kafka, stage):
    topic = kafka.topic("ok-null")
    run(
        stage,
        f"""
        assert(p:send("{topic}", nil, "null key"))
        assert(p:send("{topic}", "", "empty key"))
        assert(p:send("{topic}", "empty value", ""))
        assert(p:send("{topic}", "tombstone", kfast.null))
        assert(p:send("{topic}", "tombstone", ngx.null))
        assert(p:flush())""",
    )
    assert [(r.key, r.value) for r in kafka.witness.read(topic)] == [
        (None, b"null key"),
        (b"", b"empty key"),
        (b"empty value", b""),
        (b"tombstone", None),
        (b"tombstone", None),
    ]


def test_headers_partition_and_timestamp(kafka, stage):
    topic = kafka.topic("ok-everything", partitions=3)
    run(
        stage,
        f"""
        local many = {{}}
        for i = 1, 300 do many[i] = {{"h" .. i, ("x"):rep(i)}} end
        assert(p:send("{topic}", "k", "list", {{headers = {{{{"b", "1"}}, {{"a", "\\0"}}, {{"b", kfast.null}}}},
                      partition = 2, timestamp = 1709164800000}}))
        assert(p:send("{topic}", "k", "map", {{headers = {{trace = "abc"}}, partition = 2}}))
        assert(p:send("{topic}", "k", "many", {{headers = many, partition = 2}}))
        assert(p:send("{topic}", "k", "none", {{headers = {{}}, partition = 2}}))
        assert(p:flush())""",
    )
    listed, mapped, many, none = kafka.witness.read(topic)
    assert listed.headers == [("b", b"1"), ("a", b"\0"), ("b", None)]
    assert (listed.partition, listed.timestamp) == (2, 1709164800000)
    assert mapped.headers == [("trace", b"abc")]
    assert many.headers == [(f"h{i}", b"x" * i) for i in range(1, 301)]
    assert (none.value, none.headers) == (b"none", [])


def test_send_multi_keeps_the_order_and_takes_everything(kafka, stage):
    topic, other = kafka.topic("ok-multi"), kafka.topic("ok-other")
    got = run(
        stage,
        f"""
        local records = {{topic = "{topic}"}}
        for i = 1, 3000 do records[i] = {{key = "k", value = tostring(i)}} end
        records[7] = {{value = kfast.null, headers = {{{{"a", "1"}}, {{"b", "2"}}}}}}
        records[8] = {{value = "", headers = {{c = "3"}}, timestamp = 1709164800000, partition = 0}}
        records[9] = {{topic = "{other}", value = "elsewhere"}}
        records[10] = {{value = "10", headers = {{}}}}
        local count = p:send_multi(records)
        return count, p:flush(), p:send_multi({{}})""",
    )
    assert got == [3000, True, 0]
    records = kafka.witness.read(topic)
    assert len(records) == 2999
    assert [r.value for r in records[:6]] == [b"%d" % i for i in range(1, 7)]
    assert (records[6].key, records[6].value) == (None, None)
    assert records[6].headers == [("a", b"1"), ("b", b"2")]
    assert (records[7].value, records[7].timestamp) == (b"", 1709164800000)
    assert records[7].headers == [("c", b"3")]
    assert [r.value for r in records[8:]] == [b"%d" % i for i in range(10, 3001)]
    assert [r.value for r in kafka.witness.read(other)] == [b"elsewhere"]


BAD_SENDS = {
    "nil, nil, 'v'": ("INVALID", "the topic is a nil, not a string"),
    "7, nil, 'v'": ("INVALID", "the topic is a number, not a string"),
    "'', nil, 'v'": ("TOPIC_NAME", "is not a legal topic name"),
    "'a b', nil, 'v'": ("TOPIC_NAME", "is not a legal topic name"),
    "'ok\\0k', nil, 'v'": ("TOPIC_NAME", "binary zero"),
    "('x'):rep(250), nil, 'v'": ("TOPIC_NAME", "is not a legal topic name"),
    "'ok', 7, 'v'": ("INVALID", "the key is a number, not a string or nil"),
    "'ok', kfast.null, 'v'": ("INVALID", "the key is a userdata"),
    "'ok', {}, 'v'": ("INVALID", "the key is a table"),
    "'ok', nil, nil": ("INVALID", "kfast.null for a tombstone"),
    "'ok', nil": ("INVALID", "kfast.null for a tombstone"),
    "'ok', nil, 7": ("INVALID", "the value is a number"),
    "'ok', nil, {}": ("INVALID", "the value is a table"),
    "'ok', nil, ('x'):rep(10000000)": ("TOO_LARGE", "10000000 of value"),
    "'ok', ('x'):rep(10000000), ''": ("TOO_LARGE", "10000000 bytes of key"),
    "'ok', nil, 'v', 7": ("INVALID", "the options of send are a number"),
    "'ok', nil, 'v', {header = {}}": ("INVALID", "send has no option header"),
    "'ok', nil, 'v', {partition = -1}": ("INVALID", "the partition is -1"),
    "'ok', nil, 'v', {partition = 1.5}": ("INVALID", "the partition is 1.5"),
    "'ok', nil, 'v', {partition = '0'}": ("INVALID", "the partition is 0, not a whole number"),
    "'ok', nil, 'v', {partition = 0/0}": ("INVALID", "the partition is "),
    "'ok', nil, 'v', {timestamp = 0}": ("INVALID", "the timestamp is 0"),
    "'ok', nil, 'v', {timestamp = 1/0}": ("INVALID", "the timestamp is inf"),
    "'ok', nil, 'v', {headers = 'a'}": ("INVALID", "the headers are a string"),
    "'ok', nil, 'v', {headers = {'a'}}": ("INVALID", "header 1 is a string"),
    "'ok', nil, 'v', {headers = {{7, 'v'}}}": ("INVALID", "a header's name is a number"),
    "'ok', nil, 'v', {headers = {{'a', 'v'}, b = 'v'}}": ("INVALID", "neither a list"),
    "'ok', nil, 'v', {headers = {{'a', 'v'}, nil, {'b', 'v'}}}": ("INVALID", "neither a list"),
    "'ok', nil, 'v', {headers = {a = 7}}": ("INVALID", "the header a is a number"),
    "'ok', nil, 'v', {headers = {[('n'):rep(40000)] = ''}}": ("TOO_MANY_HEADERS", "40000 bytes"),
    "'ok', nil, 'v', {headers = {a = ('x'):rep(10000000)}}": ("TOO_LARGE", "10000000 bytes"),
    "'ok', nil, 'v', {wait = true, timeout_ms = 0}": ("INVALID", "timeout_ms is 0"),
    "'ok', nil, 'v', {wait = true, timeout_ms = '1'}": ("INVALID", "timeout_ms is 1, not"),
}


@pytest.mark.parametrize("arguments", BAD_SENDS)
def test_a_bad_send_is_an_error_in_words(stage, arguments):
    code, words = BAD_SENDS[arguments]
    nothing, why, name = run(stage, f"return p:send({arguments})")
    assert (nothing, name) == (None, code)
    assert words in why


BAD_BATCHES = {
    "7": ("INVALID", "send_multi takes a table of records, not a number"),
    "nil": ("INVALID", "not a nil"),
    "{7}": ("INVALID", "record 1: it is a number, not a table"),
    "{{topic = 'ok', value = 'v'}, {topic = 'ok'}}": ("INVALID", "record 2: the value is nil"),
    "{{value = 'v'}}": ("INVALID", "record 1: the topic is a nil"),
    "{{topic = 'ok', value = 'v', keys = ''}}": ("INVALID", "record 1: it has a field keys"),
    "{setmetatable({value = 'v', keys = ''}, {__index = {topic = 'ok'}})}": (
        "INVALID",
        "record 1: it has a field keys",
    ),
    "{{topic = 'ok', value = 'v', headers = 7}}": ("INVALID", "record 1: the headers are a number"),
    "{{topic = 'ok', value = 'v', headers = {'a'}}}": ("INVALID", "record 1: header 1 is"),
    "{{topic = 'ok', value = 'v', partition = -2}}": ("INVALID", "record 1: the partition is -2"),
    "{{topic = 'ok', value = ('x'):rep(10000000)}}": ("TOO_LARGE", "10000000 of value"),
}


@pytest.mark.parametrize("records", BAD_BATCHES)
def test_a_bad_batch_is_an_error_in_words(stage, records):
    code, words = BAD_BATCHES[records]
    nothing, why, name = run(stage, f"return p:send_multi({records})")
    assert (nothing, name) == (None, code)
    assert words in why


def test_a_batch_says_how_many_were_accepted_and_why_not_the_next(kafka, stage):
    topic = kafka.topic("ok-part")
    count, why, code = run(
        stage,
        f"""
        local large = ("x"):rep(10000000)
        local function sent(...) assert(p:flush()) return ... end
        return sent(p:send_multi{{topic = "{topic}", {{value = "1"}}, {{value = "2"}}, {{value = large}}, {{value = "4"}}}})
        """,
    )
    assert (count, code) == (2, "TOO_LARGE") and "10000000 of value" in why
    assert [record.value for record in kafka.witness.read(topic)] == [b"1", b"2"]


def test_a_topic_that_is_not_allowed_is_reported_and_then_refused(stage):
    nothing, why, code = run(stage, "return p:send('secret', nil, 'v', {wait = true})")
    assert (nothing, code) == (None, "FAILED") and "TOPIC_AUTHORIZATION_FAILED" in why
    nothing, why, code = run(stage, "return p:send('secret', nil, 'v')")
    assert (nothing, code) == (None, "TOPIC_NOT_ALLOWED") and "[[allow]]" in why


BAD_OPTIONS = {
    "7": "the options are a number",
    "{'a'}": "the options are a table of names and values",
    "{profil = 'default'}": 'the nearest is "profile"',
    "{ring_bytes = '5m'}": "not a power of two",
    "{ring_bytes = 5}": "not a power of two",
    "{reports = 'some'}": "not one of all, errors, none",
    "{profile = {}}": "the option profile is not a text or a number",
    "{thread_safe = 'true'}": "an nginx worker has one thread",
    "{connect_timeout_ms = 7}": "resty.kfast does not wait for kfastd",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_an_error_in_words(stage, options):
    nothing, why, code = run(stage, f"return kfast.new_producer({options})")
    assert (nothing, code) == (None, "INVALID")
    assert BAD_OPTIONS[options] in why


def test_an_unknown_profile_is_named_by_every_send(stage):
    made, why, code, sent = run(
        stage,
        """
        local other, why, code = kfast.new_producer({profile = "nope"})
        local sent = {other:send("ok", nil, "v")}
        other:close()
        return type(other), why, code, sent""",
    )
    assert (made, code) == ("table", "UNKNOWN_PROFILE")
    assert 'no profile "nope" (it has: default)' in why
    assert sent[1:] == [why, "UNKNOWN_PROFILE"] or "UNKNOWN_PROFILE" in sent


def test_a_closed_producer_says_so_and_the_other_goes_on(kafka, stage):
    topic = kafka.topic("ok-closed")
    got = run(
        stage,
        f"""
        local options = {{ring_bytes = "64k"}}
        local a, b = kfast.new_producer(options), kfast.new_producer(options)
        assert(a:send("{topic}", nil, "a"))
        a:close()
        a:close()
        local sent, flushed, stats = {{a:send("{topic}", nil, "v")}}, {{a:flush()}}, a:stats()
        local many = {{a:send_multi{{{{topic = "{topic}", value = "v"}}}}}}
        local placed = {{b:send("{topic}", nil, "b", {{wait = true}})}}
        b:close()
        return sent[2], flushed[2], many[2], stats.why, placed""",
    )
    assert got == [*["the producer is closed"] * 4, [0, 1]]
    kfastd_log = stage.kfastd.wait_log(r"channel closed channel=(\d+)")
    assert kfastd_log


def test_max_clients_is_an_error_until_something_is_closed(stage):
    before, why, code, after, again = run(
        stage,
        """
        local made = {}
        local most = kfast.max_clients
        kfast.max_clients = 4
        for i = 1, 3 do made[i] = assert(kfast.new_producer({ring_bytes = "64k", topics = i})) end
        local one, why, code = kfast.new_producer({ring_bytes = "64k", topics = 9})
        -- Equal options are the same channel, so there is room for any number.
        local same = kfast.new_producer({ring_bytes = "64k", topics = 1})
        made[2]:close()
        local after = kfast.new_producer({ring_bytes = "64k", topics = 9})
        -- What nobody holds any more makes room by itself.
        made, same, after = nil, nil, after ~= nil
        local again = kfast.new_producer({ring_bytes = "64k", topics = 10})
        kfast.max_clients = most
        return one ~= nil, why, code, after, again ~= nil""",
    )
    assert (before, code, after, again) == (False, "LIMIT", True, True)
    assert "this worker has 4 kfast channels" in why


def test_stats_count_what_happened(kafka, stage):
    topic = kafka.topic("ok-stats")
    (stats,) = run(
        stage,
        f"""
        local p = kfast.new_producer({{ring_bytes = "128k"}})
        for i = 1, 10 do assert(p:send("{topic}", nil, "v")) end
        p:send("{topic}", nil, "v", {{partition = 77}})
        assert(p:flush())
        local stats = p:stats()
        p:close()
        return stats""",
    )
    assert (stats["sent"], stats["delivered"], stats["failed"], stats["unknown"]) == (11, 10, 1, 0)
    assert (stats["open"], stats["used_bytes"], stats["ring_bytes"]) == (True, 0, 131072)
    assert f"(topic {topic})" in stats["last_failure"] and "_UNKNOWN_PARTITION" in stats["last_failure"]
    stage.allow(r"kfast: \d+ records were not delivered")
    assert "_UNKNOWN_PARTITION" in stage.wait_log("kfast: .* records were not delivered.*").group()


# The call shape of lua-resty-kafka-fast


def test_the_seeds_calls_work(kafka, stage):
    topic = kafka.topic("ok-seed")
    got = run(
        stage,
        f"""
        local fast = require "resty.kafka.fast"
        local producer = assert(fast.new_producer("default", {{ring_bytes = "256k"}}))
        local function brief(nothing, why, code) return tostring(nothing) .. " " .. why .. " " .. tostring(code) end
        assert(producer:send("{topic}", "key", "message"))
        assert(producer:send_multi{{{{topic = "{topic}", value = "1"}}, {{topic = "{topic}", value = "2"}}}})
        assert(producer:flush())
        return brief(fast.new_producer("elsewhere")), brief(fast.new_producer("k1:9092,k2:9092")),
          brief(fast.new_producer({{{{host = "k1", port = 9092}}}})), brief(fast.new_producer("a", {{profile = "b"}})),
          brief(fast.new_producer("default", 7))
        """,
    )
    assert 'no profile "elsewhere" (it has: default)' in got[0] and "UNKNOWN_PROFILE" in got[0]
    for addresses in got[1:3]:
        assert "brokers are named by a profile of kfastd.toml" in addresses
    assert "the brokers name the profile a, the configuration b" in got[3]
    assert "the configuration is a number" in got[4]
    assert [record.value for record in kafka.witness.read(topic)] == [b"message", b"1", b"2"]


def test_the_answers_are_json_so_this_file_sees_what_lua_returned(stage):
    assert run(stage, "return 1, nil, 'x', true") == [1, None, "x", True]
    assert json.loads("[null]") == [None]


def test_kfastds_limits_are_errors_that_name_the_setting(kafka):
    topic = kafka.topic("ok-limits")
    config = config_for(kafka.bootstrap)
    config["limits"] = {"default": {"channels": 1, "topics": 1}}
    with Kfastd(config) as daemon:
        environment = {"KFAST_SOCKET_DIR": str(daemon.socket_dir)}
        with Nginx(SERVER, http(), "env KFAST_SOCKET_DIR;", environment=environment) as server:
            assert run(server, f'return p:send("{topic}", nil, "v", {{wait = true}})') == [0, 0]
            made, why, code, sent = run(
                server,
                f"""
                local second, why, code = kfast.new_producer({{ring_bytes = "64k"}})
                local sent = {{second:send("{topic}", nil, "v")}}
                return type(second), why, code, sent""",
            )
            assert (made, code) == ("table", "LIMIT") and "limits.default.channels = 1" in why
            assert "limits.default.channels = 1" in sent[1] and sent[2] == "LIMIT"
            nothing, why, code = run(server, 'return p:send("another", nil, "v", {wait = true})')
            assert (nothing, code) == (None, "FAILED")
            nothing, why, code = run(server, 'return p:send("another", nil, "v")')
            assert (nothing, code) == (None, "TOO_MANY_TOPICS") and "[limits]" in why
