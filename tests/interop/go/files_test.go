package interop

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/file"
)

func body(text string) io.ReadSeekCloser {
	return streaming.NopCloser(bytes.NewReader([]byte(text)))
}

func TestAFileIsMadeWithHeadersAndPermissions(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := fs.NewFileClient("deep/down/a.csv")
	must(t)(f.Create(ctx, &file.CreateOptions{
		HTTPHeaders: &file.HTTPHeaders{
			ContentType:        to.Ptr("text/csv"),
			ContentLanguage:    to.Ptr("en-GB"),
			ContentDisposition: to.Ptr("inline"),
			CacheControl:       to.Ptr("no-store"),
		},
		Permissions: to.Ptr("0766"),
		Umask:       to.Ptr("0000"),
		Owner:       to.Ptr("11111111-2222-3333-4444-555555555555"),
		Group:       to.Ptr("staff"),
	}))
	found, err := f.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, *found.ContentType, "text/csv")
	equal(t, *found.ContentLanguage, "en-GB")
	equal(t, *found.ContentDisposition, "inline")
	equal(t, *found.CacheControl, "no-store")
	equal(t, *found.ResourceType, "file")
	equal(t, *found.Permissions, "rwxrw-rw-")
	equal(t, *found.Owner, "11111111-2222-3333-4444-555555555555")
	equal(t, *found.Group, "staff")
}

func TestAppendsBecomeContentWhenTheyAreFlushed(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := fs.NewFileClient("f")
	must(t)(f.Create(ctx, nil))
	must(t)(f.AppendData(ctx, 6, body("lake"), nil))
	must(t)(f.AppendData(ctx, 0, body("local "), nil))
	equal(t, read(t, f), "")
	_, err := f.FlushData(ctx, 9, nil)
	ok(t, err)
	equal(t, read(t, f), "local lak")
	_, err = f.FlushData(ctx, 20, nil)
	refused(t, err, 400, "InvalidFlushPosition")
	must(t)(f.AppendData(ctx, 9, body("e!"), &file.AppendDataOptions{Flush: to.Ptr(true)}))
	equal(t, read(t, f), "local lake!")
}

func TestACrc64IsChecked(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := fs.NewFileClient("f")
	must(t)(f.Create(ctx, nil))
	must(t)(f.AppendData(ctx, 0, body("checked"), &file.AppendDataOptions{
		TransactionalValidation: file.TransferValidationTypeComputeCRC64(),
	}))
	_, err := f.AppendData(ctx, 7, body("broken"), &file.AppendDataOptions{
		TransactionalValidation: file.TransferValidationTypeCRC64(7),
	})
	refused(t, err, 400, "Crc64Mismatch")
	_, err = f.FlushData(ctx, 7, nil)
	ok(t, err)
	equal(t, read(t, f), "checked")
}

func TestLargeContentGoesUpAndDownInParallel(t *testing.T) {
	_, fs := freshFileSystem(t)
	content := make([]byte, 40<<20+12345)
	must(t)(rand.Read(content))
	sum := sha256.Sum256(content)

	f := fs.NewFileClient("buffer")
	must(t)(f.Create(ctx, nil))
	ok(t, f.UploadBuffer(ctx, content, &file.UploadBufferOptions{ChunkSize: 3 << 20, Concurrency: 8}))
	back := make([]byte, len(content))
	must(t)(f.DownloadBuffer(ctx, back, &file.DownloadBufferOptions{ChunkSize: 5 << 20, Concurrency: 6}))
	equal(t, sha256.Sum256(back), sum)

	stream := fs.NewFileClient("stream")
	must(t)(stream.Create(ctx, nil))
	ok(t, stream.UploadStream(ctx, bytes.NewReader(content), &file.UploadStreamOptions{ChunkSize: 4 << 20, Concurrency: 4}))
	whole, err := stream.DownloadStream(ctx, nil)
	ok(t, err)
	back, err = io.ReadAll(whole.Body)
	ok(t, err)
	equal(t, sha256.Sum256(back), sum)

	path := filepath.Join(t.TempDir(), "content")
	ok(t, os.WriteFile(path, content, 0o600))
	local, err := os.Open(path)
	ok(t, err)
	defer local.Close()
	up := fs.NewFileClient("file")
	must(t)(up.Create(ctx, nil))
	ok(t, up.UploadFile(ctx, local, &file.UploadFileOptions{ChunkSize: 8 << 20}))
	down, err := os.Create(path + ".down")
	ok(t, err)
	defer down.Close()
	must(t)(up.DownloadFile(ctx, down, nil))
	back, err = os.ReadFile(path + ".down")
	ok(t, err)
	equal(t, sha256.Sum256(back), sum)
}

func TestRangesAreRead(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "0123456789")
	part, err := f.DownloadStream(ctx, &file.DownloadStreamOptions{
		Range:              &file.HTTPRange{Offset: 2, Count: 3},
		RangeGetContentMD5: to.Ptr(true),
	})
	ok(t, err)
	text, err := io.ReadAll(part.Body)
	ok(t, err)
	equal(t, string(text), "234")
	equal(t, *part.ContentRange, "bytes 2-4/10")
	sum := md5.Sum([]byte("234"))
	equal(t, string(part.ContentMD5), string(sum[:]))
	_, err = f.DownloadStream(ctx, &file.DownloadStreamOptions{Range: &file.HTTPRange{Offset: 10, Count: 1}})
	refused(t, err, 416, "InvalidRange")
}

func TestHeadersAndMetadataAreReplaced(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "abc")
	must(t)(f.SetHTTPHeaders(ctx, file.HTTPHeaders{ContentType: to.Ptr("application/json")}, nil))
	must(t)(f.SetMetadata(ctx, map[string]*string{"One": to.Ptr("1")}, nil))
	must(t)(f.SetMetadata(ctx, map[string]*string{"Two": to.Ptr("two words")}, nil))
	found, err := f.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, *found.ContentType, "application/json")
	equal(t, len(found.Metadata), 1)
	equal(t, *found.Metadata["Two"], "two words")
}

func TestAFileExpires(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "abc")
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	must(t)(f.SetExpiry(ctx, file.SetExpiryValues{
		ExpiryType: file.SetExpiryTypeAbsolute,
		ExpiresOn:  at.Format(http.TimeFormat),
	}, nil))
	found, err := f.GetProperties(ctx, nil)
	ok(t, err)
	if !found.ExpiresOn.Equal(at) {
		t.Fatalf("expires on %v, wanted %v", found.ExpiresOn, at)
	}
	must(t)(f.SetExpiry(ctx, file.SetExpiryValues{
		ExpiryType: file.SetExpiryTypeRelativeToNow,
		ExpiresOn:  strconv.Itoa(200),
	}, nil))
	time.Sleep(1500 * time.Millisecond)
	_, err = f.GetProperties(ctx, nil)
	refused(t, err, 404, "PathNotFound")
}

func TestAFileIsDeletedOnce(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "abc")
	must(t)(f.Delete(ctx, nil))
	_, err := f.Delete(ctx, nil)
	refused(t, err, 404, "PathNotFound")
	_, err = f.AppendData(ctx, 0, body("x"), nil)
	refused(t, err, 404, "PathNotFound")
}
