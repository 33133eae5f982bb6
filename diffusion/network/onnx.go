package network

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/onnx"
)

// ONNXOptions say what an ONNX file leaves open. A field left zero is taken from
// the file's metadata property "assay." and its key, if it has one, else found
// out or reported as missing. [ONNXOptions.Set] sets a field by its key.
type ONNXOptions struct {
	Predict  string // predict: noise, data, velocity or score
	Schedule string // schedule: as [diffusion.ParseSchedule] reads it

	// Names of the network's inputs and output, found by name and shape if empty.
	Input  string // input: the noisy samples
	Time   string // time: how noisy they are
	Label  string // label: their classes
	Output string // output: the prediction

	// TimeAs (key time-as) is how the network wants the time t of a level:
	// "index" t·n−1, its place in the table of n steps, the default of discrete
	// schedules and, as t, of mean-reverting ones; "time" t itself, the default of the
	// others; "time1000" 1000·t; "sigma" σ; "log-sigma" log(σ)/4; "lambda" log(α/σ); "logsnr" twice that.
	TimeAs string

	Classes   int   // classes: labels are 0 to Classes−1
	NullLabel *int  // null-label: the label that stands for none; −1 with one-hot labels: all zeros
	Shape     []int // shape: of one sample, where the file leaves it open

	Batch   int    // batch: at most so many samples at once; 0: 64
	Engine  string // engine: as in [onnx.Options]
	Threads int    // threads: as in [onnx.Options]
}

// OpenONNX opens a diffusion model stored as an ONNX file. Errors begin with the
// path and say which option settles what is missing or ambiguous.
func OpenONNX(path string, o ONNXOptions) (*Model, error) {
	s, err := onnx.Open(path, onnx.Options{Engine: o.Engine, Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	rows := func(label string) int { return labelRows(path, label) }
	m, err := newONNX(name, s, o, rows)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// FromONNX makes a model of a network that is ready to run, which the model then
// owns; on an error it stays the caller's. [OpenONNX] does this with a file.
func FromONNX(name string, s onnx.Session, o ONNXOptions) (*Model, error) {
	m, err := newONNX(name, s, o, func(string) int { return 0 })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// newONNX refuses networks that restore images, which [OpenRestorer] opens.
func newONNX(name string, s onnx.Session, o ONNXOptions, rows func(label string) int) (*Model, error) {
	o, err := o.withMetadata(s.Info().Metadata)
	if err != nil {
		return nil, err
	}
	if p, err := diffusion.ParseSchedule(o.Schedule); err == nil {
		if _, ok := p.(*diffusion.MeanReverting); ok {
			return nil, fmt.Errorf("schedule=%s is mean-reverting: such a network restores images, and cannot be sampled from noise: assay restore", o.Schedule)
		}
	}
	m, _, err := openNet(name, s, o, rows)
	return m, err
}

// openNet works out what a session's inputs mean. rows is the length of the
// table that a label input looks up, 0 if it is not known.
func openNet(name string, s onnx.Session, o ONNXOptions, rows func(label string) int) (*Model, *onnxNet, error) {
	info := s.Info()
	o, err := o.withMetadata(info.Metadata)
	if err != nil {
		return nil, nil, err
	}
	if o.Batch < 0 {
		return nil, nil, fmt.Errorf("batch = %d: must not be negative", o.Batch)
	}
	ports, err := findPorts(info, o)
	if err != nil {
		return nil, nil, err
	}
	predict, err := parsePredict(o.Predict)
	if err != nil {
		return nil, nil, err
	}
	if o.Schedule == "" {
		names, _ := diffusion.ScheduleNames()
		return nil, nil, fmt.Errorf("what noise schedule was the network trained with? say schedule=NAME, one of %s", strings.Join(names, "; "))
	}
	schedule, err := diffusion.ParseSchedule(o.Schedule)
	if err != nil {
		return nil, nil, err
	}
	net := &onnxNet{name: name, s: s, ports: ports, batch: o.Batch}
	if net.clock, err = parseTimeAs(o.TimeAs, schedule, ports.time); err != nil {
		return nil, nil, err
	}
	if net.shape, err = sampleShape(ports.sample, o.Shape); err != nil {
		return nil, nil, err
	}
	m := &Model{
		Name: name, Engine: strings.TrimSpace(info.Engine + " " + info.Version),
		Schedule: schedule, Predicts: predict, Shape: net.shape, denoise: net.denoise, close: s.Close,
	}
	if err := checkOutput(ports.output, net.shape); err != nil {
		return nil, nil, err
	}
	net.size = m.Len()
	if err := net.setLabels(m, o, rows); err != nil {
		return nil, nil, err
	}
	if err := net.setBatch(); err != nil {
		return nil, nil, err
	}
	return m, net, nil
}

// predictAliases are other projects' words.
var predictAliases = map[string]diffusion.Prediction{
	"epsilon": diffusion.Noise, "eps": diffusion.Noise, "x0": diffusion.Data, "sample": diffusion.Data,
	"v": diffusion.Velocity, "v_prediction": diffusion.Velocity, "v-prediction": diffusion.Velocity,
}

func parsePredict(s string) (diffusion.Prediction, error) {
	if s == "" {
		return 0, fmt.Errorf("what does the network predict? say predict=noise, data, velocity or score")
	}
	if p, ok := predictAliases[s]; ok {
		return p, nil
	}
	p, err := diffusion.ParsePrediction(s)
	if err != nil {
		return 0, fmt.Errorf("predict=%s: must be noise, data, velocity or score", s)
	}
	return p, nil
}

// sampleShape is the shape of one sample: what the file says of the input beyond
// its first axis, and what the user says where the file does not.
func sampleShape(in onnx.ValueInfo, given []int) ([]int, error) {
	for _, d := range given {
		if d <= 0 || d > 1<<20 {
			return nil, fmt.Errorf("shape %v: sizes must be positive", given)
		}
	}
	if in.Shape == nil {
		if given == nil {
			return nil, fmt.Errorf("input %v: the file does not say the shape of a sample: say shape=CHANNELS,HEIGHT,WIDTH", in)
		}
		return given, nil
	}
	shape := append([]int(nil), in.Shape[1:]...)
	if given != nil && len(given) != len(shape) {
		return nil, fmt.Errorf("shape %v: the network's samples have %d axes: %v", given, len(shape), in)
	}
	total := 1
	for i, d := range shape {
		switch {
		case d < 0 && given == nil:
			return nil, fmt.Errorf("input %v: the file leaves the shape of a sample open: say shape=CHANNELS,HEIGHT,WIDTH", in)
		case d < 0:
			shape[i] = given[i]
		case given != nil && given[i] != d:
			return nil, fmt.Errorf("shape %v does not fit input %v", given, in)
		}
		if shape[i] == 0 || total > 1<<30/shape[i] {
			return nil, fmt.Errorf("input %v: samples of shape %v: must have between 1 and 2^30 values", in, shape)
		}
		total *= shape[i]
	}
	return shape, nil
}

// checkOutput wants an output of the samples' shape, or with twice the channels.
func checkOutput(out onnx.ValueInfo, shape []int) error {
	if out.Shape == nil {
		return nil
	}
	ok := len(out.Shape) == len(shape)+1
	for i := 0; ok && i < len(shape); i++ {
		d := out.Shape[i+1]
		ok = d < 0 || d == shape[i] || i == 0 && d == 2*shape[i]
	}
	if !ok {
		return fmt.Errorf("output %v is not of the samples' shape %v: name another with output=NAME", out, shape)
	}
	return nil
}

// setLabels settles the classes and the label that stands for none.
func (net *onnxNet) setLabels(m *Model, o ONNXOptions, rows func(string) int) error {
	if net.ports.label == nil {
		if o.Label == "" && o.Classes == 0 && o.NullLabel == nil {
			return nil
		}
		return fmt.Errorf("classes or a null label are given, but the network has no input for labels: it has %s", describe(net.ports.inputs))
	}
	if o.Classes < 0 {
		return fmt.Errorf("classes = %d: must not be negative", o.Classes)
	}
	in := *net.ports.label
	size, width := 0, oneHotWidth(in)
	if o.Classes == 0 || width > 0 {
		if size = width; size == 0 {
			size = rows(in.Name)
		}
	}
	classes := o.Classes
	if classes == 0 {
		classes = size
		if o.NullLabel != nil && *o.NullLabel == size-1 {
			classes--
		}
	}
	if classes == 0 {
		return fmt.Errorf("how many classes does the network know? say classes=N: labels go to input %v", in)
	}
	if width > 0 && classes > width {
		return fmt.Errorf("classes = %d: input %v has %d", classes, in, width)
	}
	m.Classes, net.width, net.none = classes, width, NoLabel
	if o.NullLabel != nil {
		if *o.NullLabel < 0 && width == 0 || width > 0 && *o.NullLabel >= width {
			return fmt.Errorf("null label = %d: does not fit input %v", *o.NullLabel, in)
		}
		m.Null, net.none = true, *o.NullLabel
	}
	return nil
}

// oneHotWidth is the number of classes of a label input that takes one row of
// numbers a sample, 0 if it takes indices.
func oneHotWidth(in onnx.ValueInfo) int {
	if in.Type.Float() && len(in.Shape) == 2 && in.Shape[1] > 1 {
		return in.Shape[1]
	}
	return 0
}

// labelRows looks for the table that a label input indexes in the file.
func labelRows(path, label string) int {
	m, err := onnx.Read(path)
	if err != nil {
		return 0
	}
	rows := map[string]int{}
	for _, w := range m.Graph.Initializers {
		if len(w.Shape) == 2 {
			rows[w.Name] = w.Shape[0]
		}
	}
	same := map[string]bool{label: true} // the label under other names
	for _, n := range m.Graph.Nodes {
		switch n.Op {
		case "Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Clip":
			if len(n.In) > 0 && same[n.In[0]] && len(n.Out) > 0 {
				same[n.Out[0]] = true
			}
		case "Gather":
			if len(n.In) == 2 && same[n.In[1]] && rows[n.In[0]] > 0 {
				return rows[n.In[0]]
			}
		}
	}
	return 0
}
