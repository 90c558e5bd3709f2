// Owners, permissions and access control lists, one path or a whole tree.

import assert from "node:assert/strict";
import { test } from "node:test";

import { freshFileSystem, refused, writeFile } from "./lake.js";

const ZOE = "11111111-2222-3333-4444-555555555555";
const bits = (text) => ({ read: text[0] === "r", write: text[1] === "w", execute: text[2] === "x" });
const entry = (accessControlType, text, entityId = "", defaultScope = false) => ({
  accessControlType,
  entityId,
  defaultScope,
  permissions: bits(text),
});
const shown = (acl) =>
  acl.map((e) => {
    const letters = (e.permissions.read ? "r" : "-") + (e.permissions.write ? "w" : "-") + (e.permissions.execute ? "x" : "-");
    return `${e.defaultScope ? "default:" : ""}${e.accessControlType}:${e.entityId}:${letters}`;
  });

test("a new path has the service's owner and permissions", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "d/f", "x");
  const found = await file.getAccessControl();
  assert.equal(found.owner, "$superuser");
  assert.equal(found.group, "$superuser");
  assert.deepEqual(shown(found.acl), ["user::rw-", "group::r--", "other::---"]);
  const directory = await fileSystem.getDirectoryClient("d").getAccessControl();
  assert.deepEqual(shown(directory.acl), ["user::rwx", "group::r-x", "other::---"]);
});

test("permissions are set, with the sticky bit", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create();
  await directory.setPermissions({ owner: bits("rwx"), group: bits("r-x"), other: bits("--x"), stickyBit: true, extendedAcls: false });
  const { permissions } = await directory.getAccessControl();
  assert.equal(permissions.stickyBit, true);
  assert.deepEqual(permissions.other, bits("--x"));
});

test("an access control list is replaced, and a mask comes with names", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "x");
  await file.setAccessControl([entry("user", "rwx"), entry("group", "r--"), entry("other", "---"), entry("user", "rwx", ZOE)], {
    owner: ZOE,
    group: "staff",
  });
  const found = await file.getAccessControl();
  assert.equal(found.owner, ZOE);
  assert.equal(found.group, "staff");
  assert.deepEqual(shown(found.acl), ["user::rwx", `user:${ZOE}:rwx`, "group::r--", "mask::rwx", "other::---"]);
  assert.equal(found.permissions.extendedAcls, true);
});

test("a list without its base entries is refused", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "x");
  await assert.rejects(file.setAccessControl([entry("user", "rwx", ZOE)]), (error) => error.statusCode === 400);
});

// Default entries are a template for children, so a directory alone can have them.
test("a file has no default entries", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "x");
  const list = [entry("user", "rwx"), entry("group", "r--"), entry("other", "---"), entry("user", "rwx", ZOE, true)];
  try {
    await file.setAccessControl(list);
  } catch (error) {
    assert.equal(error.statusCode, 400);
  }
  assert.ok((await file.getAccessControl()).acl.every((e) => !e.defaultScope));
});

test("children inherit the default list", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const directory = fileSystem.getDirectoryClient("d");
  await directory.create();
  await directory.setAccessControl([
    entry("user", "rwx"),
    entry("group", "r-x"),
    entry("other", "---"),
    entry("user", "rwx", "", true),
    entry("user", "r-x", ZOE, true),
    entry("group", "r-x", "", true),
    entry("mask", "r-x", "", true),
    entry("other", "---", "", true),
  ]);
  const child = fileSystem.getDirectoryClient("d/e");
  await child.create();
  const acl = shown((await child.getAccessControl()).acl);
  assert.ok(acl.includes(`user:${ZOE}:r-x`), acl.join());
  assert.ok(acl.includes(`default:user:${ZOE}:r-x`), acl.join());
  const file = await writeFile(fileSystem, "d/f", "x");
  const fileAcl = shown((await file.getAccessControl()).acl);
  assert.ok(fileAcl.some((e) => e.startsWith(`user:${ZOE}:`)), fileAcl.join());
  assert.ok(!fileAcl.some((e) => e.startsWith("default:")), fileAcl.join());
});

async function tree(t) {
  const fileSystem = await freshFileSystem(t);
  for (const path of ["d/a", "d/b", "d/e/c", "d/e/f/g"]) await writeFile(fileSystem, path, path);
  return fileSystem;
}

test("a whole tree is changed, replaced and cleared, in batches", async (t) => {
  const fileSystem = await tree(t);
  const directory = fileSystem.getDirectoryClient("d");
  const seen = [];
  const changed = await directory.updateAccessControlRecursive([entry("user", "r-x", ZOE)], {
    batchSize: 2,
    onProgress: ({ batchCounters }) => seen.push(batchCounters),
  });
  assert.deepEqual(
    [changed.counters.changedDirectoriesCount, changed.counters.changedFilesCount, changed.counters.failedChangesCount],
    [3, 4, 0],
  );
  assert.equal(seen.length, 4, "seven paths in batches of two");
  const deep = fileSystem.getFileClient("d/e/f/g");
  assert.ok(shown((await deep.getAccessControl()).acl).includes(`user:${ZOE}:r-x`));
  await directory.removeAccessControlRecursive([{ accessControlType: "user", entityId: ZOE, defaultScope: false }]);
  assert.ok(!shown((await deep.getAccessControl()).acl).some((e) => e.includes(ZOE)));
  const replaced = await directory.setAccessControlRecursive([entry("user", "rw-"), entry("group", "---"), entry("other", "---")]);
  assert.equal(replaced.counters.changedFilesCount, 4);
  assert.equal(replaced.continuationToken, undefined);
  assert.deepEqual(shown((await deep.getAccessControl()).acl), ["user::rw-", "group::---", "other::---"]);
});

test("a recursive change stops after so many batches and goes on from there", async (t) => {
  const fileSystem = await tree(t);
  const directory = fileSystem.getDirectoryClient("d");
  const acl = [entry("user", "r-x", ZOE)];
  const first = await directory.updateAccessControlRecursive(acl, { batchSize: 3, maxBatches: 1 });
  assert.equal(first.counters.changedDirectoriesCount + first.counters.changedFilesCount, 3);
  assert.ok(first.continuationToken);
  const rest = await directory.updateAccessControlRecursive(acl, { batchSize: 3, continuationToken: first.continuationToken });
  assert.equal(rest.counters.changedDirectoriesCount + rest.counters.changedFilesCount, 4);
  assert.equal(rest.continuationToken, undefined);
});

test("a recursive change of what is not there is refused", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const missing = fileSystem.getDirectoryClient("missing");
  // The client wraps the answer into an error of its own.
  await assert.rejects(missing.updateAccessControlRecursive([entry("user", "r-x", ZOE)]), (error) => {
    assert.equal(error.innerError.statusCode, 404);
    assert.equal(error.innerError.code, "PathNotFound");
    return true;
  });
});

test("the access list of the root is read and changed", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const root = fileSystem.getDirectoryClient("/");
  assert.deepEqual(shown((await root.getAccessControl()).acl), ["user::rwx", "group::r-x", "other::---"]);
  await root.setAccessControl([entry("user", "rwx"), entry("group", "rwx"), entry("other", "---")]);
  assert.deepEqual(shown((await root.getAccessControl()).acl), ["user::rwx", "group::rwx", "other::---"]);
});

test("access control keeps conditions", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "x");
  const acl = [entry("user", "rwx"), entry("group", "r--"), entry("other", "---")];
  await refused(file.setAccessControl(acl, { conditions: { ifMatch: '"0x1"' } }), 412, "ConditionNotMet");
  await refused(file.getAccessControl({ conditions: { ifMatch: '"0x1"' } }), 412, "ConditionNotMet");
});
