package recent

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	c := Cache[string]{Most: 2}
	var opened []string
	get := func(key string) {
		v, err := c.Get(key, func() (string, error) {
			opened = append(opened, key)
			if key == "bad" {
				return "", errors.New("on purpose")
			}
			return key + "!", nil
		})
		if key == "bad" != (err != nil) || err == nil && v != key+"!" {
			t.Errorf("%s: %q, %v", key, v, err)
		}
	}
	for key := range strings.FieldsSeq("a a b a c a b bad bad") { // c drops b, the second b drops c, bad drops a
		get(key)
	}
	get("a")
	if got, want := fmt.Sprint(opened), "[a b c b bad bad a]"; got != want {
		t.Errorf("opened %s, want %s", got, want)
	}
}

// TestTogether: one opens, the others wait for it.
func TestTogether(t *testing.T) {
	c := Cache[int]{Most: 1}
	var wg sync.WaitGroup
	opened := 0
	for range 20 {
		wg.Go(func() {
			if v, err := c.Get("x", func() (int, error) { opened++; time.Sleep(time.Millisecond); return 7, nil }); v != 7 || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		})
	}
	if wg.Wait(); opened != 1 {
		t.Errorf("opened %d times", opened)
	}
}

// TestLetGo: what is dropped is garbage.
func TestLetGo(t *testing.T) {
	c := Cache[*[1 << 20]byte]{Most: 1}
	gone := make(chan bool, 1)
	c.Get("a", func() (*[1 << 20]byte, error) {
		v := new([1 << 20]byte)
		runtime.AddCleanup(v, func(bool) { gone <- true }, true)
		return v, nil
	})
	c.Get("b", func() (*[1 << 20]byte, error) { return nil, nil })
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("it is kept")
}
