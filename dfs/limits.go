package dfs

// Limits of what one request, name or record may hold. Each is checked where bytes
// enter the process, so that a hostile length costs bounded memory.
const (
	MaxComponentLength   = 255       // bytes; default of dfs.namenode.fs-limits.max-component-length
	MaxPathLength        = 8000      // characters, as HDFS's mkdirs checks
	MaxPathDepth         = 1000      // components of a new path, likewise
	MaxComponents        = 1 << 16   // components that are looked up at all: a rename may make deep trees deeper
	MaxDirectoryItems    = 1 << 20   // default of dfs.namenode.fs-limits.max-directory-items
	MaxBlocksPerFile     = 10_000    // default of dfs.namenode.fs-limits.max-blocks-per-file
	MinBlockSize         = 1 << 20   // default of dfs.namenode.fs-limits.min-block-size
	MaxRPCFrame          = 128 << 20 // bytes; ipc.maximum.data.length
	MaxBuffered          = 512 << 20 // bytes of requests and packets that are being received, over all connections; redoubt.ipc.maximum.buffered
	MaxReplication       = 512       // dfs.replication.max
	MaxListing           = 1000      // dfs.ls.limit
	MaxPacket            = 16 << 20  // bytes of one data transfer packet
	MaxRecord            = 64 << 20  // bytes of one edit log record
	DefaultBlockSize     = 128 << 20
	DefaultReplication   = 3
	BytesPerChecksum     = 512
	DefaultWritePacket   = 64 << 10
	DefaultFileBuffer    = 4096
	DefaultLeaseSoftMS   = 60_000
	DefaultLeaseHardMS   = 20 * 60_000
	RetryCacheLifetimeMS = 10 * 60_000
)
