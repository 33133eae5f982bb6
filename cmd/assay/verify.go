package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/lab/conform"
	"github.com/assay-lab/assay/papers"
)

func (c *console) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [DIR|FILE...]",
		Short: "Check the methods against numbers from independent references",
		Long: `verify runs conformance cases and prints one line for each: all cases that the
papers here came with, or those in the files and folders that are named. A case
that cannot be read, or whose paper or method is unknown, is a failed case. The
status is 1 if any case failed.`,
		Example: `  assay verify                       all cases of all papers
  assay verify my-cases/             every *.json in a folder and below
  assay verify a.json b.json`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			cases, err := readCases(paths)
			if err != nil {
				return err
			}
			return c.verify(cmd.Context(), cases)
		},
	}
}

func readCases(paths []string) ([]conform.Case, error) {
	if len(paths) == 0 {
		return papers.Cases(), nil
	}
	var cases []conform.Case
	for _, path := range paths {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("", "%q: no such file or folder", path)
		}
		more, err := conform.Read(path)
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	return cases, nil
}

func (c *console) verify(ctx context.Context, cases []conform.Case) error {
	passed, failed := 0, 0
	for _, cs := range cases {
		if err := ctx.Err(); err != nil {
			return err
		}
		handler, _ := papers.Handler(cs.Paper)
		r := conform.Check(ctx, cs, handler)
		if r.Passed() {
			passed++
			fmt.Fprintf(c.out, "pass  %s\n", cs.File)
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err() // stopped, not failed
		}
		failed++
		why := strings.Join(strings.Fields(r.Err.Error()), " ")
		fmt.Fprintf(c.out, "%s  %s: %s\n", c.paint(red, "FAIL"), cs.File, why)
	}
	fmt.Fprintf(c.out, "%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return errReported
	}
	return nil
}
