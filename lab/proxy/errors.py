"""The one error of the API: what it answers if it does not do what it was asked."""

from lab.errors import LocalError


class ApiError(LocalError):
    """
    A request that is refused.

    Args:
        status: Of HTTP, 400 to 599.
        text: One line; Toxiproxy's words where it has some.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def bad_request(text: str) -> ApiError:
    """What was asked for can't be."""
    return ApiError(400, text)


def missing(field: str) -> ApiError:
    """A field is not there, or empty."""
    return bad_request(f"missing required field: {field}")


def no_proxy() -> ApiError:
    """No proxy has that name."""
    return ApiError(404, "proxy not found")


def no_toxic() -> ApiError:
    """No toxic of the proxy has that name."""
    return ApiError(404, "toxic not found")


def proxy_exists() -> ApiError:
    """A proxy has that name."""
    return ApiError(409, "proxy already exists")


def toxic_exists() -> ApiError:
    """A toxic of the proxy has that name, whatever its stream."""
    return ApiError(409, "toxic already exists")
