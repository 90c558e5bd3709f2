package interop

import (
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/directory"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/lease"
)

const (
	zoe     = "11111111-2222-3333-4444-555555555555"
	leaseID = "11111111-1111-1111-1111-111111111111"
	otherID = "22222222-2222-2222-2222-222222222222"
)

func TestPermissionsAndListsAreSet(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "x")
	must(t)(f.SetAccessControl(ctx, &file.SetAccessControlOptions{Permissions: to.Ptr("rwxr-x--t")}))
	found, err := f.GetAccessControl(ctx, nil)
	ok(t, err)
	equal(t, *found.Permissions, "rwxr-x--t")
	acl := "user::rwx,user:" + zoe + ":rwx,group::r--,other::---"
	must(t)(f.SetAccessControl(ctx, &file.SetAccessControlOptions{ACL: &acl, Owner: to.Ptr(zoe), Group: to.Ptr("staff")}))
	found, err = f.GetAccessControl(ctx, nil)
	ok(t, err)
	equal(t, *found.ACL, "user::rwx,user:"+zoe+":rwx,group::r--,mask::rwx,other::---")
	equal(t, *found.Owner, zoe)
	equal(t, *found.Group, "staff")
	if !strings.HasSuffix(*found.Permissions, "+") {
		t.Fatalf("an extended list shows in the permissions, and not in %s", *found.Permissions)
	}
	_, err = f.SetAccessControl(ctx, &file.SetAccessControlOptions{ACL: to.Ptr("user:" + zoe + ":rwx")})
	refused(t, err, 400, "InvalidInput")
}

func TestAFileTakesChangesOfItsList(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "x")
	must(t)(f.UpdateAccessControl(ctx, "user:"+zoe+":r-x", nil))
	found, err := f.GetAccessControl(ctx, nil)
	ok(t, err)
	equal(t, strings.Contains(*found.ACL, "user:"+zoe+":r-x"), true)
	must(t)(f.RemoveAccessControl(ctx, "user:"+zoe, nil))
	found, err = f.GetAccessControl(ctx, nil)
	ok(t, err)
	equal(t, strings.Contains(*found.ACL, zoe), false)
}

func TestATreeTakesChangesOfItsLists(t *testing.T) {
	_, fs := freshFileSystem(t)
	for _, path := range []string{"d/a", "d/b", "d/e/c", "d/e/f/g"} {
		write(t, fs, path, "x")
	}
	d := fs.NewDirectoryClient("d")
	batch := to.Ptr(int32(2))
	changed, err := d.UpdateAccessControlRecursive(ctx, "user:"+zoe+":r-x", &directory.UpdateAccessControlRecursiveOptions{BatchSize: batch})
	ok(t, err)
	equal(t, *changed.DirectoriesSuccessful, 3)
	equal(t, *changed.FilesSuccessful, 4)
	equal(t, *changed.FailureCount, 0)
	deep := fs.NewFileClient("d/e/f/g")
	found, err := deep.GetAccessControl(ctx, nil)
	ok(t, err)
	equal(t, strings.Contains(*found.ACL, zoe), true)
	must(t)(d.RemoveAccessControlRecursive(ctx, "user:"+zoe, nil))
	found, err = deep.GetAccessControl(ctx, nil)
	ok(t, err)
	equal(t, strings.Contains(*found.ACL, zoe), false)
	must(t)(d.SetAccessControlRecursive(ctx, "user::rw-,group::---,other::---", nil))
	found, err = deep.GetAccessControl(ctx, nil)
	ok(t, err)
	equal(t, *found.ACL, "user::rw-,group::---,other::---")
	_, err = fs.NewDirectoryClient("missing").SetAccessControlRecursive(ctx, "user::rw-,group::---,other::---", nil)
	refused(t, err, 404, "PathNotFound")
}

func TestChildrenInheritTheDefaultList(t *testing.T) {
	_, fs := freshFileSystem(t)
	d := fs.NewDirectoryClient("d")
	must(t)(d.Create(ctx, nil))
	acl := "user::rwx,group::r-x,other::---,default:user::rwx,default:user:" + zoe + ":r-x,default:group::r-x,default:mask::r-x,default:other::---"
	must(t)(d.SetAccessControl(ctx, &directory.SetAccessControlOptions{ACL: &acl}))
	sub, err := d.NewSubdirectoryClient("e")
	ok(t, err)
	must(t)(sub.Create(ctx, nil))
	found, err := sub.GetAccessControl(ctx, nil)
	ok(t, err)
	for _, entry := range []string{",user:" + zoe + ":r-x", "default:user:" + zoe + ":r-x"} {
		equal(t, strings.Contains(*found.ACL, entry), true)
	}
}

func TestConditionsAreKept(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "abc")
	wrong := &file.AccessConditions{
		ModifiedAccessConditions: &file.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(`"0x1"`))},
	}
	_, err := f.SetMetadata(ctx, map[string]*string{"a": to.Ptr("1")}, &file.SetMetadataOptions{AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.SetHTTPHeaders(ctx, file.HTTPHeaders{}, &file.SetHTTPHeadersOptions{AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.SetAccessControl(ctx, &file.SetAccessControlOptions{Permissions: to.Ptr("0700"), AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.GetAccessControl(ctx, &file.GetAccessControlOptions{AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.FlushData(ctx, 3, &file.FlushDataOptions{AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.GetProperties(ctx, &file.GetPropertiesOptions{AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.DownloadStream(ctx, &file.DownloadStreamOptions{AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.Delete(ctx, &file.DeleteOptions{AccessConditions: wrong})
	refused(t, err, 412, "ConditionNotMet")
	_, err = f.Create(ctx, &file.CreateOptions{AccessConditions: &file.AccessConditions{
		ModifiedAccessConditions: &file.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
	}})
	refused(t, err, 409, "PathAlreadyExists")
	equal(t, read(t, f), "abc")
}

func TestALeaseKeepsOthersFromWriting(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "abc")
	leased, err := lease.NewPathClient(f, &lease.PathClientOptions{LeaseID: to.Ptr(leaseID)})
	ok(t, err)
	must(t)(leased.AcquireLease(ctx, 15, nil))
	found, err := f.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, string(*found.LeaseState), "leased")
	equal(t, string(*found.LeaseDuration), "fixed")
	_, err = f.AppendData(ctx, 3, body("d"), nil)
	refused(t, err, 412, "LeaseIdMissing")
	wrong := &file.LeaseAccessConditions{LeaseID: to.Ptr(otherID)}
	_, err = f.AppendData(ctx, 3, body("d"), &file.AppendDataOptions{LeaseAccessConditions: wrong})
	refused(t, err, 412, "LeaseIdMismatch")
	_, err = f.Delete(ctx, nil)
	refused(t, err, 412, "LeaseIdMissing")
	_, err = f.SetMetadata(ctx, nil, nil)
	refused(t, err, 412, "LeaseIdMissing")
	right := &file.LeaseAccessConditions{LeaseID: to.Ptr(leaseID)}
	must(t)(f.AppendData(ctx, 3, body("d"), &file.AppendDataOptions{LeaseAccessConditions: right}))
	must(t)(f.FlushData(ctx, 4, &file.FlushDataOptions{AccessConditions: &file.AccessConditions{LeaseAccessConditions: right}}))
	must(t)(leased.RenewLease(ctx, nil))
	must(t)(leased.ChangeLease(ctx, otherID, nil))
	equal(t, *leased.LeaseID(), otherID)
	must(t)(leased.ReleaseLease(ctx, nil))
	equal(t, read(t, f), "abcd")
}

func TestALeaseIsBroken(t *testing.T) {
	_, fs := freshFileSystem(t)
	d := fs.NewDirectoryClient("d")
	must(t)(d.Create(ctx, nil))
	leased, err := lease.NewPathClient(d, nil)
	ok(t, err)
	must(t)(leased.AcquireLease(ctx, -1, nil))
	_, err = d.Delete(ctx, nil)
	refused(t, err, 412, "LeaseIdMissing")
	must(t)(leased.BreakLease(ctx, &lease.PathBreakOptions{BreakPeriod: to.Ptr(int32(0))}))
	_, err = leased.RenewLease(ctx, nil)
	refused(t, err, 409, "LeaseIsBrokenAndCannotBeRenewed")
	must(t)(d.Delete(ctx, nil))
}

func TestLeasesAreTakenAndGivenBackWhileWriting(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := fs.NewFileClient("f")
	must(t)(f.Create(ctx, nil))
	must(t)(f.AppendData(ctx, 0, body("abc"), &file.AppendDataOptions{
		LeaseAction:     to.Ptr(file.LeaseActionAcquire),
		LeaseDuration:   to.Ptr(int64(15)),
		ProposedLeaseID: to.Ptr(leaseID),
	}))
	found, err := f.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, string(*found.LeaseState), "leased")
	must(t)(f.FlushData(ctx, 3, &file.FlushDataOptions{
		AccessConditions: &file.AccessConditions{LeaseAccessConditions: &file.LeaseAccessConditions{LeaseID: to.Ptr(leaseID)}},
		LeaseAction:      to.Ptr(file.LeaseActionRelease),
	}))
	found, err = f.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, string(*found.LeaseState), "available")
	equal(t, read(t, f), "abc")
}
