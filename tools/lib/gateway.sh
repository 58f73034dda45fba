# shellcheck shell=bash
# An nginx of one's own that produces to kfastd, for the length of a script. Needs say.sh, and KFAST_SOCKET_DIR.

NGINX_PID=

# gateway_start FOLDER LIBRARY-FOLDER TOPIC: its access log goes to TOPIC, and POST /topics/TOPIC produces. It listens on
# FOLDER/http.sock, so no port has to be free. Returns when it answers.
gateway_start() {
  local folder=$1 libraries=$2 tries=0
  mkdir -p "$folder"
  gateway_configuration "$folder" "$3" >"$folder/nginx.conf"
  LD_LIBRARY_PATH=$libraries setsid setpriv --pdeathsig QUIT \
    nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log" >"$folder/out" 2>&1 </dev/null &
  NGINX_PID=$!
  until curl -s -o "$folder/ready" --unix-socket "$folder/http.sock" http://gateway/ready; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$NGINX_PID" 2>/dev/null; then
      tail -n 30 "$folder/out" "$folder/error.log" >&2
      die "nginx does not answer; the lines above are its log"
    fi
    sleep 0.05
  done
}

# What was sent before is delivered all the same.
gateway_stop() {
  [ -n "$NGINX_PID" ] || return 0
  kill -QUIT "$NGINX_PID" 2>/dev/null || true
  wait "$NGINX_PID" 2>/dev/null || true
  NGINX_PID=
}

# Where Debian puts nginx's modules. OpenResty needs none.
nginx_modules() {
  local folder module
  for folder in /usr/lib/nginx/modules /usr/share/nginx/modules; do
    [ -e "$folder/ngx_http_lua_module.so" ] || continue
    for module in ndk_http_module ngx_http_lua_module; do echo "load_module $folder/$module.so;"; done
    return
  done
}

# gateway_configuration FOLDER TOPIC
gateway_configuration() {
  nginx_modules
  # Workers are this user, whom kfastd allows.
  if [ "$(id -u)" -eq 0 ]; then echo "user root;"; fi
  cat <<CONF
daemon off;
pid nginx.pid;
env KFAST_SOCKET_DIR;
events { }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  lua_package_path "$KFAST_ROOT/client/lua/?.lua;$KFAST_ROOT/client/lua/examples/?.lua;;";
  init_worker_by_lua_block {
    require("kfast_log").start {topic = "$2"}
    require("kfast_endpoint").start()
  }
  server {
    listen unix:$1/http.sock;
    client_body_buffer_size 900k;
    location = /ready { return 204; }
    location / {
      return 200 "hello\n";
      log_by_lua_block { require("kfast_log").write() }
    }
    location ~ "^/topics/(?<topic>$2)\$" {
      content_by_lua_block { require("kfast_endpoint").handle(ngx.var.topic) }
    }
  }
}
CONF
}
