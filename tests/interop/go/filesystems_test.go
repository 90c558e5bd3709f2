package interop

import (
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/filesystem"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/lease"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/service"
)

func TestAFilesystemIsMadeOnceAndDeleted(t *testing.T) {
	fs := client.NewFileSystemClient(freshName())
	_, err := fs.GetProperties(ctx, nil)
	refused(t, err, 404, "FileSystemNotFound")
	made, err := fs.Create(ctx, &filesystem.CreateOptions{Metadata: map[string]*string{"Purpose": to.Ptr("tests")}})
	ok(t, err)
	_, err = fs.Create(ctx, nil)
	refused(t, err, 409, "FileSystemAlreadyExists")
	found, err := fs.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, *found.ETag, *made.ETag)
	equal(t, *found.Metadata["Purpose"], "tests")
	must(t)(fs.Delete(ctx, nil))
	_, err = fs.Delete(ctx, nil)
	refused(t, err, 404, "FileSystemNotFound")
}

func TestMetadataOfAFilesystemIsReplacedUnderConditions(t *testing.T) {
	_, fs := freshFileSystem(t)
	must(t)(fs.SetMetadata(ctx, &filesystem.SetMetadataOptions{Metadata: map[string]*string{"One": to.Ptr("1")}}))
	must(t)(fs.SetMetadata(ctx, &filesystem.SetMetadataOptions{Metadata: map[string]*string{"Two": to.Ptr("2")}}))
	found, err := fs.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, len(found.Metadata), 1)
	equal(t, *found.Metadata["Two"], "2")
	ahead := time.Now().Add(24 * time.Hour)
	_, err = fs.SetMetadata(ctx, &filesystem.SetMetadataOptions{
		Metadata: map[string]*string{"Three": to.Ptr("3")},
		AccessConditions: &filesystem.AccessConditions{
			ModifiedAccessConditions: &filesystem.ModifiedAccessConditions{IfModifiedSince: &ahead},
		},
	})
	refused(t, err, 412, "ConditionNotMet")
}

func TestFilesystemNamesThatBreakTheRulesAreRefused(t *testing.T) {
	for _, name := range []string{"ab", "Upper", "two--dashes", strings.Repeat("x", 64)} {
		_, err := client.NewFileSystemClient(name).Create(ctx, nil)
		refused(t, err, 400, "InvalidResourceName")
	}
}

func TestFilesystemsAreListedInPages(t *testing.T) {
	prefix := freshName()
	for _, end := range []string{"-a", "-b", "-c"} {
		fs := client.NewFileSystemClient(prefix + end)
		must(t)(fs.Create(ctx, &filesystem.CreateOptions{Metadata: map[string]*string{"end": to.Ptr(end)}}))
		t.Cleanup(func() { _, _ = fs.Delete(ctx, nil) })
	}
	pager := client.NewListFileSystemsPager(&service.ListFileSystemsOptions{
		Prefix:     &prefix,
		MaxResults: to.Ptr(int32(2)),
		Include:    service.ListFileSystemsInclude{Metadata: to.Ptr(true)},
	})
	pages, names := 0, []string{}
	for pager.More() {
		page, err := pager.NextPage(ctx)
		ok(t, err)
		pages++
		for _, item := range page.FileSystemItems {
			names = append(names, *item.Name)
			equal(t, prefix+*item.Metadata["end"], *item.Name)
		}
	}
	equal(t, pages, 2)
	same(t, names, []string{prefix + "-a", prefix + "-b", prefix + "-c"})
}

func TestALeaseGuardsAFilesystem(t *testing.T) {
	_, fs := freshFileSystem(t)
	leased, err := lease.NewFileSystemClient(fs, nil)
	ok(t, err)
	must(t)(leased.AcquireLease(ctx, 15, nil))
	_, err = fs.Delete(ctx, nil)
	refused(t, err, 412, "LeaseIdMissing")
	must(t)(leased.RenewLease(ctx, nil))
	must(t)(leased.ChangeLease(ctx, "11111111-1111-1111-1111-111111111111", nil))
	must(t)(leased.ReleaseLease(ctx, nil))
	must(t)(leased.AcquireLease(ctx, -1, nil))
	broken, err := leased.BreakLease(ctx, &lease.FileSystemBreakOptions{BreakPeriod: to.Ptr(int32(0))})
	ok(t, err)
	equal(t, *broken.LeaseTime, 0)
	must(t)(fs.Delete(ctx, nil))
}

func TestStoredPoliciesAreKept(t *testing.T) {
	_, fs := freshFileSystem(t)
	start, expiry := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	permissions := (&filesystem.AccessPolicyPermission{Read: true, List: true}).String()
	must(t)(fs.SetAccessPolicy(ctx, &filesystem.SetAccessPolicyOptions{
		Access: to.Ptr(filesystem.FileSystem),
		FileSystemACL: []*filesystem.SignedIdentifier{{
			ID:           to.Ptr("readers"),
			AccessPolicy: &filesystem.AccessPolicy{Start: &start, Expiry: &expiry, Permission: &permissions},
		}},
	}))
	found, err := fs.GetAccessPolicy(ctx, nil)
	ok(t, err)
	equal(t, *found.PublicAccess, filesystem.FileSystem)
	equal(t, len(found.SignedIdentifiers), 1)
	policy := found.SignedIdentifiers[0]
	equal(t, *policy.ID, "readers")
	equal(t, *policy.AccessPolicy.Permission, permissions)
	if !policy.AccessPolicy.Expiry.Equal(expiry) {
		t.Fatalf("found %v", policy.AccessPolicy.Expiry)
	}
}
