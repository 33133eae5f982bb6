package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"

	"github.com/assay-lab/assay/compare"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/ems"
)

// withStatistics gives the method the statistics in the file, if they hold for what
// is drawn.
func (f *sampleFlags) withStatistics(d *drawing) (diffusion.Method, error) {
	guidance := 0.0
	if d.labels != nil {
		guidance = f.guidance
	}
	st, err := readStatistics(f.statistics, d.model.Schedule, d.model.Shape, guidance, d.labels, d.model.Classes)
	if err != nil {
		return nil, err
	}
	return diffusion.WithStatistics(d.method, st)
}

// readStatistics reads a file of assay statistics, if it holds for a model with that
// schedule and shape, asked for those of its classes with that guidance.
func readStatistics(name string, s diffusion.Schedule, shape []int, guidance float64, labels []int, classes int) (*diffusion.Statistics, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, usagef("", "--statistics %s: no such file", name)
	}
	defer file.Close()
	st, err := ems.Read(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err = st.Check(s, shape, guidance); err == nil {
		err = madeFor(st.Label, labels, classes)
	}
	if err != nil {
		return nil, usagef("Make them with the same --model, --label and --guidance: assay statistics --help", "%s: %v", name, err)
	}
	return st.Statistics, nil
}

// madeFor reports the first label that is not among those of a file of statistics,
// which says them as users do.
func madeFor(file string, labels []int, classes int) error {
	made, err := compare.ParseLabels(file, classes)
	if err != nil {
		return fmt.Errorf("statistics of another model: %w", err)
	}
	if labels == nil && made != nil {
		return fmt.Errorf("statistics of label %s: samples are drawn without a label", file)
	}
	for _, l := range labels {
		if !slices.Contains(made, l) {
			return fmt.Errorf("statistics of label %s: samples of label %d are drawn", cmp.Or(file, "none"), l)
		}
	}
	return nil
}
