// Copies up, down and across.

import assert from "node:assert/strict";
import { createHash, randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { freshFileSystem, names, readText, serving, writeFile } from "../javascript/lake.js";
import { address, azcopy, contents, done, folder } from "./azcopy.js";

const FILES = {
  "a.txt": "first",
  "deep/down/b.csv": "1,2\n",
  "deep/with space & more.txt": "spaced",
  "ümläut/日本語.txt": "text",
  empty: "",
};

// AzCopy waits two seconds before it says that it is done, so several run at once.
describe("copies", { concurrency: 4 }, () => {
  test("a folder goes up by the DFS protocol and comes down", async (t) => {
    const fileSystem = await freshFileSystem(t);
    const up = folder(t, FILES);
    const sent = await done("copy", `${up}/*`, address(fileSystem.name), "--recursive", "--from-to", "LocalBlobFS");
    assert.equal(sent.done, 5);
    assert.equal(sent.failed, 0);
    const found = await names(fileSystem.listPaths({ recursive: true }));
    assert.ok(found.includes("deep/with space & more.txt"), found.join());
    assert.ok(found.includes("ümläut/日本語.txt"), found.join());
    assert.equal(await readText(fileSystem.getFileClient("deep/down/b.csv")), "1,2\n");
    const down = folder(t);
    const got = await done("copy", `${address(fileSystem.name + "/*").replace("%2A", "*")}`, down, "--recursive", "--from-to", "BlobFSLocal");
    assert.equal(got.done, 5);
    assert.deepEqual(contents(down), FILES);
  });

  test("a folder goes up by the Blob protocol and comes down", async (t) => {
    const fileSystem = await freshFileSystem(t);
    const up = folder(t, FILES);
    const blob = address(fileSystem.name, serving.blobEndpoint);
    assert.equal((await done("copy", `${up}/*`, blob, "--recursive", "--from-to", "LocalBlob")).done, 5);
    assert.equal(await readText(fileSystem.getFileClient("a.txt")), "first");
    const down = folder(t);
    await done("copy", blob, down, "--recursive", "--from-to", "BlobLocal");
    assert.deepEqual(contents(join(down, fileSystem.name)), FILES);
  });

  for (const [fromTo, back, endpoint] of [
    ["LocalBlobFS", "BlobFSLocal", () => serving.dfsEndpoint],
    ["LocalBlob", "BlobLocal", () => serving.blobEndpoint],
  ]) {
    test(`a large file goes up in blocks, with its MD5, and is checked on the way down (${fromTo})`, async (t) => {
      const fileSystem = await freshFileSystem(t);
      const content = randomFillSync(Buffer.alloc(40 * 1024 * 1024 + 77));
      const up = folder(t, { large: content });
      const there = address(`${fileSystem.name}/large`, endpoint());
      await done("copy", join(up, "large"), there, "--from-to", fromTo, "--block-size-mb", "4", "--put-md5");
      const properties = await fileSystem.getFileClient("large").getProperties();
      assert.equal(properties.contentLength, content.length);
      assert.deepEqual(Buffer.from(properties.contentMD5), createHash("md5").update(content).digest());
      const down = join(folder(t), "large");
      await done("copy", there, down, "--from-to", back, "--check-md5", "FailIfDifferentOrMissing", "--block-size-mb", "4");
      assert.ok(readFileSync(down).equals(content));
    });
  }

  test("headers and metadata are set on the way up", async (t) => {
    const fileSystem = await freshFileSystem(t);
    const up = folder(t, { f: "x" });
    await done(
      "copy",
      join(up, "f"),
      address(`${fileSystem.name}/f`, serving.blobEndpoint),
      "--from-to",
      "LocalBlob",
      "--content-type",
      "text/csv",
      "--cache-control",
      "no-store",
      "--metadata",
      "one=1;two=2",
    );
    const found = await fileSystem.getFileClient("f").getProperties();
    assert.equal(found.contentType, "text/csv");
    assert.equal(found.cacheControl, "no-store");
    assert.deepEqual(found.metadata, { one: "1", two: "2" });
  });

  test("what is there stays when overwriting is off", async (t) => {
    const fileSystem = await freshFileSystem(t);
    await writeFile(fileSystem, "f", "old");
    const up = folder(t, { f: "new" });
    const there = address(`${fileSystem.name}/f`);
    const kept = await azcopy("copy", join(up, "f"), there, "--from-to", "LocalBlobFS", "--overwrite", "false");
    assert.equal(kept.status, "CompletedWithSkipped", kept.text);
    assert.equal(await readText(fileSystem.getFileClient("f")), "old");
    await done("copy", join(up, "f"), there, "--from-to", "LocalBlobFS");
    assert.equal(await readText(fileSystem.getFileClient("f")), "new");
  });

  test("patterns choose what is copied", async (t) => {
    const fileSystem = await freshFileSystem(t);
    const up = folder(t, FILES);
    await done("copy", `${up}/*`, address(fileSystem.name), "--recursive", "--from-to", "LocalBlobFS", "--include-pattern", "*.csv");
    assert.deepEqual(await names(fileSystem.listPaths({ recursive: true })), ["deep", "deep/down", "deep/down/b.csv"]);
  });
});
