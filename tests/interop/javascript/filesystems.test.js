// Filesystems: made, described, listed, leased, refused and deleted.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, freshName, refused, service } from "./lake.js";

test("a filesystem is made once", async (t) => {
  const fileSystem = service.getFileSystemClient(freshName());
  assert.equal(await fileSystem.exists(), false);
  const made = await fileSystem.create({ metadata: { purpose: "tests", owner: "Zoe" } });
  t.after(() => fileSystem.delete());
  assert.match(made.etag, /^"0x[0-9A-F]+"$/);
  assert.ok(made.lastModified instanceof Date);
  assert.equal(await fileSystem.exists(), true);
  await refused(fileSystem.create(), 409, "ContainerAlreadyExists");
  assert.equal((await fileSystem.createIfNotExists()).succeeded, false);
});

test("createIfNotExists and deleteIfExists say whether they did something", async () => {
  const fileSystem = service.getFileSystemClient(freshName());
  assert.equal((await fileSystem.createIfNotExists()).succeeded, true);
  assert.equal((await fileSystem.deleteIfExists()).succeeded, true);
  assert.equal((await fileSystem.deleteIfExists()).succeeded, false);
});

test("its properties and metadata are kept and replaced as a whole", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const before = await fileSystem.getProperties();
  assert.deepEqual(before.metadata ?? {}, {});
  assert.equal(before.leaseState, "available");
  assert.equal(before.leaseStatus, "unlocked");
  await fileSystem.setMetadata({ one: "1", two: "2" });
  await fileSystem.setMetadata({ three: "3" });
  const after = await fileSystem.getProperties();
  assert.deepEqual(after.metadata, { three: "3" });
  assert.notEqual(after.etag, before.etag);
});

test("metadata is set only under its conditions", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const old = new Date(Date.now() - 24 * 3600 * 1000);
  const ahead = new Date(Date.now() + 24 * 3600 * 1000);
  await refused(fileSystem.setMetadata({ a: "b" }, { conditions: { ifModifiedSince: ahead } }), 412, "ConditionNotMet");
  await fileSystem.setMetadata({ a: "b" }, { conditions: { ifModifiedSince: old } });
  await refused(fileSystem.delete({ conditions: { ifUnmodifiedSince: old } }), 412, "ConditionNotMet");
  assert.equal(await fileSystem.exists(), true);
});

test("names that break the rules are refused", async () => {
  for (const name of ["ab", "Upper", "two--dashes", "-front", "x".repeat(64)]) {
    await refused(service.getFileSystemClient(name).create(), 400, "InvalidResourceName");
  }
});

test("what is not there is said to be missing", async () => {
  const fileSystem = service.getFileSystemClient(freshName());
  await refused(fileSystem.getProperties(), 404, "ContainerNotFound");
  await refused(fileSystem.delete(), 404, "ContainerNotFound");
  await refused(fileSystem.getFileClient("a").create(), 404, "FilesystemNotFound");
  await refused(fileSystem.listPaths().next(), 404, "FilesystemNotFound");
});

test("filesystems are listed by prefix, in order, page by page, with metadata", async (t) => {
  const prefix = freshName();
  const wanted = [];
  for (const end of ["a", "b", "c", "d", "e"]) {
    const fileSystem = service.getFileSystemClient(`${prefix}-${end}`);
    await fileSystem.create({ metadata: { end } });
    t.after(() => fileSystem.delete());
    wanted.push({ name: fileSystem.name, end });
  }
  const found = [];
  let pages = 0;
  for await (const page of service.listFileSystems({ prefix, includeMetadata: true }).byPage({ maxPageSize: 2 })) {
    assert.ok(page.fileSystemItems.length <= 2);
    pages += 1;
    for (const item of page.fileSystemItems) found.push({ name: item.name, end: item.metadata.end });
  }
  assert.deepEqual(found, wanted);
  assert.equal(pages, 3);
  const plain = (await service.listFileSystems({ prefix }).next()).value;
  assert.deepEqual(plain.metadata ?? {}, {});
});

test("a list goes on from its continuation", async (t) => {
  const prefix = freshName();
  for (const end of ["a", "b", "c"]) {
    const fileSystem = service.getFileSystemClient(`${prefix}-${end}`);
    await fileSystem.create();
    t.after(() => fileSystem.delete());
  }
  const first = (await service.listFileSystems({ prefix }).byPage({ maxPageSize: 2 }).next()).value;
  const rest = service.listFileSystems({ prefix }).byPage({ continuationToken: first.continuationToken });
  const second = (await rest.next()).value;
  assert.deepEqual(second.fileSystemItems.map((item) => item.name), [`${prefix}-c`]);
});

test("a lease on a filesystem guards its deletion", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const lease = fileSystem.getDataLakeLeaseClient();
  await lease.acquireLease(-1);
  const leased = await fileSystem.getProperties();
  assert.equal(leased.leaseState, "leased");
  assert.equal(leased.leaseDuration, "infinite");
  await refused(fileSystem.delete(), 412, "LeaseIdMissing");
  const other = fileSystem.getDataLakeLeaseClient("00000000-0000-0000-0000-00000000000a");
  await refused(other.renewLease(), 409, "LeaseIdMismatchWithLeaseOperation");
  await lease.renewLease();
  await lease.releaseLease();
  assert.equal((await fileSystem.getProperties()).leaseState, "available");
});

test("public access and stored policies are kept", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const startsOn = new Date("2026-01-01T00:00:00Z");
  const expiresOn = new Date("2036-01-01T00:00:00Z");
  await fileSystem.setAccessPolicy("file", [
    { id: "readers", accessPolicy: { startsOn, expiresOn, permissions: "rl" } },
  ]);
  const found = await fileSystem.getAccessPolicy();
  assert.equal(found.publicAccess, "file");
  assert.equal(found.signedIdentifiers.length, 1);
  const [policy] = found.signedIdentifiers;
  assert.equal(policy.id, "readers");
  assert.deepEqual(policy.accessPolicy.startsOn, startsOn);
  assert.deepEqual(policy.accessPolicy.expiresOn, expiresOn);
  assert.equal(policy.accessPolicy.permissions, "rl");
  assert.equal((await fileSystem.getProperties()).publicAccess, "file");
});
