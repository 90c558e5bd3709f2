// TLS with the lake's own authority, tokens, and signatures by delegation.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  DataLakeFileSystemClient,
  DataLakeServiceClient,
  FileSystemSASPermissions,
  SASProtocol,
  StorageSharedKeyCredential,
  generateDataLakeSASQueryParameters,
} from "@azure/storage-file-datalake";

import { serve } from "./server.js";

const ACCOUNT = "devstoreaccount1";
const KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const serving = await serve("--memory", "--self-signed", "--https-only", "--role", "rita=Storage Blob Data Reader");
const options = {
  retryOptions: { maxTries: 1 },
  tlsOptions: { ca: readFileSync(serving.certificateAuthority) },
};
const owner = new DataLakeServiceClient(serving.dfsEndpoint, new StorageSharedKeyCredential(ACCOUNT, KEY), options);
const lake = owner.getFileSystemClient("secure");
await lake.create();
await lake.getFileClient("dir/f").upload(Buffer.from("text"));

/** A credential that brings the tokens of `lakestage token`. */
function issued(oid) {
  return {
    async getToken() {
      const made = JSON.parse(execFileSync(process.env.LAKESTAGE_BIN, ["--json", "token", "--oid", oid]));
      return { token: made.token, expiresOnTimestamp: made.expiresUnixS * 1000 };
    },
  };
}

function service(credential) {
  return new DataLakeServiceClient(serving.dfsEndpoint, credential, options);
}

async function refused(promise, status, code) {
  await assert.rejects(promise, (error) => {
    assert.deepEqual([error.statusCode, error.details?.errorCode ?? error.code], [status, code], error.message);
    return true;
  });
}

async function text(fileSystem) {
  return (await fileSystem.getFileClient("dir/f").readToBuffer()).toString();
}

test("somebody with a token does what a role lets", async () => {
  const rita = service(issued("rita")).getFileSystemClient("secure");
  assert.equal(await text(rita), "text");
  await refused(rita.getFileClient("g").create(), 403, "AuthorizationPermissionMismatch");
  await refused(text(service(issued("nobody")).getFileSystemClient("secure")), 403, "AuthorizationPermissionMismatch");
});

test("a signature by delegation opens what its owner may", async () => {
  const startsOn = new Date(Date.now() - 300_000);
  const expiresOn = new Date(Date.now() + 3600_000);
  const key = await service(issued("rita")).getUserDelegationKey(startsOn, expiresOn);
  assert.equal(key.signedObjectId, "rita");
  const signed = (values) => {
    const all = { fileSystemName: "secure", permissions: FileSystemSASPermissions.parse("rcw"), expiresOn, protocol: SASProtocol.Https, ...values };
    const query = generateDataLakeSASQueryParameters(all, key, ACCOUNT).toString();
    return new DataLakeFileSystemClient(`${serving.dfsEndpoint}/secure?${query}`, undefined, options);
  };
  assert.equal(await text(signed({})), "text");
  assert.equal(await text(signed({ pathName: "dir", isDirectory: true, directoryDepth: 1 })), "text");
  assert.equal(await text(signed({ pathName: "dir/f" })), "text");
  await refused(signed({}).getFileClient("g").create(), 403, "AuthorizationPermissionMismatch");
  await refused(text(signed({ agentObjectId: "otto" })), 403, "AuthorizationPermissionMismatch");
  await refused(text(signed({ ipRange: { start: "10.0.0.1" } })), 403, "AuthorizationSourceIPMismatch");
});
