package interop

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/directory"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/filesystem"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/service"
)

func TestAWrongKeyIsRefused(t *testing.T) {
	wrong, err := azdatalake.NewSharedKeyCredential(account, base64.StdEncoding.EncodeToString([]byte("secret")))
	ok(t, err)
	other, err := service.NewClientWithSharedKeyCredential(lake.DfsEndpoint, wrong, serviceOptions())
	ok(t, err)
	_, err = other.NewFileSystemClient("any").NewFileClient("f").Create(ctx, nil)
	refused(t, err, 403, "AuthenticationFailed")
	_, err = other.NewFileSystemClient("any").GetProperties(ctx, nil)
	refused(t, err, 403, "AuthenticationFailed")
}

func TestAConnectionStringLeadsToTheSameLake(t *testing.T) {
	name, fs := freshFileSystem(t)
	write(t, fs, "f", "x")
	text := "DefaultEndpointsProtocol=http;AccountName=" + account + ";AccountKey=" + key +
		";BlobEndpoint=" + lake.BlobEndpoint + ";"
	other, err := service.NewClientFromConnectionString(text, serviceOptions())
	ok(t, err)
	same(t, list(t, other.NewFileSystemClient(name), true, ""), []string{"f"})
}

// The query of a signed address, put behind another one.
func signedAs(t *testing.T, name string, parameters sas.QueryParameters) *filesystem.Client {
	t.Helper()
	opened, err := filesystem.NewClientWithNoCredential(
		lake.DfsEndpoint+"/"+name+"?"+parameters.Encode(), &filesystem.ClientOptions{ClientOptions: coreOptions()})
	ok(t, err)
	return opened
}

func sign(t *testing.T, values sas.DatalakeSignatureValues) sas.QueryParameters {
	t.Helper()
	parameters, err := values.SignWithSharedKey(credential())
	ok(t, err)
	return parameters
}

func TestASignatureForAFilesystemOpensWhatItPermits(t *testing.T) {
	name, fs := freshFileSystem(t)
	write(t, fs, "f", "x")
	reader := signedAs(t, name, sign(t, sas.DatalakeSignatureValues{
		Protocol:       sas.ProtocolHTTPSandHTTP,
		ExpiryTime:     time.Now().Add(time.Hour).UTC(),
		FileSystemName: name,
		Permissions:    (&sas.FileSystemPermissions{Read: true, List: true}).String(),
	}))
	equal(t, read(t, reader.NewFileClient("f")), "x")
	same(t, list(t, reader, true, ""), []string{"f"})
	_, err := reader.NewFileClient("g").Create(ctx, nil)
	refused(t, err, 403, "AuthorizationPermissionMismatch")
	_, err = reader.NewFileClient("f").Delete(ctx, nil)
	refused(t, err, 403, "AuthorizationPermissionMismatch")
}

func TestASignatureForADirectoryEndsAtItsBorder(t *testing.T) {
	name, fs := freshFileSystem(t)
	write(t, fs, "in/side", "1")
	write(t, fs, "out/side", "2")
	parameters := sign(t, sas.DatalakeSignatureValues{
		ExpiryTime:     time.Now().Add(time.Hour).UTC(),
		FileSystemName: name,
		DirectoryPath:  "in",
		Permissions:    (&sas.DirectoryPermissions{Read: true, List: true}).String(),
	})
	reader := signedAs(t, name, parameters)
	equal(t, read(t, reader.NewFileClient("in/side")), "1")
	_, err := reader.NewFileClient("out/side").DownloadStream(ctx, nil)
	refused(t, err, 403, "AuthenticationFailed")
	inside, err := directory.NewClientWithNoCredential(lake.DfsEndpoint+"/"+name+"/in?"+parameters.Encode(),
		&directory.ClientOptions{ClientOptions: coreOptions()})
	ok(t, err)
	f, err := inside.NewFileClient("side")
	ok(t, err)
	equal(t, read(t, f), "1")
}

func TestAnExpiredSignatureIsRefused(t *testing.T) {
	name, _ := freshFileSystem(t)
	reader := signedAs(t, name, sign(t, sas.DatalakeSignatureValues{
		ExpiryTime:     time.Now().Add(-time.Hour).UTC(),
		FileSystemName: name,
		Permissions:    (&sas.FileSystemPermissions{Read: true, List: true}).String(),
	}))
	_, err := reader.NewListPathsPager(true, nil).NextPage(ctx)
	refused(t, err, 403, "AuthenticationFailed")
}

func TestASignatureForTheAccountListsFilesystems(t *testing.T) {
	name, _ := freshFileSystem(t)
	url, err := client.GetSASURL(
		sas.AccountResourceTypes{Service: true, Container: true, Object: true},
		sas.AccountPermissions{Read: true, List: true}, time.Now().Add(time.Hour), nil)
	ok(t, err)
	other, err := service.NewClientWithNoCredential(url, serviceOptions())
	ok(t, err)
	page, err := other.NewListFileSystemsPager(&service.ListFileSystemsOptions{Prefix: &name}).NextPage(ctx)
	ok(t, err)
	equal(t, len(page.FileSystemItems), 1)
	equal(t, *page.FileSystemItems[0].Name, name)
	_, err = other.NewFileSystemClient(name).NewFileClient("f").Create(ctx, nil)
	refused(t, err, 403, "AuthorizationPermissionMismatch")
}
