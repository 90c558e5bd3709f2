"""TLS with the lake's own authority, tokens, roles, and signatures by delegation, as the SDK makes and uses them."""

import asyncio
import datetime
import json
import os
import subprocess
import time
import types

import azure.storage.blob as blob
import azure.storage.filedatalake as datalake
import azure.storage.filedatalake.aio as datalake_async
import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential

from refusal import refused

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PROGRAM = os.environ.get("LAKESTAGE_BIN")
ROLES = {
    "assignments": [
        {"principal": "olga", "role": "Storage Blob Data Owner"},
        {"principal": "carol", "role": "Storage Blob Data Contributor", "account": ACCOUNT},
        {"principal": "readers", "role": "Storage Blob Data Reader"},
        {"principal": "dan", "role": "Storage Blob Delegator"},
    ],
    "groups": {"readers": ["rita"]},
}


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server that speaks TLS, whose authority this process trusts as the server says."""
    assert PROGRAM, "set LAKESTAGE_BIN to the lakestage command that is to be tested"
    folder = tmp_path_factory.mktemp("secure")
    roles = folder / "roles.json"
    roles.write_text(json.dumps(ROLES))
    command = [PROGRAM, "--json", "--data", str(folder / "data"), "serve", "--sync", "off", "--self-signed"]
    command += ["--https-only", "--roles", str(roles), "--blob-port", "0", "--dfs-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    serving = json.loads(process.stdout.readline())
    authority = serving["certificateAuthority"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", authority)
        patch.setenv("SSL_CERT_FILE", authority)
        yield serving
    process.terminate()
    assert process.wait(timeout=60) == 0


class Issued:
    """A credential that brings the tokens of `lakestage token`."""

    def __init__(self, oid, *groups):
        self.command = [PROGRAM, "--json", "token", "--oid", oid]
        for group in groups:
            self.command += ["--group", group]

    def get_token(self, *scopes, **kwargs):
        assert scopes == ("https://storage.azure.com/.default",)
        issued = json.loads(subprocess.check_output(self.command))
        return types.SimpleNamespace(token=issued["token"], expires_on=issued["expiresUnixS"])


class IssuedAsync(Issued):
    async def get_token(self, *scopes, **kwargs):
        return super().get_token(*scopes, **kwargs)

    async def close(self):
        pass


def service(secure, credential):
    return datalake.DataLakeServiceClient(secure["dfsEndpoint"], credential=credential, retry_total=0)


def written(secure, name):
    """A filesystem with a file, by the key."""
    lake = service(secure, KEY).create_file_system(name)
    lake.get_file_client("dir/f").upload_data(b"text", overwrite=True)
    return lake


def test_keys_and_connection_strings_work_over_tls(secure):
    written(secure, "keys")
    text = f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={secure['blobEndpoint']};"
    client = blob.BlobServiceClient.from_connection_string(text, retry_total=0)
    assert client.get_blob_client("keys", "dir/f").download_blob().readall() == b"text"


def test_an_authority_that_is_not_trusted_ends_it(secure, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        next(service(secure, KEY).list_file_systems())


def test_plain_http_is_refused(secure):
    plain = secure["dfsEndpoint"].replace("https:", "http:")
    client = datalake.DataLakeServiceClient(plain, credential=KEY, retry_total=0)
    with refused(400, "AccountRequiresHttps"):
        next(client.list_file_systems())


def test_somebody_with_a_token_does_what_a_role_or_a_list_lets(secure):
    carol = service(secure, Issued("carol"))
    lake = carol.create_file_system("tokens")
    lake.get_file_client("dir/f").upload_data(b"text", overwrite=True)
    access = lake.get_directory_client("dir").get_access_control()
    assert (access["owner"], access["group"]) == ("carol", "carol")
    rita = service(secure, Issued("rita")).get_file_system_client("tokens")
    assert [path.name for path in rita.get_paths()] == ["dir", "dir/f"]
    with refused(403, "AuthorizationPermissionMismatch"):
        rita.create_file("g")
    other = service(secure, Issued("otto", "team")).get_file_system_client("tokens")
    with refused(403, "AuthorizationPermissionMismatch"):
        other.get_file_client("dir/f").download_file()
    olga = service(secure, Issued("olga")).get_file_system_client("tokens")
    olga.get_directory_client("/").update_access_control_recursive("group:team:r-x")
    assert other.get_file_client("dir/f").download_file().readall() == b"text"


def test_the_asynchronous_client_brings_tokens_too(secure):
    written(secure, "later")

    async def read():
        # aiohttp reads SSL_CERT_FILE when it is imported, which has happened.
        options = {"credential": IssuedAsync("x", "readers"), "connection_verify": secure["certificateAuthority"]}
        async with datalake_async.DataLakeServiceClient(secure["dfsEndpoint"], **options) as client:
            stream = await client.get_file_client("later", "dir/f").download_file()
            return await stream.readall()

    assert asyncio.run(read()) == b"text"


def test_a_token_that_is_none_is_challenged(secure):
    class Wrong(Issued):
        def get_token(self, *scopes, **kwargs):
            return types.SimpleNamespace(token="a.b.c", expires_on=int(time.time()) + 600)

    with pytest.raises(HttpResponseError) as caught:
        next(service(secure, Wrong("x")).list_file_systems())
    assert (caught.value.status_code, caught.value.error_code) == (401, "InvalidAuthenticationInfo")


def test_the_sdks_own_credential_gets_a_token_here(secure):
    written(secure, "identity")
    authority = secure["blobEndpoint"].rsplit("/", 1)[0]
    credential = ClientSecretCredential(secure["tenant"], "rita", KEY, authority=authority, disable_instance_discovery=True)
    rita = service(secure, credential).get_file_system_client("identity")
    assert rita.get_file_client("dir/f").download_file().readall() == b"text"
    wrong = ClientSecretCredential(secure["tenant"], "rita", "c2VjcmV0", authority=authority, disable_instance_discovery=True)
    with pytest.raises(Exception, match="key of an account"):
        next(service(secure, wrong).list_file_systems())


def delegated(secure, oid, **kwargs):
    now = datetime.datetime.now(datetime.timezone.utc)
    start, expiry = now - datetime.timedelta(minutes=5), now + datetime.timedelta(hours=1)
    key = service(secure, Issued(oid)).get_user_delegation_key(start, expiry, **kwargs)
    return key, expiry


def test_signatures_by_delegation_open_what_their_owner_may(secure):
    name = "delegation"
    written(secure, name)
    key, expiry = delegated(secure, "rita")
    assert key.signed_oid == "rita" and key.signed_service == "b"

    def opened(signature):
        return service(secure, signature).get_file_system_client(name)

    def text(signature):
        return opened(signature).get_file_client("dir/f").download_file().readall()

    whole = datalake.generate_file_system_sas(ACCOUNT, name, key, "rlcw", expiry, protocol="https", ip="127.0.0.1")
    assert text(whole) == b"text"
    assert [path.name for path in opened(whole).get_paths()] == ["dir", "dir/f"]
    # The letters say more than its owner's role.
    with refused(403, "AuthorizationPermissionMismatch"):
        opened(whole).create_file("g")
    assert text(datalake.generate_directory_sas(ACCOUNT, name, "dir", key, "rl", expiry)) == b"text"
    assert text(datalake.generate_file_sas(ACCOUNT, name, "dir", "f", key, "r", expiry)) == b"text"
    one = blob.generate_blob_sas(ACCOUNT, name, "dir/f", user_delegation_key=key, permission="r", expiry=expiry)
    assert blob.BlobClient(secure["blobEndpoint"], name, "dir/f", credential=one).download_blob().readall() == b"text"
    agent = datalake.generate_file_system_sas(ACCOUNT, name, key, "r", expiry, agent_object_id="otto")
    with refused(403, "AuthorizationPermissionMismatch"):
        text(agent)
    with refused(403, "AuthenticationFailed"):
        text(whole.replace("sp=rlcw", "sp=rlcwd"))
    # Somebody who only delegates gets a key that opens nothing.
    key, expiry = delegated(secure, "dan")
    with refused(403, "AuthorizationPermissionMismatch"):
        text(datalake.generate_file_system_sas(ACCOUNT, name, key, "r", expiry))


def test_what_is_created_by_an_agent_belongs_to_the_agent(secure):
    name = "agents"
    written(secure, name)
    key, expiry = delegated(secure, "carol")
    signature = datalake.generate_file_system_sas(
        ACCOUNT, name, key, "racwl", expiry, preauthorized_agent_object_id="agent", correlation_id="11111111-2222-3333-4444-555555555555"
    )
    service(secure, signature).get_file_system_client(name).create_file("agents")
    owner = service(secure, KEY).get_file_client(name, "agents").get_access_control()["owner"]
    assert owner == "agent"
    with refused(403, "AuthorizationPermissionMismatch"):
        service(secure, Issued("nobody")).get_user_delegation_key(expiry, expiry + datetime.timedelta(hours=1))


def test_a_lake_in_memory_takes_its_certificate_with_it():
    command = [PROGRAM, "--json", "serve", "--memory", "--self-signed", "--blob-port", "0", "--dfs-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    authority = json.loads(process.stdout.readline())["certificateAuthority"]
    assert os.path.exists(authority)
    process.terminate()
    assert process.wait(timeout=60) == 0
    assert not os.path.exists(authority)
