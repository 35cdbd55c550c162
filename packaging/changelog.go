// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maintainer is who a package names; nfpm.yaml has the same.
const maintainer = "dovesnap maintainers <maintainers@dovesnap.invalid>"

// release is a section of CHANGELOG.md.
type release struct {
	version string
	time    time.Time
	changes []string
}

// parseChangelog reads sections "## Unreleased" and "## 1.2.3 - 2026-01-31" with
// their items. The topmost gets the package's own version and time.
func parseChangelog(text string, src source) ([]release, error) {
	var all []release
	for n, line := range strings.Split(text, "\n") {
		heading, isHeading := strings.CutPrefix(line, "## ")
		item, isItem := strings.CutPrefix(line, "- ")
		switch {
		case isHeading && len(all) == 0:
			all = append(all, release{version: src.version, time: src.time})
		case isHeading:
			version, date, _ := strings.Cut(heading, " - ")
			t, err := time.Parse(time.DateOnly, date)
			if err != nil || !legal.MatchString(version) {
				return nil, fmt.Errorf("CHANGELOG.md line %d: %q is not a version and a date, as in: 1.2.3 - 2026-01-31", n+1, heading)
			}
			all = append(all, release{version: version, time: t})
		case len(all) == 0:
		case isItem:
			last := &all[len(all)-1]
			last.changes = append(last.changes, item)
		case strings.HasPrefix(line, "  "):
			last := &all[len(all)-1]
			if len(last.changes) == 0 {
				return nil, fmt.Errorf("CHANGELOG.md line %d: goes on with no item", n+1)
			}
			last.changes[len(last.changes)-1] += " " + strings.TrimSpace(line)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("CHANGELOG.md has no section")
	}
	return all, nil
}

// debianChangelog is the form of deb-changelog(5).
func debianChangelog(releases []release) string {
	var b strings.Builder
	for _, r := range releases {
		fmt.Fprintf(&b, "dovesnap (%s) unstable; urgency=medium\n\n", r.version)
		for _, c := range r.changes {
			column := 0
			b.WriteString("  *")
			for _, word := range strings.Fields(c) {
				if column+1+len(word) > 74 {
					b.WriteString("\n   ")
					column = 0
				}
				b.WriteString(" " + word)
				column += 1 + len(word)
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "\n -- %s  %s\n\n", maintainer, r.time.UTC().Format(time.RFC1123Z))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// rpmChangelog is the form that nfpm reads.
func rpmChangelog(releases []release) ([]byte, error) {
	type change struct {
		Note string `yaml:"note"`
	}
	type entry struct {
		Semver   string    `yaml:"semver"`
		Date     time.Time `yaml:"date"`
		Packager string    `yaml:"packager"`
		Changes  []change  `yaml:"changes"`
	}
	var all []entry
	for _, r := range releases {
		e := entry{r.version + "-1", r.time, maintainer, nil}
		for _, c := range r.changes {
			e.Changes = append(e.Changes, change{c})
		}
		all = append(all, e)
	}
	return yaml.Marshal(all)
}
