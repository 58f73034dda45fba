"""What README.md and docs/lua.md show of nginx.conf does what they say."""

import re

import pytest

from harness import paths
from nginx import LUA


def nginx_block(document: str) -> str:
    text = (paths.REPOSITORY / document).read_text()
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return block


@pytest.fixture(scope="module")
def named_topics(kafka):
    """The topics whose names stand in the documents."""
    for name in ("access", "orders"):
        kafka.create_topic(name)


def test_the_access_log_of_the_readme(kafka, nginx, named_topics):
    before = kafka.witness.count("access")
    *http, location = nginx_block("README.md").splitlines()
    server = nginx(location, http_block="\n".join(http))
    assert server.get("/").status == 204
    assert '"sent"' in server.text("/log-counts")
    assert len(kafka.witness.read("access", count=before + 1)) > before


def test_the_gateway_of_the_documentation(kafka, nginx, named_topics):
    block = nginx_block("docs/lua.md")
    assert "http {" in block and "listen 8080;" in block
    block = block.replace("listen 8080;", "listen 127.0.0.1:@PORT@;").replace(
        "http {",
        "http {\n    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
        "    uwsgi_temp_path uwsgi; scgi_temp_path scgi; access_log off;\n"
        f'    lua_package_path "{LUA}/?.lua;;";',
    )
    head = "@MODULES@\n@USER@\nenv KFAST_SOCKET_DIR;\npid nginx.pid;\nerror_log error.log info;\n"
    server = nginx(conf=f"{head}events {{ }}\n{block}")
    assert server.text("/") == "hello\n"
    answer = server.request("POST", "/order", b"two pears")
    assert re.fullmatch(r"partition \d+ offset \d+\n", answer.text)
    many = b"pears " * 20000
    assert server.request("POST", "/order", many).status == 200
    assert {record.value for record in kafka.witness.read("orders", count=2)} == {b"two pears", many}
