//go:build linux

package test

import (
	"crypto/sha1"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// An spdxDocument is a list of contents: what SPDX 2.3 requires, and what we add.
type spdxDocument struct {
	SPDXVersion, DataLicense, SPDXID, Name, DocumentNamespace string

	CreationInfo struct {
		Created  time.Time
		Creators []string
	}
	Packages      []spdxPackage
	Files         []spdxFile
	Relationships []struct{ SPDXElementID, RelationshipType, RelatedSPDXElement string }
}

type spdxPackage struct {
	SPDXID, Name, VersionInfo, DownloadLocation, LicenseDeclared, PackageFileName string

	FilesAnalyzed           bool
	PackageVerificationCode struct{ PackageVerificationCodeValue string }
	Checksums               []spdxChecksum
	ExternalRefs            []struct{ ReferenceCategory, ReferenceType, ReferenceLocator string }
}

type spdxFile struct {
	SPDXID, FileName string
	Checksums        []spdxChecksum
}

type spdxChecksum struct{ Algorithm, ChecksumValue string }

// TestDistContents: beside each archive is a list of its contents. It is valid according to
// SPDX 2.3, and has every file that is unpacked and every module that is linked.
func TestDistContents(t *testing.T) {
	dist := mustRelease(t)
	for target := range targets {
		t.Run(target, func(t *testing.T) {
			path := archiveOf(t, dist, target)
			var doc spdxDocument
			must.Do(t, json.Unmarshal([]byte(readFile(t, path+".spdx.json")), &doc))
			checkRequired(t, &doc)
			dir, program := unpack(t, path)
			ours := doc.Packages[0]
			if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(readFile(t, path)))); ours.PackageFileName != filepath.Base(path) ||
				!slices.Contains(ours.Checksums, spdxChecksum{"SHA256", sum}) || !strings.HasSuffix(doc.DocumentNamespace, sum) {
				t.Errorf("of another archive: %+v", ours)
			}
			checkFiles(t, &doc, dir)
			checkModules(t, doc.Packages[1:], program)
		})
	}
}

// unpack unpacks the archive at path, and returns the directory, and one of the programs in it.
func unpack(t *testing.T, path string) (dir, program string) {
	if strings.HasSuffix(path, ".zip") {
		program := unzip(t, path)
		return filepath.Dir(program), program
	}
	dir = t.TempDir()
	run(t, "tar", "-C", dir, "-Jxpf", path)
	return dir, filepath.Join(dir, "usr/bin/hermes-s6")
}

// checkRequired checks the fields that SPDX 2.3 requires, and their form.
func checkRequired(t *testing.T, doc *spdxDocument) {
	t.Helper()
	if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || doc.SPDXID != "SPDXRef-DOCUMENT" || doc.Name == "" ||
		!strings.HasPrefix(doc.DocumentNamespace, "https://") || strings.Contains(doc.DocumentNamespace, "#") ||
		doc.CreationInfo.Created.Location() != time.UTC || len(doc.CreationInfo.Creators) == 0 {
		t.Errorf("document: %+v", doc)
	}
	ids := map[string]bool{doc.SPDXID: true}
	id := func(id string) {
		if !regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`).MatchString(id) || ids[id] {
			t.Errorf("%q is no identifier, or that of two", id)
		}
		ids[id] = true
	}
	if len(doc.Packages) == 0 {
		t.Fatal("it has no package")
	}
	for _, p := range doc.Packages {
		id(p.SPDXID)
		if p.Name == "" || p.DownloadLocation == "" || p.FilesAnalyzed != (p.PackageVerificationCode.PackageVerificationCodeValue != "") ||
			!slices.Contains([]string{"MIT", "BSD-3-Clause", "Apache-2.0"}, p.LicenseDeclared) || len(p.ExternalRefs) != 1 {
			t.Errorf("package: %+v", p)
		}
	}
	for _, f := range doc.Files {
		id(f.SPDXID)
	}
	related := map[string]bool{}
	for _, r := range doc.Relationships {
		if !ids[r.SPDXElementID] || !ids[r.RelatedSPDXElement] {
			t.Errorf("relationship: %+v", r)
		}
		related[r.RelatedSPDXElement] = true
	}
	if len(related) != len(ids)-1 {
		t.Errorf("%d of %d things stand in no relationship", len(ids)-1-len(related), len(ids))
	}
}

// checkFiles compares doc's files with those in dir.
func checkFiles(t *testing.T, doc *spdxDocument, dir string) {
	t.Helper()
	listed := map[string][]spdxChecksum{}
	for _, f := range doc.Files {
		listed[f.FileName] = f.Checksums
	}
	var sums []string
	must.Do(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, data := "."+strings.TrimPrefix(path, dir), []byte(readFile(t, path))
		sum := fmt.Sprintf("%x", sha1.Sum(data))
		want := []spdxChecksum{{"SHA1", sum}, {"SHA256", fmt.Sprintf("%x", sha256.Sum256(data))}}
		if !slices.Equal(listed[name], want) {
			t.Errorf("%s: listed with %v, want %v", name, listed[name], want)
		}
		sums = append(sums, sum)
		return nil
	}))
	if len(listed) != len(sums) || len(doc.Files) != len(sums) {
		t.Errorf("%d files are listed, %d are there", len(doc.Files), len(sums))
	}
	slices.Sort(sums)
	want := fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(sums, ""))))
	if got := doc.Packages[0].PackageVerificationCode.PackageVerificationCodeValue; got != want {
		t.Errorf("verification code %s, want %s", got, want)
	}
}

// checkModules compares modules with those that program says it is made of.
func checkModules(t *testing.T, modules []spdxPackage, program string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	must.Do(t, err)
	want := []string{"pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		want = append(want, "pkg:golang/"+m.Path+"@"+m.Version)
	}
	var got []string
	for _, m := range modules {
		got = append(got, m.ExternalRefs[0].ReferenceLocator)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("modules %q, want %q", got, want)
	}
}
