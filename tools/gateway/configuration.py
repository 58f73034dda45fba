"""nginx.conf of the measurements: one with kfast, and one without, for what a machine does by itself."""

import os
from pathlib import Path

MODULES = ("ndk_http_module", "ngx_http_lua_module")
MODULE_DIRECTORIES = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules")

_FRAME = """\
{modules}
{user}
daemon off;
pid nginx.pid;
worker_processes 1;
worker_cpu_affinity {mask};
env KFAST_SOCKET_DIR;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_header_timeout 1h;  # also of connections that the load has not needed yet
  client_body_buffer_size 64k;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  lua_package_path "{root}/client/lua/?.lua;{root}/client/lua/examples/?.lua;{root}/tools/gateway/?.lua;;";
{http}
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "hello\\n"; }}
    location = /loop {{ content_by_lua_block {{ bench.say_loop() }} }}
    location = /worker {{ content_by_lua_block {{ bench.say_worker() }} }}
{server}
  }}
}}
"""

_WITHOUT = """\
  init_worker_by_lua_block {
    bench = require("gateway_bench")
    bench.watch_loop()
  }
"""

# jit.v has to be on before anything is hot.
_WITH = """\
  upstream kafka_proxy {{ server 127.0.0.1:{proxy_port}; keepalive 256; keepalive_requests 1000000000; }}
  init_worker_by_lua_block {{
    bench = require("gateway_bench")
    bench.watch_compiler("{folder}/jit.log")
    {watch}
    line = ("x"):rep(200)
    refused, gathered = 0, 0
    hundred = {{topic = "multi"}}
    for i = 1, 100 do hundred[i] = {{value = line}} end
    timed = {{nothing = bench.samples(2000), send = bench.samples(2000), send_multi = bench.samples(100)}}
{producers}
  }}
"""

# A record for each request, whose location is the topic.
_LOGGED = """\
    location = /{topic} {{
      return 200 "hello\\n";
      log_by_lua_block {{ if not producer:send("{topic}", nil, line) then refused = refused + 1 end }}
    }}
"""
LOGGED_TOPICS = ("send", "trial", "latency", "outage", "stalls", "soak")

# A producer that only logs needs no reports of what is well.
LOG = '{reports = "errors"}'
# With room for a second or two of a nginx that is given all that it takes, beside a Kafka that shares its processor
# with the load: 64 MiB are 270,000 lines of 200 bytes.
BIG_LOG = '{ring_bytes = "64m", reports = "errors"}'

_LOCATIONS = """\
    location = /empty { return 200 "hello\\n"; log_by_lua_block { } }
    location = /json { return 200 "hello\\n"; log_by_lua_block { require("kfast_log").write() } }
    location = /timed/nothing {
      return 200 "hello\\n";
      log_by_lua_block { local began = bench.clock() timed.nothing:add(began) }
    }
    location = /timed/send {
      return 200 "hello\\n";
      log_by_lua_block {
        local began = bench.clock()
        local ok = producer:send("timed", nil, line)
        timed.send:add(began)
        if not ok then refused = refused + 1 end
      }
    }
    location = /timed/send_multi {
      return 200 "hello\\n";
      log_by_lua_block {
        gathered = gathered + 1
        if gathered == 100 then
          gathered = 0
          local began = bench.clock()
          local count = producer:send_multi(hundred)
          timed.send_multi:add(began)
          refused = refused + 100 - (count or 0)
        end
      }
    }
    location = /samples { content_by_lua_block { bench.say_samples(timed) } }
    location = /compiled {
      content_by_lua_block {
        bench.say {send = bench.is_compiled(producer.send), send_multi = bench.is_compiled(producer.send_multi)}
      }
    }
    location = /refused { content_by_lua_block { bench.say {refused = refused} } }
    location = /settled { content_by_lua_block { bench.say_settled {producer, waiting} } }
    location ~ "^/topics/(?<topic>.*)$" { content_by_lua_block { require("kfast_endpoint").handle(ngx.var.topic) } }
    location /proxy/ {
      proxy_pass http://kafka_proxy/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
"""

def _modules():
    for directory in map(Path, MODULE_DIRECTORIES):
        if (directory / f"{MODULES[-1]}.so").exists():
            return "\n".join(f"load_module {directory}/{module}.so;" for module in MODULES)
    return ""  # OpenResty has it built in


def _frame(root, port, processor, http, server):
    return _FRAME.format(
        modules=_modules(),
        user="user root;" if os.getuid() == 0 else "",  # workers are this user, whom kfastd allows
        mask="1" + "0" * processor,
        root=root,
        port=port,
        http=http,
        server=server,
    )


def with_kfast(root, folder, port, processor, log=LOG, waits="", json=False, watch_loop=False, proxy_port=1):
    """`log`: the options of what records are logged by; `waits`: another producer, with this profile, waits for its
    records; `json`: kfast_log.lua, too."""
    producers = [f"    producer = require('resty.kfast').new_producer {log}"]
    if waits:
        producers.append(f"    waiting = require('resty.kfast').new_producer {{profile = '{waits}'}}")
        producers.append(f"    require('kfast_endpoint').start {{profile = '{waits}'}}")
    if json:
        producers.append(f'    require("kfast_log").start {{topic = "json", producer = {log}}}')
    watch = "bench.watch_loop()" if watch_loop else ""
    http = _WITH.format(proxy_port=proxy_port, folder=folder, watch=watch, producers="\n".join(producers))
    logged = "".join(_LOGGED.format(topic=topic) for topic in LOGGED_TOPICS)
    return _frame(root, port, processor, http, logged + _LOCATIONS)


def without_kfast(root, port, processor):
    return _frame(root, port, processor, _WITHOUT, "")
