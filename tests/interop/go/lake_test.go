// Package interop tries Azure's Go clients on a served lake.
//
// Each test has a filesystem of its own; the server is started once for all.
package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/filesystem"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/service"
)

// The account that every client of an emulator knows; it is published and opens nothing else.
const (
	account = "devstoreaccount1"
	key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

type served struct {
	Serving      bool   `json:"serving"`
	BlobEndpoint string `json:"blobEndpoint"`
	DfsEndpoint  string `json:"dfsEndpoint"`
}

var (
	lake    served
	client  *service.Client
	counter atomic.Int64
	ctx     = context.Background()
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	program := os.Getenv("LAKESTAGE_BIN")
	if program == "" {
		fmt.Fprintln(os.Stderr, "set LAKESTAGE_BIN to the lakestage command that is to be tested")
		return 1
	}
	folder, err := os.MkdirTemp("", "lakestage-go-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	server := exec.Command(program, "--json", "--data", filepath.Join(folder, "data"),
		"serve", "--sync", "off", "--soft-delete-days", "7", "--blob-port", "0", "--dfs-port", "0")
	server.Stderr = os.Stderr
	output, err := server.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := server.Start(); err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(output)
	for !lake.Serving {
		if !lines.Scan() {
			fmt.Fprintln(os.Stderr, "the server ended before it served")
			return 1
		}
		if err := json.Unmarshal(lines.Bytes(), &lake); err != nil {
			panic(err)
		}
	}
	client, err = service.NewClientWithSharedKeyCredential(lake.DfsEndpoint, credential(), serviceOptions())
	if err != nil {
		panic(err)
	}
	code := m.Run()
	// It has to end well, whatever the tests did to it.
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		panic(err)
	}
	if err := server.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "the server ended badly:", err)
		return 1
	}
	return code
}

func credential() *azdatalake.SharedKeyCredential {
	made, err := azdatalake.NewSharedKeyCredential(account, key)
	if err != nil {
		panic(err)
	}
	return made
}

// No retries, so that a refusal that the client would repeat is seen at once.
func coreOptions() azcore.ClientOptions {
	return azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}
}

func serviceOptions() *service.ClientOptions {
	return &service.ClientOptions{ClientOptions: coreOptions()}
}

func freshName() string {
	return fmt.Sprintf("go-%d-%d", os.Getpid(), counter.Add(1))
}

// A new filesystem for a test, gone after it.
func freshFileSystem(t *testing.T) (string, *filesystem.Client) {
	t.Helper()
	name := freshName()
	made := client.NewFileSystemClient(name)
	must(t)(made.Create(ctx, nil))
	t.Cleanup(func() { _, _ = made.Delete(ctx, nil) })
	return name, made
}

// Ends the test when an operation that has to work did not.
func must(t *testing.T) func(any, error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Compares the status and code of a refusal.
func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		t.Fatalf("wanted %d %s, and got %v", status, code, err)
	}
	if response.StatusCode != status || response.ErrorCode != code {
		t.Fatalf("wanted %d %s, and got %d %s: %v", status, code, response.StatusCode, response.ErrorCode, err)
	}
}

func equal[T comparable](t *testing.T, found, wanted T) {
	t.Helper()
	if found != wanted {
		t.Fatalf("found %v, wanted %v", found, wanted)
	}
}

func same[T comparable](t *testing.T, found, wanted []T) {
	t.Helper()
	if len(found) != len(wanted) {
		t.Fatalf("found %v, wanted %v", found, wanted)
	}
	for i := range found {
		if found[i] != wanted[i] {
			t.Fatalf("found %v, wanted %v", found, wanted)
		}
	}
}

func write(t *testing.T, fs *filesystem.Client, path, text string) *file.Client {
	t.Helper()
	f := fs.NewFileClient(path)
	must(t)(f.Create(ctx, nil))
	ok(t, f.UploadBuffer(ctx, []byte(text), nil))
	return f
}

func read(t *testing.T, f *file.Client) string {
	t.Helper()
	properties, err := f.GetProperties(ctx, nil)
	ok(t, err)
	buffer := make([]byte, *properties.ContentLength)
	if len(buffer) == 0 {
		return ""
	}
	_, err = f.DownloadBuffer(ctx, buffer, nil)
	ok(t, err)
	return string(buffer)
}

func list(t *testing.T, fs *filesystem.Client, recursive bool, prefix string) []string {
	t.Helper()
	names := []string{}
	options := &filesystem.ListPathsOptions{}
	if prefix != "" {
		options.Prefix = &prefix
	}
	pager := fs.NewListPathsPager(recursive, options)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		ok(t, err)
		for _, path := range page.Paths {
			names = append(names, *path.Name)
		}
	}
	return names
}
