// Package deps holds the module's dependencies until their first importer is committed. It is removed afterwards.
package deps

import (
	_ "github.com/anishathalye/porcupine"
	_ "github.com/google/renameio/v2"
	_ "github.com/hashicorp/go-msgpack/v2/codec"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/planetscale/vtprotobuf/protohelpers"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/spf13/pflag"
	_ "github.com/stretchr/testify/assert"
	_ "github.com/stretchr/testify/require"
	_ "github.com/tidwall/btree"
	_ "go.uber.org/goleak"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sync/singleflight"
	_ "golang.org/x/sync/semaphore"
	_ "golang.org/x/sys/unix"
	_ "google.golang.org/protobuf/encoding/protowire"
	_ "google.golang.org/protobuf/proto"
	_ "pgregory.net/rapid"
)
