// Synchronizes, lists, removes and sets properties.

import assert from "node:assert/strict";
import { rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { freshFileSystem, names, readText, serving, writeFile } from "../javascript/lake.js";
import { address, azcopy, contents, done, folder } from "./azcopy.js";

// AzCopy waits two seconds before it says that it is done, so several run at once.
describe("what else AzCopy does", { concurrency: 4 }, () => {
  test("a folder is synchronized up: what is new goes, what is gone is deleted", async (t) => {
    const fileSystem = await freshFileSystem(t);
    const local = folder(t, { "a.txt": "1", "d/b.txt": "2" });
    // The lake tells times to the second, so files of this very second would count as newer.
    for (const name of ["a.txt", "d/b.txt"]) utimesSync(join(local, name), 1_700_000_000, 1_700_000_000);
    const there = address(fileSystem.name, serving.blobEndpoint);
    const first = await done("sync", local, there, "--from-to", "LocalBlob", "--delete-destination", "true");
    assert.equal(first.done, 2);
    const again = await done("sync", local, there, "--from-to", "LocalBlob", "--delete-destination", "true");
    assert.ok(!again.done, again.text);
    rmSync(join(local, "a.txt"));
    writeFileSync(join(local, "d/c.txt"), "3");
    await done("sync", local, there, "--from-to", "LocalBlob", "--delete-destination", "true");
    const found = await names(fileSystem.listPaths({ recursive: true }));
    assert.deepEqual(found.filter((name) => name.endsWith(".txt")), ["d/b.txt", "d/c.txt"]);
  });

  test("a folder is synchronized down", async (t) => {
    const fileSystem = await freshFileSystem(t);
    await writeFile(fileSystem, "d/f", "there");
    await writeFile(fileSystem, "g", "too");
    const local = folder(t, { stale: "x" });
    const from = address(fileSystem.name, serving.blobEndpoint);
    await done("sync", from, local, "--from-to", "BlobLocal", "--delete-destination", "true");
    assert.deepEqual(contents(local), { "d/f": "there", g: "too" });
  });

  test("paths are listed", async (t) => {
    const fileSystem = await freshFileSystem(t);
    await writeFile(fileSystem, "d/f", "four");
    await writeFile(fileSystem, "with space", "x");
    const listed = await done("list", address(fileSystem.name), "--location", "BlobFS", "--machine-readable");
    assert.match(listed.text, /d\/f; +Content Length: 4/);
    assert.match(listed.text, /with space; +Content Length: 1/);
    const blobs = await done("list", address(fileSystem.name, serving.blobEndpoint), "--location", "Blob", "--machine-readable");
    assert.match(blobs.text, /d\/f; +Content Length: 4/);
  });

  test("a directory is removed with all below it", async (t) => {
    const fileSystem = await freshFileSystem(t);
    await writeFile(fileSystem, "d/e/f", "x");
    await writeFile(fileSystem, "d/g", "x");
    await writeFile(fileSystem, "stays", "x");
    await done("remove", address(`${fileSystem.name}/d`), "--recursive", "--from-to", "BlobFSTrash");
    assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), ["stays"]);
    await done("remove", address(`${fileSystem.name}/stays`), "--from-to", "BlobFSTrash");
    assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), []);
  });

  test("blobs are removed one by one", async (t) => {
    const fileSystem = await freshFileSystem(t);
    await writeFile(fileSystem, "d/e/f", "x");
    await writeFile(fileSystem, "d/g", "x");
    const there = address(`${fileSystem.name}/d`, serving.blobEndpoint);
    // It deletes directories at the same time as what is in them, so some may be refused, as in Azure.
    const result = await azcopy("remove", there, "--recursive", "--from-to", "BlobTrash");
    assert.equal(result.failed, 0, result.text);
    const left = await names(fileSystem.listPaths({ recursive: true }));
    assert.ok(!left.includes("d/g") && !left.includes("d/e/f"), left.join());
  });

  test("what is not there cannot be removed", async (t) => {
    const fileSystem = await freshFileSystem(t);
    const result = await azcopy("remove", address(`${fileSystem.name}/missing`), "--from-to", "BlobFSTrash");
    assert.notEqual(result.code, 0);
  });

  test("metadata and tier are set afterwards", async (t) => {
    const fileSystem = await freshFileSystem(t);
    await writeFile(fileSystem, "f", "x");
    const there = address(`${fileSystem.name}/f`, serving.blobEndpoint);
    await done("set-properties", there, "--from-to", "BlobNone", "--metadata", "set=later", "--block-blob-tier", "cool");
    const found = await fileSystem.getFileClient("f").getProperties();
    assert.deepEqual(found.metadata, { set: "later" });
    assert.equal(found.accessTier, "Cool");
  });

  test("a wrong signature is an error", async (t) => {
    const fileSystem = await freshFileSystem(t);
    const local = folder(t, { f: "x" });
    const wrong = address(`${fileSystem.name}/f`).replace(/sig=[^&]+/, "sig=AAAA");
    const result = await azcopy("copy", join(local, "f"), wrong, "--from-to", "LocalBlobFS");
    assert.notEqual(result.code, 0);
    assert.match(result.text, /AuthenticationFailed|403/);
    assert.equal(await fileSystem.getFileClient("f").exists(), false);
  });

  test("files are copied between filesystems by the server", async (t) => {
    const from = await freshFileSystem(t);
    const to = await freshFileSystem(t);
    await writeFile(from, "d/f", "across");
    await done(
      "copy",
      address(`${from.name}/d`, serving.blobEndpoint),
      address(to.name, serving.blobEndpoint),
      "--recursive",
      "--from-to",
      "BlobBlob",
    );
    assert.equal(await readText(to.getFileClient("d/f")), "across");
  });
});
