"""How the SDKs show a refusal."""

import contextlib

import pytest
from azure.core.exceptions import HttpResponseError


@contextlib.contextmanager
def refused(status, code):
    with pytest.raises(HttpResponseError) as caught:
        yield
    found = (caught.value.status_code, str(getattr(caught.value.error_code, "value", caught.value.error_code)))
    assert found == (status, code), caught.value
