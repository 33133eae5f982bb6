package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/assay-lab/assay/lab"
)

// A job is what a worker must know of a run before it takes cells: it travels
// with the stream's configuration.
type job struct {
	Run        string           `json:"run"`
	Experiment string           `json:"experiment"`
	Version    int              `json:"version"`
	Code       string           `json:"code"`
	Inputs     map[string]input `json:"inputs,omitempty"` // by parameter
	AckWait    time.Duration    `json:"ack_wait"`
	InMemory   bool             `json:"in_memory"` // keep nothing on the server's disk
}

type input struct {
	Path string `json:"path"`
	Hash string `json:"hash"`
}

// A queue is the stream of one run: a subject for every cell that waits for a
// worker, and one for every outcome that waits to be recorded.
type queue struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	name   string
	prefix string // of the subjects
	job    job
}

const (
	streamPrefix = "assay-"
	jobKey       = "assay" // in the stream's metadata
	cellWorkers  = "workers"
	outCollector = "collector"
)

// outMsg is an outcome on its way to the store.
type outMsg struct {
	Key     string      `json:"key"` // of the cell, which the coordinator has
	Outcome lab.Outcome `json:"outcome"`
	Err     string      `json:"err,omitempty"`
	Seconds float64     `json:"seconds"`
	Tries   int         `json:"tries"`
	Worker  string      `json:"worker"`
	Code    string      `json:"code"`

	// Object names the object that holds this message when it is too long for
	// one message; the other fields are empty then.
	Object string `json:"object,omitempty"`
}

func newQueue(nc *nats.Conn, name string, j job) (*queue, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1024))
	if err != nil {
		return nil, err
	}
	return &queue{nc: nc, js: js, name: name, prefix: "assay." + strings.TrimPrefix(name, streamPrefix), job: j}, nil
}

func (q *queue) cellSubject(key string) string { return q.prefix + ".cell." + key }
func (q *queue) outSubject(key string) string  { return q.prefix + ".out." + key }
func (q *queue) noteSubject() string           { return q.prefix + ".note" } // not kept in the stream

// open creates the stream and the consumer of cells where they are absent.
func (q *queue) open(ctx context.Context) error {
	j, err := json.Marshal(q.job)
	if err != nil {
		return err
	}
	storage := jetstream.FileStorage
	if q.job.InMemory {
		storage = jetstream.MemoryStorage
	}
	s, err := q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        q.name,
		Description: "assay run " + q.job.Run + " of " + q.job.Experiment,
		Subjects:    []string{q.cellSubject("*"), q.outSubject("*")},
		Retention:   jetstream.WorkQueuePolicy,
		// A cell or an outcome is queued once, however often it is sent.
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
		Storage:  storage,
		MaxAge:   14 * 24 * time.Hour, // a run that nobody resumes does not stay for ever
		Metadata: map[string]string{jobKey: string(j)},
	})
	if err != nil {
		return q.explain("create the queue", err)
	}
	_, err = s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: cellWorkers, FilterSubject: q.cellSubject("*"),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.job.AckWait,
		MaxDeliver: -1, MaxAckPending: -1, // the workers count tries
	})
	if err != nil {
		return q.explain("create the queue", err)
	}
	return nil
}

// collector makes the consumer of outcomes anew: what was on its way to a
// process that has died is delivered again at once.
func (q *queue) collector(ctx context.Context) (jetstream.Consumer, error) {
	if err := q.js.DeleteConsumer(ctx, q.name, outCollector); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, q.explain("collect outcomes", err)
	}
	c, err := q.js.CreateConsumer(ctx, q.name, jetstream.ConsumerConfig{
		Durable: outCollector, FilterSubject: q.outSubject("*"),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second,
		MaxDeliver: -1, MaxAckPending: 4096,
	})
	if err != nil {
		return nil, q.explain("collect outcomes", err)
	}
	return c, nil
}

// explain says what to do about a server that will not have us.
func (q *queue) explain(what string, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("runner: %s: %w: start the NATS server with JetStream (nats-server -js)", what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("runner: %s: the NATS server did not answer: %w: is this user allowed to use JetStream?", what, err)
	}
	return fmt.Errorf("runner: %s: %w", what, err)
}

// publish queues cells; those that are queued already stay as they are.
func (q *queue) publish(ctx context.Context, p *plan, missing map[string]int) error {
	var acks []jetstream.PubAckFuture
	for i, key := range p.keys { // in the grid's order
		if _, ok := missing[key]; !ok {
			continue
		}
		body, err := json.Marshal(p.cells[i])
		if err != nil {
			return err
		}
		ack, err := q.js.PublishAsync(q.cellSubject(key), body, jetstream.WithStallWait(10*time.Second))
		if err != nil {
			return q.explain("queue cells", err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			if !isQueued(err) {
				return q.explain("queue cells", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// isQueued tells that a message was refused because its subject has one.
func isQueued(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && strings.Contains(api.Description, "per subject exceeded")
}

// handIn publishes an outcome, by way of an object if it is long.
func (q *queue) handIn(ctx context.Context, m outMsg) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if room := q.nc.MaxPayload() - 1024; int64(len(body)) > room {
		storage := jetstream.FileStorage
		if q.job.InMemory {
			storage = jetstream.MemoryStorage
		}
		objects, err := q.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: q.name, Storage: storage})
		if err != nil {
			return err
		}
		// Two workers with the same cell must not write into one object.
		name := m.Key + "-" + nuid.Next()
		if _, err := objects.PutBytes(ctx, name, body); err != nil {
			return err
		}
		if body, err = json.Marshal(outMsg{Key: m.Key, Object: name}); err != nil {
			return err
		}
	}
	_, err = q.js.Publish(ctx, q.outSubject(m.Key), body)
	if isQueued(err) {
		return nil // another worker's, and the same
	}
	return err
}

// read decodes an outcome.
func (q *queue) read(ctx context.Context, body []byte) (m outMsg, err error) {
	if err := json.Unmarshal(body, &m); err != nil || m.Object == "" {
		return m, err
	}
	objects, err := q.js.ObjectStore(ctx, q.name)
	if err != nil {
		return m, err
	}
	if body, err = objects.GetBytes(ctx, m.Object); err != nil {
		return m, err
	}
	name := m.Object
	m = outMsg{}
	err = json.Unmarshal(body, &m)
	m.Object = name
	return m, err
}

// isUnreadable tells an outcome that will never be read from one that could not
// be fetched just now.
func isUnreadable(err error) bool {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &typ) || errors.Is(err, jetstream.ErrObjectNotFound) ||
		errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrDigestMismatch)
}

// forget deletes the object of a recorded outcome.
func (q *queue) forget(ctx context.Context, object string) {
	if objects, err := q.js.ObjectStore(ctx, q.name); err == nil {
		objects.Delete(ctx, object)
	}
}

// remove deletes the queue and what is in it.
func (q *queue) remove(ctx context.Context) {
	q.js.DeleteStream(ctx, q.name)
	q.js.DeleteObjectStore(ctx, q.name)
}

// A puller asks for one message at a time and never holds another.
type puller struct {
	q     *queue
	sub   *nats.Subscription
	inbox string
}

var errGone = errors.New("the queue is gone")

// next returns a cell, or nil if none waits.
func (p *puller) next(ctx context.Context) (*nats.Msg, error) {
	if p.sub == nil {
		p.inbox = p.q.nc.NewInbox()
		var err error
		if p.sub, err = p.q.nc.SubscribeSync(p.inbox); err != nil {
			return nil, err
		}
	}
	err := p.q.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+p.q.name+"."+cellWorkers, p.inbox, []byte(`{"batch":1,"no_wait":true}`))
	if err != nil {
		return nil, err
	}
	turn, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	m, err := p.sub.NextMsgWithContext(turn)
	if err != nil {
		// An answer that comes late must not be taken for the next one: the
		// server gives the cell to somebody else when nobody acknowledges it.
		p.close()
		return nil, err
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		return m, nil
	case "404", "408":
		return nil, nil
	case "503":
		return nil, errGone
	default:
		return nil, fmt.Errorf("%s %s", status, m.Header.Get("Description"))
	}
}

func (p *puller) close() {
	if p.sub != nil {
		p.sub.Unsubscribe()
		p.sub = nil
	}
}
