package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/feeds"
	"github.com/assay-lab/assay/lab/shelf"
)

func (c *console) syncCommand() *cobra.Command {
	var sources []string
	cmd := &cobra.Command{
		Use:   "sync --source URL|arxiv:CATEGORY",
		Short: "Add the papers of feeds to the Daily Papers page",
		Long: `sync reads Atom, RSS and JSON feeds and puts their papers on the Daily Papers page,
beside those of the catalogue. They can be searched and voted for, not run. What is
there already is renewed.`,
		Example: `  assay papers sync --source arxiv:cs.LG
  assay papers sync --source https://example.org/feed.xml --source arxiv:stat.ML`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.sync(cmd.Context(), sources) },
	}
	cmd.Flags().StringArrayVar(&sources, "source", nil, "a feed: `URL`, or arxiv:CATEGORY; repeatable")
	return cmd
}

// sync is assay papers sync.
func (c *console) sync(ctx context.Context, sources []string) error {
	if len(sources) == 0 {
		return usagef("Such as: assay papers sync --source arxiv:cs.LG", "--source is missing: which feed?")
	}
	for _, s := range sources {
		if _, err := feeds.Address(s); err != nil {
			return usagef("", "--%v", err)
		}
	}
	s, err := openShelf(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, source := range sources {
		ps, err := feeds.Fetch(ctx, nil, source)
		if err != nil {
			return err
		}
		added, err := s.Put(ctx, ps)
		if err != nil {
			return err
		}
		c.note("%s: %d papers, %d of them new", source, len(ps), added)
	}
	return nil
}

// openShelf opens what the Daily Papers page keeps.
func openShelf(ctx context.Context) (*shelf.Shelf, error) {
	dir, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	return shelf.Open(ctx, filepath.Join(dir, "papers.db"))
}
