package data

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"reflect"
	"testing"
)

func pngHeader(w, h uint32) string {
	var b bytes.Buffer
	png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1)))
	head := bytes.Clone(b.Bytes()[:33])
	binary.BigEndian.PutUint32(head[16:], w)
	binary.BigEndian.PutUint32(head[20:], h)
	crc := crc32.ChecksumIEEE(head[12:29])
	binary.BigEndian.PutUint32(head[29:], crc)
	return string(head)
}

func TestPNGRoundTrip(t *testing.T) {
	for _, c := range []int{1, 3} {
		x := make([]float32, c*256)
		for i := range x {
			x[i] = Signed.at(float64((i*7)%256) / 255)
		}
		var b bytes.Buffer
		if err := WritePNG(&b, Tensor{[]int{c, 8, 32}, x}, Signed); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPNG(&b, Signed)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Tensor{[]int{c, 8, 32}, x}); !reflect.DeepEqual(got, want) {
			t.Errorf("%d channels: not what was written", c)
		}
	}
}

func TestPNGClampsAndFlattens(t *testing.T) {
	var b bytes.Buffer
	if err := WritePNG(&b, Tensor{[]int{1, 1, 4}, []float32{-9, float32(math.Inf(1)), 0.5, 0.499}}, Unit); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if got := img.(*image.Gray).Pix; !bytes.Equal(got, []uint8{0, 255, 128, 127}) {
		t.Errorf("levels %v, want 0 255 128 127", got)
	}
	if err := WritePNG(&b, Tensor{[]int{1, 1, 1}, []float32{float32(math.NaN())}}, Unit); err == nil {
		t.Error("NaN was drawn")
	}
	clear := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	clear.Set(1, 0, color.NRGBA{255, 0, 0, 255})
	b.Reset()
	png.Encode(&b, clear)
	x, err := ReadPNG(&b, Unit)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{1, 1, 1, 0, 1, 0}; !reflect.DeepEqual(x.Data, want) {
		t.Errorf("transparent and red: got %v, want %v", x.Data, want)
	}
}
