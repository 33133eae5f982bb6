package bdia

import "github.com/assay-lab/assay/lab"

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment {
	return []*lab.Experiment{inversion(), samplingExperiment(), overEDM(), digits(), editing()}
}
