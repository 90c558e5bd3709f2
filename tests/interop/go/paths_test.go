package interop

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/directory"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/filesystem"
)

func TestADirectoryIsMadeDescribedAndDeleted(t *testing.T) {
	_, fs := freshFileSystem(t)
	d := fs.NewDirectoryClient("a/b")
	must(t)(d.Create(ctx, nil))
	must(t)(d.SetMetadata(ctx, map[string]*string{"Colour": to.Ptr("green")}, nil))
	found, err := d.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, *found.ResourceType, "directory")
	equal(t, *found.Metadata["Colour"], "green")
	f, err := d.NewFileClient("c")
	ok(t, err)
	must(t)(f.Create(ctx, nil))
	sub, err := d.NewSubdirectoryClient("d")
	ok(t, err)
	must(t)(sub.Create(ctx, nil))
	same(t, list(t, fs, true, ""), []string{"a", "a/b", "a/b/c", "a/b/d"})
	must(t)(d.Delete(ctx, nil))
	same(t, list(t, fs, true, ""), []string{"a"})
	_, err = d.Delete(ctx, nil)
	refused(t, err, 404, "PathNotFound")
}

func TestAFileAndADirectoryDoNotReplaceEachOther(t *testing.T) {
	_, fs := freshFileSystem(t)
	write(t, fs, "file", "x")
	must(t)(fs.NewDirectoryClient("directory").Create(ctx, nil))
	_, err := fs.NewDirectoryClient("file").Create(ctx, nil)
	refused(t, err, 409, "PathConflict")
	_, err = fs.NewFileClient("directory").Create(ctx, nil)
	refused(t, err, 409, "PathConflict")
	_, err = fs.NewFileClient("file/below").Create(ctx, nil)
	refused(t, err, 409, "PathConflict")
}

func TestPathsAreListedInPages(t *testing.T) {
	_, fs := freshFileSystem(t)
	for i := range 12 {
		must(t)(fs.NewFileClient(fmt.Sprintf("f%02d", i)).Create(ctx, nil))
	}
	pager := fs.NewListPathsPager(false, &filesystem.ListPathsOptions{MaxResults: to.Ptr(int32(6))})
	pages := 0
	for pager.More() {
		page, err := pager.NextPage(ctx)
		ok(t, err)
		equal(t, len(page.Paths), 6)
		pages++
	}
	equal(t, pages, 2)
}

func TestAnEntryOfAListTellsWhatAReaderNeeds(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "d/f", "abc")
	same(t, list(t, fs, false, ""), []string{"d"})
	same(t, list(t, fs, false, "d"), []string{"d/f"})
	pager := fs.NewListPathsPager(true, nil)
	page, err := pager.NextPage(ctx)
	ok(t, err)
	equal(t, len(page.Paths), 2)
	equal(t, *page.Paths[0].IsDirectory, true)
	entry := page.Paths[1]
	equal(t, *entry.ContentLength, 3)
	equal(t, *entry.Owner, "$superuser")
	equal(t, *entry.Group, "$superuser")
	equal(t, *entry.Permissions, "rw-r-----")
	properties, err := f.GetProperties(ctx, nil)
	ok(t, err)
	equal(t, *entry.ETag, strings.Trim(string(*properties.ETag), `"`))
}

func TestADirectoryMovesWithAllBelowIt(t *testing.T) {
	_, fs := freshFileSystem(t)
	write(t, fs, "old/a/b", "deep")
	before, err := fs.NewFileClient("old/a/b").GetProperties(ctx, nil)
	ok(t, err)
	must(t)(fs.NewDirectoryClient("old").Rename(ctx, "new", nil))
	same(t, list(t, fs, true, ""), []string{"new", "new/a", "new/a/b"})
	after, err := fs.NewFileClient("new/a/b").GetProperties(ctx, nil)
	ok(t, err)
	equal(t, *after.ETag, *before.ETag)
	equal(t, read(t, fs.NewFileClient("new/a/b")), "deep")
}

func TestRenamesThatCannotBeAreRefused(t *testing.T) {
	_, fs := freshFileSystem(t)
	f := write(t, fs, "f", "x")
	write(t, fs, "full/g", "y")
	d := fs.NewDirectoryClient("d")
	must(t)(d.Create(ctx, nil))
	_, err := fs.NewFileClient("missing").Rename(ctx, "g", nil)
	refused(t, err, 404, "SourcePathNotFound")
	_, err = f.Rename(ctx, "no/parent/f", nil)
	refused(t, err, 404, "RenameDestinationParentPathNotFound")
	_, err = d.Rename(ctx, "d/below", nil)
	refused(t, err, 409, "InvalidRenameSourcePath")
	_, err = d.Rename(ctx, "f", nil)
	refused(t, err, 409, "InvalidSourceOrDestinationResourceType")
	_, err = d.Rename(ctx, "full", nil)
	refused(t, err, 409, "PathAlreadyExists")
	_, err = f.Rename(ctx, "full/g", &file.RenameOptions{
		AccessConditions: &file.AccessConditions{
			ModifiedAccessConditions: &file.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		},
	})
	refused(t, err, 409, "PathAlreadyExists")
	_, err = f.Rename(ctx, "g", &file.RenameOptions{
		SourceAccessConditions: &file.SourceAccessConditions{
			SourceModifiedAccessConditions: &file.SourceModifiedAccessConditions{SourceIfMatch: to.Ptr(azcore.ETag(`"0x1"`))},
		},
	})
	refused(t, err, 412, "SourceConditionNotMet")
	must(t)(f.Rename(ctx, "full/g", nil))
	equal(t, read(t, fs.NewFileClient("full/g")), "x")
}

func TestNamesWithEverythingInThem(t *testing.T) {
	names := []string{
		"with space", "100%", "%41%2F", "plus+sign", `quote'and"double`, "semi;colon,comma", "hash#question?",
		"amp&equals=", "at@colon:", "brackets[](){}<>", "ümläut ß", "日本語", "emoji 🚀", "e\u0301", ".hidden",
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			_, fs := freshFileSystem(t)
			path := name + "/" + name
			equal(t, read(t, write(t, fs, path, name)), name)
			same(t, list(t, fs, true, ""), []string{name, path})
			// See TestADirectoryWithASpaceIsListed.
			if !strings.Contains(name, " ") {
				same(t, list(t, fs, false, name), []string{path})
			}
			must(t)(fs.NewDirectoryClient(name).Delete(ctx, nil))
			same(t, list(t, fs, true, ""), []string{})
		})
	}
}

func TestADirectoryWithASpaceIsListed(t *testing.T) {
	// The client writes a space in a query as a plus and signs it as a space, which Azure takes.
	_, fs := freshFileSystem(t)
	write(t, fs, "with space/f", "x")
	page, err := fs.NewListPathsPager(false, &filesystem.ListPathsOptions{Prefix: to.Ptr("with space")}).NextPage(ctx)
	must(t)(page, err)
	equal(t, len(page.Paths), 1)
}

// The client puts the source into its header without encoding it, so only some names can be moved.
func TestNamesWithMarksAreRenamed(t *testing.T) {
	for _, name := range []string{"with space", "plus+sign", "100%", "semi;colon,comma", "amp&equals="} {
		t.Run(name, func(t *testing.T) {
			_, fs := freshFileSystem(t)
			write(t, fs, name, name)
			must(t)(fs.NewFileClient(name).Rename(ctx, "plain", nil))
			must(t)(fs.NewFileClient("plain").Rename(ctx, name+" 2", nil))
			same(t, list(t, fs, true, ""), []string{name + " 2"})
			equal(t, read(t, fs.NewFileClient(name+" 2")), name)
		})
	}
}

func TestAThousandFilesAreWrittenAtOnce(t *testing.T) {
	_, fs := freshFileSystem(t)
	var wait sync.WaitGroup
	work := make(chan int)
	failures := make(chan error, 1000)
	for range 16 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range work {
				f := fs.NewFileClient(fmt.Sprintf("d%d/f%04d", i%7, i))
				if _, err := f.Create(ctx, nil); err != nil {
					failures <- err
				} else if err := f.UploadBuffer(ctx, fmt.Appendf(nil, "content %d", i), nil); err != nil {
					failures <- err
				}
			}
		}()
	}
	for i := range 1000 {
		work <- i
	}
	close(work)
	wait.Wait()
	close(failures)
	for err := range failures {
		t.Fatal(err)
	}
	found := list(t, fs, true, "")
	equal(t, len(found), 1007)
	equal(t, slices.IsSorted(found), true)
	equal(t, read(t, fs.NewFileClient("d3/f0752")), "content 752")
}

func TestADeleteKeepsItsCondition(t *testing.T) {
	_, fs := freshFileSystem(t)
	d := fs.NewDirectoryClient("d")
	must(t)(d.Create(ctx, nil))
	_, err := d.Delete(ctx, &directory.DeleteOptions{
		AccessConditions: &directory.AccessConditions{
			ModifiedAccessConditions: &directory.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(`"0x1"`))},
		},
	})
	refused(t, err, 412, "ConditionNotMet")
	must(t)(d.GetProperties(ctx, nil))
}

func TestDeletedPathsComeBack(t *testing.T) {
	_, fs := freshFileSystem(t)
	must(t)(write(t, fs, "f", "back").Delete(ctx, nil))
	page, err := fs.NewListDeletedPathsPager(nil).NextPage(ctx)
	must(t)(page, err)
	equal(t, len(page.Segment.PathItems), 1)
	equal(t, *page.Segment.PathItems[0].Name, "f")
}
