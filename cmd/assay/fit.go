package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"
	"gonum.org/v1/gonum/mat"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/directional"
	"github.com/assay-lab/assay/internal/cache"
)

func (c *console) fitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fit",
		Short: "Fit a distribution to your own data",
		Args:  takes(0, 0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.fitVonMisesFisherCommand())
	return cmd
}

// fitFlags are what the user asked of assay fit vmf.
type fitFlags struct {
	data      string
	normalize bool
	mu        string
}

func (c *console) fitVonMisesFisherCommand() *cobra.Command {
	var f fitFlags
	cmd := &cobra.Command{
		Use:   "vmf",
		Short: "The von Mises–Fisher distribution of directions, in any dimension",
		Long: `fit vmf gives the mean direction and the concentration κ that make the rows of a
file most likely: features or embeddings of any dimension, as a .npy array or as
CSV. Rows must have length 1; --normalize makes them so.

κ is given as maximum likelihood has it, with its standard error, and again with
the part of the mean's length taken off that is chance. The two differ where the
dimension is far above the number of rows.`,
		Example: `  assay fit vmf --data features.npy --normalize
  assay fit vmf --data directions.csv --mu mean.npy`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.fitVonMisesFisher(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.data, "data", "", "`FILE` of vectors, a row each: .npy or CSV")
	flags.BoolVar(&f.normalize, "normalize", false, "scale rows to length 1")
	flags.StringVar(&f.mu, "mu", "", "write the mean direction into `FILE`, a .npy array")
	return cmd
}

func (c *console) fitVonMisesFisher(ctx context.Context, f fitFlags) error {
	if f.data == "" {
		return usagef("See: assay fit vmf --help", "assay fit vmf needs --data")
	}
	t, err := data.OpenTable(f.data)
	if err != nil {
		return err
	}
	if t.Rows == 0 || t.Cols == 0 {
		return fmt.Errorf("%s: no vectors", f.data)
	}
	if f.normalize {
		if err := normalizeRows(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", f.data, err)
		}
	}
	d, rep, err := directional.Fit(mat.NewDense(t.Rows, t.Cols, t.Values))
	if err != nil {
		if errors.Is(err, directional.ErrNorm) {
			c.note("--normalize scales the rows to length 1.")
		}
		return fmt.Errorf("%s: %w", f.data, err)
	}
	if f.mu != "" {
		var b bytes.Buffer
		if err := data.WriteNPY(&b, data.Tensor{Shape: []int{len(d.Mu)}, Data: d.Mu}); err != nil {
			return err
		}
		if err := cache.WriteFile(f.mu, b.Bytes()); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.out, "Vectors         %d of %d coordinates\n", rep.N, rep.Dim)
	fmt.Fprintf(c.out, "Mean length     %.6g\n", rep.R)
	fmt.Fprintf(c.out, "κ               %s\n", c.paint(bold, fmt.Sprintf("%.6g ± %.2g", d.Kappa, rep.StdErr)))
	fmt.Fprintf(c.out, "κ, less chance  %.6g\n", rep.Corrected)
	fmt.Fprintf(c.out, "Log-likelihood  %.8g a vector\n", rep.MeanLogLik)
	if f.mu != "" {
		fmt.Fprintf(c.out, "Mean direction  %s  float64 %d\n", f.mu, len(d.Mu))
	}
	return nil
}

// normalizeRows scales rows to length 1, without overflow.
func normalizeRows(ctx context.Context, t *data.Table) error {
	for i := range t.Rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := t.Row(i)
		norm := mat.Norm(mat.NewVecDense(len(row), row), 2)
		switch {
		case math.IsNaN(norm) || math.IsInf(norm, 0):
			return fmt.Errorf("row %d has a number that is missing or not finite", i)
		case norm == 0:
			return fmt.Errorf("row %d is zero: it has no direction", i)
		}
		for j := range row {
			row[j] /= norm
		}
	}
	return nil
}
