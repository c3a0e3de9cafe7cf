import anyio
import pytest

from fg_search.web.turns import Turns


class Client:
    """Requests to an application whose answers wait until they are let go."""

    def __init__(self, at_once, most_waiting):
        self.started, self.go, self.answers, self.gone = [], anyio.Event(), {}, {}
        self.app = Turns(self._answer, at_once, most_waiting)

    async def _answer(self, scope, receive, send):
        self.started.append(scope["number"])
        assert (await receive())["body"] == b"{}"
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def ask(self, number, path="/api/search"):
        self.gone[number] = anyio.Event()
        messages = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await self.gone[number].wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if "status" in message:
                self.answers[number] = message["status"]

        await self.app({"type": "http", "path": path, "number": number, "headers": []}, receive, send)


@pytest.fixture
def run():
    """Run a test of a client, without waiting for ever."""

    def run(test, *, at_once=2, most_waiting=3):
        async def whole():
            with anyio.fail_after(10):
                client = Client(at_once, most_waiting)
                async with anyio.create_task_group() as group:
                    await test(client, group)
                    client.go.set()
                return client

        return anyio.run(whole)

    return run


async def start(client, group, number, **options):
    group.start_soon(lambda: client.ask(number, **options))
    await anyio.wait_all_tasks_blocked()


def test_requests_wait_for_their_turn_and_are_answered_in_order(run):
    async def test(client, group):
        for number in range(5):
            await start(client, group, number)
        assert client.started == [0, 1]

    client = run(test)
    assert client.started == [0, 1, 2, 3, 4]
    assert client.answers == dict.fromkeys(range(5), 200)


def test_too_many_that_wait_are_refused(run):
    async def test(client, group):
        for number in range(6):
            await start(client, group, number)
        assert client.answers == {5: 503}

    assert list(run(test).answers.values()).count(200) == 5


def test_a_client_that_has_left_takes_no_turn(run):
    async def test(client, group):
        for number in range(4):
            await start(client, group, number)
        client.gone[2].set()
        await anyio.wait_all_tasks_blocked()

    client = run(test)
    assert client.started == [0, 1, 3]
    assert client.app.limiter.borrowed_tokens == 0


def test_the_login_and_its_files_wait_for_nobody(run):
    async def test(client, group):
        for number, path in enumerate(["/api/search", "/review", "/login", "/static/page.css"]):
            await start(client, group, number, path=path)
        assert client.started == [0, 1, 2, 3]

    run(test)
