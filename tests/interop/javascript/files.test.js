// Files: made, appended, flushed, read, described and deleted.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { freshFileSystem, readText, refused, writeFile } from "./lake.js";

test("a file is made with headers, metadata and permissions", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("deep/down/a.csv");
  await file.create({
    metadata: { source: "tests" },
    permissions: "rwxrw-rw-",
    umask: "0000",
    pathHttpHeaders: {
      contentType: "text/csv",
      contentLanguage: "en-GB",
      contentEncoding: "identity",
      contentDisposition: "inline",
      cacheControl: "no-store",
    },
  });
  const found = await file.getProperties();
  assert.equal(found.contentType, "text/csv");
  assert.equal(found.contentLanguage, "en-GB");
  assert.equal(found.contentEncoding, "identity");
  assert.equal(found.contentDisposition, "inline");
  assert.equal(found.cacheControl, "no-store");
  assert.deepEqual(found.metadata, { source: "tests" });
  assert.equal((await file.getAccessControl()).acl.length, 3);
  assert.deepEqual((await file.getAccessControl()).permissions.group, { read: true, write: true, execute: false });
});

test("appends become content when they are flushed, in any order", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await file.create();
  await file.append(Buffer.from("lake"), 6, 4);
  await file.append(Buffer.from("local "), 0, 6);
  assert.equal((await file.getProperties()).contentLength, 0);
  const flushed = await file.flush(10);
  assert.equal(await readText(file), "local lake");
  assert.equal((await file.getProperties()).etag, flushed.etag);
});

test("an append may flush at once", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await file.create();
  await file.append(Buffer.from("one"), 0, 3, { flush: true });
  await file.append(Buffer.from("two"), 3, 3, { flush: true });
  assert.equal(await readText(file), "onetwo");
});

test("a flush at a wrong place is refused and changes nothing", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  await file.append(Buffer.from("xyz"), 5, 3);
  await refused(file.flush(8), 400, "InvalidFlushPosition");
  assert.equal(await readText(file), "abc");
});

test("bytes past the flush are kept only when it is asked for", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const kept = fileSystem.getFileClient("kept");
  await kept.create();
  await kept.append(Buffer.from("abcdef"), 0, 3);
  await kept.append(Buffer.from("def"), 3, 3);
  await kept.flush(3, { retainUncommittedData: true });
  await kept.flush(6);
  assert.equal(await readText(kept), "abcdef");
  const dropped = fileSystem.getFileClient("dropped");
  await dropped.create();
  await dropped.append(Buffer.from("abc"), 0, 3);
  await dropped.append(Buffer.from("def"), 3, 3);
  await dropped.flush(3);
  await refused(dropped.flush(6), 400, "InvalidFlushPosition");
  assert.equal(await readText(dropped), "abc");
});

test("a flush sets headers and keeps the MD5 that it is given", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await file.create();
  await file.append(Buffer.from("abc"), 0, 3);
  const contentMD5 = createHash("md5").update("abc").digest();
  await file.flush(3, { close: true, pathHttpHeaders: { contentMD5, contentType: "text/plain", cacheControl: "no-cache" } });
  const found = await file.getProperties();
  assert.deepEqual(Buffer.from(found.contentMD5), contentMD5);
  assert.equal(found.contentType, "text/plain");
  assert.equal(found.cacheControl, "no-cache");
});

test("headers and metadata are replaced", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const before = await file.getProperties();
  await file.setHttpHeaders({ contentType: "application/json", contentLanguage: "de" });
  await file.setMetadata({ a: "1", b: "two words" });
  const after = await file.getProperties();
  assert.equal(after.contentType, "application/json");
  assert.equal(after.contentLanguage, "de");
  assert.deepEqual(after.metadata, { a: "1", b: "two words" });
  assert.notEqual(after.etag, before.etag);
  assert.equal(await readText(file), "abc");
});

test("ranges are read as they are asked for", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "0123456789");
  assert.equal(await readText(file, 3, 4), "3456");
  assert.equal(await readText(file, 8), "89");
  const response = await file.read(2, 3);
  assert.equal(response._response.status, 206);
  assert.equal(response.contentRange, "bytes 2-4/10");
  assert.equal(response.contentLength, 3);
  await refused(file.read(10, 1), 416, "InvalidRange");
});

test("the MD5 of a range is answered when it is asked for", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "0123456789");
  const response = await file.read(1, 4, { rangeGetContentMD5: true });
  assert.deepEqual(Buffer.from(response.contentMD5), createHash("md5").update("1234").digest());
});

test("create empties a file that is there, unless a condition says no", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  assert.equal((await file.createIfNotExists()).succeeded, false);
  await refused(file.create({ conditions: { ifNoneMatch: "*" } }), 409, "PathAlreadyExists");
  assert.equal(await readText(file), "abc");
  await file.create();
  assert.equal((await file.getProperties()).contentLength, 0);
});

test("what is not there is said to be missing", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("nothing");
  assert.equal(await file.exists(), false);
  await refused(file.getProperties(), 404, "BlobNotFound");
  await refused(file.read(), 404, "BlobNotFound");
  await refused(file.append(Buffer.from("a"), 0, 1), 404, "PathNotFound");
  await refused(file.delete(), 404, "PathNotFound");
  await refused(file.getAccessControl(), 404, "PathNotFound");
  assert.equal((await file.deleteIfExists()).succeeded, false);
});

test("a file is deleted", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  await file.delete();
  assert.equal(await file.exists(), false);
});

test("a file expires when it was told to", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const expiresOn = new Date(Math.floor(Date.now() / 1000) * 1000 + 3600 * 1000);
  await file.setExpiry("Absolute", { expiresOn });
  assert.deepEqual((await file.getProperties()).expiresOn, expiresOn);
  await file.setExpiry("NeverExpire");
  assert.equal((await file.getProperties()).expiresOn, undefined);
  await file.setExpiry("RelativeToNow", { timeToExpireInMs: 200 });
  await new Promise((done) => setTimeout(done, 1500));
  assert.equal(await file.exists(), false);
});

test("a file is made with its expiry", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await file.create({ expiresOn: 3_600_000 });
  const found = await file.getProperties();
  assert.ok(Math.abs(found.expiresOn - found.createdOn - 3_600_000) < 2000, String(found.expiresOn));
});

test("a query picks rows of CSV", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f.csv", "1,a\n2,b\n");
  const response = await file.query("select _2 from BlobStorage where _1 = '2'");
  let text = "";
  for await (const chunk of response.readableStreamBody) text += chunk;
  assert.equal(text.trim(), "b");
});
