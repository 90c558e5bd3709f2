// Starts the emulator for one test file, and knows how the client shows its refusals.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  DataLakeServiceClient,
  StorageSharedKeyCredential,
  generateAccountSASQueryParameters,
} from "@azure/storage-file-datalake";

import { serve } from "./server.js";

// The account that every client of an emulator knows; it is published and opens nothing else.
export const ACCOUNT = "devstoreaccount1";
export const KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/** What the server says once it serves. */
export const serving = await serve("--sync", "off", "--soft-delete-days", "7");

export const credential = new StorageSharedKeyCredential(ACCOUNT, KEY);

/** Few and short retries, so that a refusal that the client would repeat is seen soon. */
export const options = { retryOptions: { maxTries: 2, retryDelayInMs: 10 } };

export const service = new DataLakeServiceClient(serving.dfsEndpoint, credential, options);

/** A shared access signature for the whole account, good for an hour. */
export function accountSignature(permissions) {
  const values = {
    permissions: AccountSASPermissions.parse(permissions),
    resourceTypes: AccountSASResourceTypes.parse("sco").toString(),
    services: AccountSASServices.parse("b").toString(),
    expiresOn: new Date(Date.now() + 3600_000),
  };
  return generateAccountSASQueryParameters(values, credential).toString();
}

let count = 0;

/** A name for a filesystem that no other test of the file uses. */
export function freshName() {
  count += 1;
  return `fs-${process.pid}-${count}`;
}

/** A new filesystem for a test, gone after it. */
export async function freshFileSystem(t) {
  const fileSystem = service.getFileSystemClient(freshName());
  await fileSystem.create();
  t.after(() => fileSystem.deleteIfExists());
  return fileSystem;
}

/** Waits for a refusal, and compares its status and code. */
export async function refused(promise, status, code) {
  await assert.rejects(promise, (error) => {
    const found = { status: error.statusCode, code: error.details?.errorCode ?? error.code };
    assert.deepEqual(found, { status, code }, error.message);
    return true;
  });
}

/** A file with text in it. */
export async function writeFile(fileSystem, path, text) {
  const file = fileSystem.getFileClient(path);
  await file.upload(Buffer.from(text));
  return file;
}

/** What is in a file, as text. */
export async function readText(file, offset, count, options) {
  return (await file.readToBuffer(offset, count, options)).toString();
}

/** All names of a listing. */
export async function names(listing) {
  const found = [];
  for await (const entry of listing) found.push(entry.name);
  return found;
}

/** A test of what the emulator is known not to do yet: it must fail, so that its mending is noticed. */
export function knownDefect(name, why, body) {
  test(`${name} (known defect: ${why})`, async (t) => {
    let passed = false;
    try {
      await body(t);
      passed = true;
    } catch (error) {
      t.diagnostic(String(error.message).split("\n")[0]);
    }
    assert.ok(!passed, `mended, so let it be an ordinary test: ${why}`);
  });
}
