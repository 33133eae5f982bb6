package network

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// onnxKeys are the options' keys, the names first.
var onnxKeys = []string{
	"predict", "schedule", "input", "time", "label", "output", "time-as", "classes", "null-label", "shape",
	"batch", "engine", "threads",
}

// metadataKeys are those that a file may set: what the network is, not how it is run.
var metadataKeys = onnxKeys[:10]

// ONNXKeys lists the keys that [ONNXOptions.Set] knows.
func ONNXKeys() []string { return slices.Clone(onnxKeys) }

// Set sets the option of that key from text: names as they are, numbers in
// decimal, a shape as "3,32,32".
func (o *ONNXOptions) Set(key, value string) error {
	if text := o.text(key); text != nil {
		*text = value
		return nil
	}
	if key == "shape" {
		var shape []int
		for _, s := range strings.Split(value, ",") {
			d, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil || d <= 0 {
				return fmt.Errorf("shape = %q: must be sizes like 3,32,32", value)
			}
			shape = append(shape, d)
		}
		o.Shape = shape
		return nil
	}
	n, err := strconv.Atoi(value)
	switch key {
	case "classes":
		o.Classes = n
	case "null-label":
		o.NullLabel = &n
	case "batch":
		o.Batch = n
	case "threads":
		o.Threads = n
	default:
		return fmt.Errorf("option %q: must be one of %s", key, strings.Join(onnxKeys, ", "))
	}
	if err != nil {
		return fmt.Errorf("%s = %q: must be a whole number", key, value)
	}
	return nil
}

// text is the option of that key if it is a text, else nil.
func (o *ONNXOptions) text(key string) *string {
	i := slices.Index(onnxKeys, key)
	texts := []*string{&o.Predict, &o.Schedule, &o.Input, &o.Time, &o.Label, &o.Output, &o.TimeAs}
	switch {
	case i >= 0 && i < len(texts):
		return texts[i]
	case key == "engine":
		return &o.Engine
	}
	return nil
}

// withMetadata takes from a file's metadata what the options leave open.
func (o ONNXOptions) withMetadata(meta map[string]string) (ONNXOptions, error) {
	for _, key := range metadataKeys {
		value, ok := meta["assay."+key]
		if !ok || o.has(key) {
			continue
		}
		if err := o.Set(key, value); err != nil {
			return o, fmt.Errorf("metadata assay.%w", err)
		}
	}
	return o, nil
}

// has reports whether the option of that key is not left open.
func (o *ONNXOptions) has(key string) bool {
	if text := o.text(key); text != nil {
		return *text != ""
	}
	switch key {
	case "classes":
		return o.Classes != 0
	case "null-label":
		return o.NullLabel != nil
	}
	return o.Shape != nil
}
