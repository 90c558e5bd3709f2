"""Uses an asynchronous client as if it were a blocking one, so that one test tries both."""

import inspect


class Blocking:
    def __init__(self, target, loop):
        self._target = target
        self._loop = loop

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*arguments, **named):
            return self._wrap(value(*[bare(a) for a in arguments], **{key: bare(a) for key, a in named.items()}))

        return call

    def __iter__(self):
        async def collect():
            return [item async for item in self._target]

        return iter([self._wrap(item) for item in self._loop.run_until_complete(collect())])

    def _wrap(self, value):
        if inspect.isawaitable(value):
            return self._wrap(self._loop.run_until_complete(value))
        if hasattr(value, "__aiter__") or type(value).__name__.endswith(("Client", "Downloader")):
            return Blocking(value, self._loop)
        return value


def bare(value):
    """What a client itself takes."""
    return value._target if isinstance(value, Blocking) else value
