// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dovesnap/cli"
	"dovesnap/config"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// generate writes into stage what is not in the checkout as it is packaged.
func generate(ctx context.Context, stage string, src source) error {
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	releases, err := parseChangelog(string(changes), src)
	if err != nil {
		return err
	}
	var example bytes.Buffer
	if err := config.WriteExample(&example); err != nil {
		return err
	}
	licences, err := copyright(ctx)
	if err != nil {
		return err
	}
	rpmChanges, err := rpmChangelog(releases)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"dovesnap.yaml":  example.Bytes(),
		"changelog.gz":   compress([]byte(debianChangelog(releases))),
		"changelog.yaml": rpmChanges,
		"copyright":      licences,
	}
	if err := manPages(files, src); err != nil {
		return err
	}
	if err := completions(files); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(stage, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compress is gzip -9n.
func compress(text []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // only a bad level is an error
	_, _ = w.Write(text)                                  // into memory
	_ = w.Close()
	return b.Bytes()
}

// manPages adds one page per command and that of the configuration.
func manPages(files map[string][]byte, src source) error {
	root := cli.Root()
	var walk func(c *cobra.Command) error
	walk = func(c *cobra.Command) error {
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				if err := walk(sub); err != nil {
					return err
				}
			}
		}
		// What a terminal shows indented is an example; Markdown wants more of it.
		c.Long = strings.ReplaceAll(c.Long, "\n  ", "\n      ")
		c.DisableAutoGenTag = true
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "8", Date: &src.time, Source: "dovesnap " + src.version, Manual: "dovesnap"}
		var b bytes.Buffer
		if err := doc.GenMan(c, header, &b); err != nil {
			return fmt.Errorf("cannot write the manual page of %s: %w", c.CommandPath(), err)
		}
		files["man8/"+name+".8.gz"] = compress(b.Bytes())
		return nil
	}
	if err := walk(root); err != nil {
		return err
	}
	page, err := configPage(src)
	files["man5/dovesnap.yaml.5.gz"] = compress(page)
	return err
}

// configPage is dovesnap.yaml(5).
func configPage(src source) ([]byte, error) {
	var b, example bytes.Buffer
	if err := config.WriteExample(&example); err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "%% \"DOVESNAP.YAML\" \"5\" %q %q \"dovesnap\"\n\n", src.time.Format("Jan 2006"), "dovesnap "+src.version)
	b.WriteString("# NAME\n\ndovesnap.yaml - configuration of dovesnap\n\n" +
		"# SYNOPSIS\n\n`" + config.DefaultFile + "`\n\n" +
		"# DESCRIPTION\n\ndovesnap needs no configuration. What there is to set is in this file, and every key has a flag of " +
		"**dovesnap run** and an environment variable of the same meaning: *log.level* is `--log-level` and `DOVESNAP_LOG_LEVEL`. " +
		"A flag wins over the environment, which wins over the file, which wins over the default. The service reads variables from " +
		"`/etc/default/dovesnap`. An unknown key, flag or variable is an error, and all mistakes are reported at once.\n\n" +
		"A change counts from the next start: **dovesnap check-config**, then **systemctl restart dovesnap**, which disturbs no traffic.\n\n" +
		"# KEYS\n\nEvery key, with its default:\n\n")
	for _, line := range strings.SplitAfter(example.String(), "\n") {
		if line != "" {
			b.WriteString("    " + line)
		}
	}
	b.WriteString("\n# SEE ALSO\n\n**dovesnap(8)**, **dovesnap-check-config(8)**, **dovesnap-options(8)**\n")
	return md2man.Render(b.Bytes()), nil
}

func completions(files map[string][]byte) error {
	root := cli.Root()
	var bash, zsh, fish bytes.Buffer
	if err := root.GenBashCompletionV2(&bash, true); err != nil {
		return err
	}
	if err := root.GenZshCompletion(&zsh); err != nil {
		return err
	}
	if err := root.GenFishCompletion(&fish, true); err != nil {
		return err
	}
	files["completions/dovesnap"] = bash.Bytes()
	files["completions/_dovesnap"] = zsh.Bytes()
	files["completions/dovesnap.fish"] = fish.Bytes()
	return nil
}
