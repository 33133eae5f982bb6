package web

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/onnx"
)

func packedBytes(t *testing.T, of []byte, times int) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range times {
		if _, err := z.Write(of); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBombs: a compressed file is taken by its whole suffix, and by what it unpacks to.
func TestBombs(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Experiments = func(slug string) []*lab.Experiment {
		if slug != "pndm" {
			return nil
		}
		e := toy()
		e.Params[2].Accept = []string{".csv", ".csv.gz"}
		return []*lab.Experiment{e}
	}
	s := serve(t, cfg)
	bomb := packedBytes(t, make([]byte, 1<<20), 8)
	for _, tt := range []struct {
		name, file, text string
		status           int
		want             string
	}{
		{"compressed numbers", "x.csv.gz", packedBytes(t, []byte("1,2\n"), 3), 303, ""},
		{"the suffix is not by case", "x.CSV.GZ", packedBytes(t, []byte("1,2\n"), 4), 303, ""},
		{"half a suffix", "x.gz", packedBytes(t, []byte("1,2\n"), 3), 400, "want .csv, .csv.gz"},
		{"a bomb", "x.csv.gz", bomb, 413, "unpacks to more than the 1 MB"},
		{"a bomb by another name", "x.csv", bomb, 413, "unpacks to more than the 1 MB"},
		{"a bomb in a bomb", "x.csv.gz", packedBytes(t, []byte(packedBytes(t, make([]byte, 1<<20), 8)), 1), 400, "compressed twice"},
		{"bombs in a row", "x.csv.gz", strings.Repeat(packedBytes(t, make([]byte, 1<<10), 900), 2), 413, "unpacks to more"},
		{"a cut one", "x.csv.gz", bomb[:len(bomb)/2], 413, "unpacks to more"},
		{"a cut small one", "x.csv.gz", packedBytes(t, []byte("1,2\n"), 3)[:20], 400, "not a whole gzip file"},
		{"no header", "x.csv.gz", "\x1f\x8b", 400, "not a whole gzip file"},
	} {
		status, _, page := s.post("/papers/pndm/runs", map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick"}, map[string][2]string{"file.model": {tt.file, tt.text}})
		if status != tt.status || !strings.Contains(page, tt.want) {
			t.Errorf("%s: status %d, want %d and %q in\n%s", tt.name, status, tt.status, tt.want, page)
		}
	}
}

// TestClaims: what the head of a file claims takes no memory; what is in it does.
func TestClaims(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	npy := func(shape string) string {
		h := "{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + ", }\n"
		return "\x93NUMPY\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(h)))) + h + "12345678"
	}
	table := func(p string) error { _, err := data.OpenTable(p); return err }
	tensors := func(p string) error {
		f, err := data.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = data.ReadSafetensors(f)
		return err
	}
	model := func(p string) error { _, err := onnx.Read(p); return err }
	safe := func(n uint64, text string) string { return string(binary.LittleEndian.AppendUint64(nil, n)) + text }
	huge := `{"a":{"dtype":"F64","shape":[100000,1000],"data_offsets":[0,800000000]}}`
	for _, tt := range []struct {
		name, path string
		read       func(string) error
	}{
		{"npy: 8 GB", file("a.npy", npy("(1000000, 1000)")), table},
		{"npy: a product that overflows", file("b.npy", npy("(4294967296, 4294967296)")), table},
		{"npy: a header of 4 GB", file("c.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff{"), table},
		{"safetensors: a header of 2^63 bytes", file("a.safetensors", safe(1<<63, "{")), tensors},
		{"safetensors: a header of 99 MB", file("b.safetensors", safe(99_000_000, "{")), tensors},
		{"safetensors: a tensor of 800 MB", file("c.safetensors", safe(uint64(len(huge)), huge)), tensors},
		{"onnx: a tensor of 32 GB", file("a.onnx", onnxOf([]uint64{1 << 16, 1 << 17}, "")), model},
		{"onnx: a product that overflows", file("b.onnx", onnxOf([]uint64{1 << 40, 1 << 40}, "")), model},
		{"onnx: weights in its own bytes", file("c.onnx", onnxOf([]uint64{4}, "c.onnx")), model},
		{"onnx: weights elsewhere", file("d.onnx", onnxOf([]uint64{4}, "../../etc/passwd")), model},
		{"onnx: weights at a path from the root", file("e.onnx", onnxOf([]uint64{4}, "/etc/passwd")), model},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := tt.read(tt.path)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 16<<20 {
			t.Errorf("%s: takes %d MB, %v", tt.name, took>>20, err)
		}
	}
}

// onnxOf is a model with one tensor of float32 of that shape; its data is in the file of
// that name, or missing.
func onnxOf(shape []uint64, elsewhere string) string {
	field := func(b []byte, n protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	number := func(b []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
	}
	var tensor, graph, model []byte
	for _, d := range shape {
		tensor = number(tensor, 1, d)
	}
	tensor = field(number(tensor, 2, 1), 8, []byte("w"))
	if elsewhere != "" {
		entry := field(field(nil, 1, []byte("location")), 2, []byte(elsewhere))
		tensor = number(field(tensor, 13, entry), 14, 1)
	}
	graph = field(field(nil, 2, []byte("g")), 5, tensor)
	model = number(nil, 1, 8)
	model = field(model, 7, graph)
	return string(field(model, 8, number(nil, 2, 17)))
}

// TestSpace: the oldest files that no run has make room; those of runs stay.
func TestSpace(t *testing.T) {
	cfg := configIn(t, t.TempDir())
	cfg.Limits.Space = 50 << 10
	s := serve(t, cfg)
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 10<<10) }
	send := func(i int, settings string) (int, string) {
		status, _, page := s.post("/papers/pndm/runs", map[string]string{"token": s.token(), "experiment": "pndm/toy", "size": "quick", "set.wait": settings},
			map[string][2]string{"file.model": {fmt.Sprint("f", i, ".csv"), text(i)}})
		return status, page
	}
	kept := func() string {
		files, _ := filepath.Glob(filepath.Join(cfg.Uploads, "*", "*"))
		for i, f := range files {
			files[i] = filepath.Base(f)
		}
		slices.Sort(files)
		return strings.Join(files, " ")
	}
	age := func() {
		dirs, _ := filepath.Glob(filepath.Join(cfg.Uploads, "*"))
		for _, d := range dirs {
			files, _ := os.ReadDir(d)
			n, _ := strconv.Atoi(strings.Trim(files[0].Name(), "f.csv"))
			at := time.Now().Add(time.Duration(n)*time.Minute - 2*fresh)
			os.Chtimes(d, at, at)
		}
	}
	s.wait(s.begin(nil, map[string][2]string{"file.model": {"f0.csv", text(0)}})) // a run has it
	for i := 1; i < 5; i++ {
		if status, page := send(i, "-1"); status != 400 { // refused, its file is there
			t.Fatalf("status %d:\n%s", status, page)
		}
	}
	if status, page := send(5, "-1"); status != http.StatusInsufficientStorage || !strings.Contains(page, "no room") {
		t.Errorf("fresh files make room: status %d\n%s", status, page)
	}
	age()
	send(5, "-1")
	if got, want := kept(), "f0.csv f2.csv f3.csv f4.csv f5.csv"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	age()
	for i := 6; i < 10; i++ {
		s.begin(map[string]string{"set.wait": "3000"}, map[string][2]string{"file.model": {fmt.Sprint("f", i, ".csv"), text(i)}})
	}
	age()
	if status, _ := send(11, "-1"); status != http.StatusInsufficientStorage || kept() != "f0.csv f6.csv f7.csv f8.csv f9.csv" {
		t.Errorf("files of open runs: status %d, kept %s", status, kept())
	}
}

// TestGrids: settings that would make a grid too large for memory are refused before it
// is made.
func TestGrids(t *testing.T) {
	made := 0
	e := toy()
	e.Params = append(e.Params, lab.Param{Name: "nfe", Kind: lab.Ints, Default: "1", Min: 1, Max: 1e6}, lab.Param{Name: "scale", Kind: lab.Floats, Default: "1"},
		lab.Param{Name: "seeds", Kind: lab.Int, Default: "1"}, lab.Param{Name: "note", Kind: lab.Text})
	grid := e.Grid
	e.Grid = func(v lab.Values) ([]lab.Cell, error) { made++; return grid(v) }
	list := func(n int) string { return strings.TrimSuffix(strings.Repeat("1,", n), ",") }
	for _, tt := range []struct {
		name string
		set  map[string]string
		want string
	}{
		{"two lists", map[string]string{"nfe": list(500), "scale": list(500)}, "more than 20000 cells"},
		{"seeds", map[string]string{"seeds": "1000000000"}, "more than 20000 cells"},
		{"seeds below 0", map[string]string{"seeds": "-1000000000", "nfe": list(500), "scale": list(500)}, "more than 20000 cells"},
		{"a list without end", map[string]string{"nfe": list(100000)}, "at most 2000"},
		{"a long text", map[string]string{"note": strings.Repeat("x", 3000)}, "at most 2000"},
	} {
		if err := plan(e, lab.Quick, tt.set); err == nil || !strings.Contains(err.Error(), tt.want) || made != 0 {
			t.Errorf("%s: %v, %d grids made", tt.name, err, made)
		}
	}
	if err := plan(e, lab.Quick, map[string]string{"nfe": "1,2,3", "seeds": "100"}); err != nil || made != 1 {
		t.Errorf("%v", err)
	}
}
