// Shared keys, shared access signatures and connection strings.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  DataLakeFileSystemClient,
  DataLakeServiceClient,
  DirectorySASPermissions,
  FileSystemSASPermissions,
  SASProtocol,
  StorageSharedKeyCredential,
} from "@azure/storage-file-datalake";

import {
  ACCOUNT,
  KEY,
  accountSignature,
  freshFileSystem,
  names,
  options,
  readText,
  refused,
  serving,
  writeFile,
} from "./lake.js";

const soon = () => new Date(Date.now() + 3600 * 1000);

test("a wrong key is refused", async () => {
  const wrong = new StorageSharedKeyCredential(ACCOUNT, Buffer.from("secret").toString("base64"));
  const client = new DataLakeServiceClient(serving.dfsEndpoint, wrong, options);
  await refused(client.getFileSystemClient("any").getFileClient("f").create(), 403, "AuthenticationFailed");
  await refused(client.listFileSystems().next(), 403, "AuthenticationFailed");
});

test("a connection string leads to the same lake", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "f", "x");
  const text =
    `DefaultEndpointsProtocol=http;AccountName=${ACCOUNT};AccountKey=${KEY};` +
    `BlobEndpoint=${serving.blobEndpoint};DfsEndpoint=${serving.dfsEndpoint};`;
  const client = DataLakeServiceClient.fromConnectionString(text, options);
  assert.deepEqual(await names(client.getFileSystemClient(fileSystem.name).listPaths()), ["f"]);
});

test("a signature for a filesystem opens what it permits", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "d/f", "x");
  const url = await fileSystem.generateSasUrl({
    permissions: FileSystemSASPermissions.parse("rl"),
    expiresOn: soon(),
    protocol: SASProtocol.HttpsAndHttp,
  });
  const reader = new DataLakeFileSystemClient(url, undefined, options);
  assert.equal(await readText(reader.getFileClient("d/f")), "x");
  assert.deepEqual(await names(reader.listPaths()), ["d"]);
  await refused(reader.getFileClient("g").create(), 403, "AuthorizationPermissionMismatch");
  await refused(reader.getDirectoryClient("d").delete(true), 403, "AuthorizationPermissionMismatch");
});

test("a signature for writing does not read", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const url = await fileSystem.generateSasUrl({ permissions: FileSystemSASPermissions.parse("acwm"), expiresOn: soon() });
  const writer = new DataLakeFileSystemClient(url, undefined, options);
  const file = writer.getFileClient("f");
  await file.upload(Buffer.from("written"));
  await refused(file.read(), 403, "AuthorizationPermissionMismatch");
  await file.move("g");
  assert.equal(await readText(fileSystem.getFileClient("g")), "written");
});

test("a signature for a directory ends at its border", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "in/side", "1");
  await writeFile(fileSystem, "out/side", "2");
  const url = await fileSystem.getDirectoryClient("in").generateSasUrl({
    permissions: DirectorySASPermissions.parse("rl"),
    expiresOn: soon(),
  });
  const query = url.slice(url.indexOf("?"));
  const reader = new DataLakeFileSystemClient(`${serving.dfsEndpoint}/${fileSystem.name}${query}`, undefined, options);
  assert.equal(await readText(reader.getFileClient("in/side")), "1");
  await refused(reader.getFileClient("out/side").read(), 403, "AuthenticationFailed");
});

test("a signature for a file opens only it", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const file = await writeFile(fileSystem, "f", "1");
  await writeFile(fileSystem, "g", "2");
  const url = await file.generateSasUrl({ permissions: DirectorySASPermissions.parse("r"), expiresOn: soon() });
  const query = url.slice(url.indexOf("?"));
  const reader = new DataLakeFileSystemClient(`${serving.dfsEndpoint}/${fileSystem.name}${query}`, undefined, options);
  assert.equal(await readText(reader.getFileClient("f")), "1");
  await refused(reader.getFileClient("g").read(), 403, "AuthenticationFailed");
});

test("an expired signature is refused", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const url = await fileSystem.generateSasUrl({
    permissions: FileSystemSASPermissions.parse("rl"),
    startsOn: new Date(Date.now() - 7200 * 1000),
    expiresOn: new Date(Date.now() - 3600 * 1000),
  });
  const reader = new DataLakeFileSystemClient(url, undefined, options);
  await refused(reader.listPaths().next(), 403, "AuthenticationFailed");
});

test("a signature for the account lists filesystems", async (t) => {
  const fileSystem = await freshFileSystem(t);
  const client = new DataLakeServiceClient(`${serving.dfsEndpoint}?${accountSignature("rl")}`, undefined, options);
  const found = await names(client.listFileSystems({ prefix: fileSystem.name }));
  assert.deepEqual(found, [fileSystem.name]);
  await refused(client.getFileSystemClient(fileSystem.name).getFileClient("f").create(), 403, "AuthorizationPermissionMismatch");
});

test("a stored policy gives a signature its limits", async (t) => {
  const fileSystem = await freshFileSystem(t);
  await writeFile(fileSystem, "f", "x");
  await fileSystem.setAccessPolicy(undefined, [
    { id: "readers", accessPolicy: { expiresOn: soon(), permissions: "rl" } },
  ]);
  const url = await fileSystem.generateSasUrl({ identifier: "readers" });
  const reader = new DataLakeFileSystemClient(url, undefined, options);
  assert.equal(await readText(reader.getFileClient("f")), "x");
  await fileSystem.setAccessPolicy();
  await refused(reader.getFileClient("f").read(), 403, "AuthenticationFailed");
});
