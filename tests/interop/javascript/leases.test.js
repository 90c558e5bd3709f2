// Leases on files and directories, and what they guard.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, readText, refused, writeFile } from "./lake.js";

const ID = "11111111-1111-1111-1111-111111111111";
const OTHER = "22222222-2222-2222-2222-222222222222";

test("a lease is taken, renewed, changed and given back", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const lease = file.getDataLakeLeaseClient(ID);
  assert.equal((await lease.acquireLease(15)).leaseId, ID);
  const leased = await file.getProperties();
  assert.deepEqual([leased.leaseState, leased.leaseStatus, leased.leaseDuration], ["leased", "locked", "fixed"]);
  await lease.renewLease();
  await lease.changeLease(OTHER);
  await refused(file.getDataLakeLeaseClient(ID).renewLease(), 409, "LeaseIdMismatchWithLeaseOperation");
  await refused(file.getDataLakeLeaseClient(ID).acquireLease(15), 409, "LeaseAlreadyPresent");
  await file.getDataLakeLeaseClient(OTHER).releaseLease();
  const free = await file.getProperties();
  assert.deepEqual([free.leaseState, free.leaseStatus, free.leaseDuration], ["available", "unlocked", undefined]);
});

test("a lease is broken at once or after a while", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const lease = file.getDataLakeLeaseClient(ID);
  await lease.acquireLease(-1);
  assert.ok((await lease.breakLease(30)).leaseTime > 0);
  assert.equal((await file.getProperties()).leaseState, "breaking");
  await refused(lease.changeLease(OTHER), 409, "LeaseIsBreakingAndCannotBeChanged");
  assert.equal((await lease.breakLease(0)).leaseTime, 0);
  assert.equal((await file.getProperties()).leaseState, "broken");
  await refused(lease.renewLease(), 409, "LeaseIsBrokenAndCannotBeRenewed");
  await file.getDataLakeLeaseClient(OTHER).acquireLease(15);
});

test("a lease runs out", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  await file.getDataLakeLeaseClient(ID).acquireLease(15);
  await refused(file.setMetadata({ a: "1" }), 412, "LeaseIdMissing");
  await new Promise((done) => setTimeout(done, 15_500));
  assert.equal((await file.getProperties()).leaseState, "expired");
  await file.setMetadata({ a: "1" });
});

test("durations that cannot be are refused", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  await refused(file.getDataLakeLeaseClient().acquireLease(14), 400, "InvalidHeaderValue");
  await refused(file.getDataLakeLeaseClient().acquireLease(61), 400, "InvalidHeaderValue");
});

const writes = {
  append: ["LeaseIdMissing", "LeaseIdMismatch", (file, conditions) => file.append(Buffer.from("d"), 3, 1, { conditions })],
  flush: ["LeaseIdMissing", "LeaseIdMismatch", (file, conditions) => file.flush(3, { conditions })],
  setMetadata: ["LeaseIdMissing", "LeaseIdMismatchWithBlobOperation", (file, conditions) => file.setMetadata({ a: "1" }, { conditions })],
  setHttpHeaders: ["LeaseIdMissing", "LeaseIdMismatchWithBlobOperation", (file, conditions) => file.setHttpHeaders({}, { conditions })],
  delete: ["LeaseIdMissing", "LeaseIdMismatch", (file, conditions) => file.delete(false, { conditions })],
};

for (const [name, [missing, wrong, operation]] of Object.entries(writes)) {
  test(`${name} on a leased file needs its lease`, async (t) => {
    const fileSystem = await freshFileSystem(t);
    const file = await writeFile(fileSystem, "f", "abc");
    await file.getDataLakeLeaseClient(ID).acquireLease(-1);
    await refused(operation(file, {}), 412, missing);
    await refused(operation(file, { leaseId: OTHER }), 412, wrong);
    await operation(file, { leaseId: ID });
  });
}

test("a read needs no lease, and refuses a wrong one", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "abc");
  const nobody = file.read(0, undefined, { conditions: { leaseId: ID } });
  await refused(nobody, 412, "LeaseNotPresentWithBlobOperation");
  await file.getDataLakeLeaseClient(ID).acquireLease(-1);
  assert.equal(await readText(file), "abc");
  const wrong = file.read(0, undefined, { conditions: { leaseId: OTHER } });
  await refused(wrong, 412, "LeaseIdMismatchWithBlobOperation");
});

test("a directory is leased as a file is", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create();
  const lease = directory.getDataLakeLeaseClient();
  await lease.acquireLease(-1);
  await refused(directory.delete(true), 412, "LeaseIdMissing");
  await directory.delete(true, { conditions: { leaseId: lease.leaseId } });
});

test("a rename needs the leases of both ends", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const from = await writeFile(fileSystem, "from", "new");
  const to = await writeFile(fileSystem, "to", "old");
  await from.getDataLakeLeaseClient(ID).acquireLease(-1);
  await to.getDataLakeLeaseClient(OTHER).acquireLease(-1);
  await refused(from.move("to"), 412, "LeaseIdMissing");
  await refused(from.move("to", { conditions: { leaseId: ID } }), 412, "LeaseIdMissing");
  await from.move("to", { conditions: { leaseId: ID }, destinationConditions: { leaseId: OTHER } });
  assert.equal(await readText(to), "new");
});

test("a file is made with a lease, and leases are taken, renewed and released while writing", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await file.create({ proposedLeaseId: ID, leaseDuration: 15 });
  const made = await file.getProperties();
  assert.deepEqual([made.leaseState, made.leaseDuration], ["leased", "fixed"]);
  await file.append(Buffer.from("abc"), 0, 3, { conditions: { leaseId: ID }, leaseAction: "auto-renew" });
  await file.flush(3, { conditions: { leaseId: ID }, leaseAction: "release" });
  assert.equal((await file.getProperties()).leaseState, "available");
  await file.append(Buffer.from("def"), 3, 3, { proposedLeaseId: OTHER, leaseDurationInSeconds: 15, leaseAction: "acquire" });
  assert.equal((await file.getProperties()).leaseState, "leased");
  await refused(file.flush(6), 412, "LeaseIdMissing");
  await file.flush(6, { conditions: { leaseId: OTHER } });
  assert.equal(await readText(file), "abcdef");
});

test("appends and flushes that take and give back a lease at once", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = fileSystem.getFileClient("f");
  await file.create();
  const both = { proposedLeaseId: ID, leaseDurationInSeconds: 15, leaseAction: "acquire-release" };
  await file.append(Buffer.from("abc"), 0, 3, { ...both, flush: true });
  assert.equal((await file.getProperties()).leaseState, "available");
  assert.equal(await readText(file), "abc");
});
