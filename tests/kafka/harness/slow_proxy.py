"""A TCP proxy before a broker, for a broker that answers slowly."""

import socket
import threading


class SlowProxy:
    """Passes requests on at once, and holds each piece of an answer back for `delay` seconds.

    `delay` may be changed at any time; `answers` counts the pieces that were held back. It listens
    from the start; `forward_to` says where the broker is.
    """

    def __init__(self, delay: float = 0):
        self.delay = delay
        self.answers = 0
        self._broker = ("127.0.0.1", 0)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set = set()
        self._threads: list = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self) -> "SlowProxy":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def forward_to(self, address: str) -> None:
        host, port = address.split(":")
        self._broker = (host, int(port))

    def close(self) -> None:
        self._ended.set()
        # Wakes the thread that accepts: closing the socket would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for each in self._sockets:
                _shut(each)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, function, *arguments) -> None:
        thread = threading.Thread(target=function, args=arguments, name="slow proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(self._broker)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, broker}
                if self._ended.is_set():
                    _shut(client)
            answers = threading.Thread(
                target=self._pass, args=(broker, client, True), name="slow proxy", daemon=True
            )
            answers.start()
            self._start(self._serve, client, broker, answers)

    def _serve(self, client, broker, answers) -> None:
        self._pass(client, broker, False)
        answers.join()
        with self._lock:
            self._sockets -= {client, broker}
        client.close()
        broker.close()

    def _pass(self, source, sink, answers: bool) -> None:
        try:
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                if answers and self.delay > 0:
                    self.answers += 1
                    self._ended.wait(self.delay)
                sink.sendall(data)
        except OSError:
            pass
        # Whoever has lost one side loses the other.
        _shut(source)
        _shut(sink)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
