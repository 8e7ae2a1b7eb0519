package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/namespace"
	"redoubt/vfs"
)

// runOEV prints or checks a log segment.
func runOEV(ctx context.Context, e *env, args []string) int { return runViewer(ctx, e, "oev", args) }

// log walks through a log segment, record by record. A torn tail is reported and is no
// failure: the next start cuts it off.
func (d *dumper) log() error {
	seg, ok := editlog.ParseName(d.name)
	if !ok {
		seg = editlog.Segment{Name: d.name, InProgress: true}
	}
	r, err := editlog.OpenReader(vfs.OS(), d.dir, seg, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	h := r.Header()
	head := clusterValue(h.Cluster)
	head.add("Version", h.Version)
	head.add("First", h.First)
	head.add("Epoch", h.Epoch)
	d.begin("edits", head)
	d.section("log")
	for {
		recs, err := r.Next()
		var torn *editlog.TornError
		if errors.As(err, &torn) {
			if d.out != nil {
				d.out.section("tail")
			}
			if err := d.record("torn", 0, func() value { return valueOf(reflect.ValueOf(torn)) }); err != nil {
				return err
			}
			d.end(fmt.Sprintf("good up to transaction %d, then a torn tail of %d bytes at offset %d", r.NextTx()-1, torn.Bytes, torn.Offset))
			return nil
		}
		if err == io.EOF {
			d.end(fmt.Sprintf("good segment, transactions %d to %d", h.First, r.NextTx()-1))
			return nil
		}
		if err == nil {
			err = d.batch(recs)
		}
		if err != nil {
			return err
		}
	}
}

// batch prints the records of one batch.
func (d *dumper) batch(recs *editlog.Records) error {
	if m := recs.Mark; m != nil {
		if err := d.record("digest", 0, func() value { return valueOf(reflect.ValueOf(m)) }); err != nil {
			return err
		}
	}
	for tx, rec := range recs.All() {
		op, err := namespace.Decode(rec)
		if err != nil {
			return &editlog.CorruptError{Segment: d.dir + "/" + d.name, Offset: recs.Offset, TxID: tx, Err: dfs.Errorf(dfs.Corrupt, "%v", err)}
		}
		if err := d.record(kindOf(op, ""), len(rec), func() value {
			var v value
			v.add("TxID", tx)
			inner := valueOf(reflect.ValueOf(op))
			v.names = append(v.names, inner.names...)
			v.values = append(v.values, inner.values...)
			return v
		}); err != nil {
			return err
		}
	}
	return nil
}
