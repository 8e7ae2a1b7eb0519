package clientrpc

import (
	"bytes"
	"crypto/sha256"
	"math"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func readMethods() methods {
	return methods{
		"getFileInfo":           func(s *server, c *hadooprpc.Call) { s.fileInfo(c, true) },
		"getFileLinkInfo":       func(s *server, c *hadooprpc.Call) { s.fileInfo(c, false) },
		"getLocatedFileInfo":    inline((*server).locatedFileInfo),
		"getBlockLocations":     (*server).blockLocations,
		"getListing":            (*server).listing,
		"getBatchedListing":     blocking((*server).batchedListing),
		"isFileClosed":          (*server).isFileClosed,
		"getContentSummary":     blocking((*server).contentSummary),
		"getQuotaUsage":         blocking((*server).quotaUsage),
		"getPreferredBlockSize": inline((*server).preferredBlockSize),
		"getLinkTarget":         inline((*server).linkTarget),
		"checkAccess":           inline((*server).checkAccess),
		"getStoragePolicy":      inline((*server).storagePolicy),
		"getStoragePolicies":    inline((*server).storagePolicies),
		"getEnclosingRoot":      inline((*server).enclosingRoot),
	}
}

func (s *server) fileInfo(c *hadooprpc.Call, followLink bool) {
	var r pathRequest
	if err := r.decode(c.Body); err != nil {
		refuse(c, err)
		return
	}
	st, err := s.Reader.FileInfo(&c.Caller, r.src, followLink)
	replyStatus(c, st, nil, err)
}

func (s *server) locatedFileInfo(c *hadooprpc.Call, r *hdfspb.GetLocatedFileInfoRequest) (hadooprpc.Marshaler, error) {
	entry, err := s.Reader.LocatedFileInfo(&c.Caller, r.GetSrc())
	if err != nil || entry == nil {
		return empty, err
	}
	blocks := entry.Blocks
	if blocks == nil {
		blocks = new(dfs.LocatedBlocks)
	}
	replyStatus(c, &entry.FileStatus, blocks, nil)
	return answered, nil
}

func (s *server) blockLocations(c *hadooprpc.Call) {
	var r locationsRequest
	if err := r.decode(c.Body); err != nil {
		refuse(c, err)
		return
	}
	offset, length := int64(r.offset), int64(r.length)
	switch {
	case offset < 0:
		fail(c, illegal("Negative offset is not supported. File: %s", r.src))
		return
	case length < 0:
		fail(c, illegal("Negative length is not supported. File: %s", r.src))
		return
	case length > math.MaxInt64-offset: // "to the end" is asked for as the largest number
		length = math.MaxInt64 - offset
	}
	l, err := s.Reader.BlockLocations(&c.Caller, r.src, offset, length)
	if err != nil {
		fail(c, err)
		return
	}
	if l == nil {
		c.ReplyBytes(nil)
		return
	}
	e := newEncoder(c.Scratch())
	e.locatedBlocks(1, l)
	reply(c, &e)
}

func (s *server) listing(c *hadooprpc.Call) {
	var r listingRequest
	if err := r.decode(c.Body); err != nil {
		refuse(c, err)
		return
	}
	if c.More() {
		select {
		case s.beside <- struct{}{}:
			beside := r
			c.Go(func() {
				defer func() { <-s.beside }()
				s.list(c, &beside)
			})
			return
		default:
		}
	}
	s.list(c, &r)
}

// list answers a listing request, on whatever goroutine.
func (s *server) list(c *hadooprpc.Call, r *listingRequest) {
	l, err := s.Reader.Listing(&c.Caller, r.src, r.startAfter, r.located)
	if err != nil {
		fail(c, err)
		return
	}
	if l == nil {
		c.ReplyBytes(nil)
		return
	}
	if s.movers.has(c) {
		forMover(l.Entries)
	}
	if r.located {
		locateEmpty(l.Entries)
	}
	e := newEncoder(c.Scratch())
	e.listing(1, l)
	reply(c, &e)
}

var noBlocks dfs.LocatedBlocks

// locateEmpty gives files without blocks the empty LocatedBlocks that clients expect.
func locateEmpty(entries []dfs.ListEntry) {
	for i := range entries {
		if entries[i].Blocks == nil {
			entries[i].Blocks = &noBlocks
		}
	}
}

// Limits of one batched listing, as HDFS has them by default.
const (
	maxBatchedPaths = 100
	maxBatchedNames = dfs.MaxListing
)

// batchedListing lists several directories in one call, some entries a time. A path that
// can't be listed has its exception in the answer.
func (s *server) batchedListing(c *hadooprpc.Call, r *hdfspb.GetBatchedListingRequest) (hadooprpc.Marshaler, error) {
	if len(r.Paths) > maxBatchedPaths {
		return nil, dfs.Errorf(dfs.RuntimeIllegal, "Too many source paths (%d > %d)", len(r.Paths), maxBatchedPaths)
	}
	sum := pathsChecksum(r.Paths)
	from, after, err := batchStart(r, sum)
	if err != nil {
		return nil, err
	}
	var next *hdfspb.BatchedListingKey
	type part struct {
		index   int
		listing *dfs.Listing
		err     error
	}
	var parts []part
	count := 0
	for i := from; i < len(r.Paths); i++ {
		if count >= maxBatchedNames {
			next = batchKey(sum, i, "")
			break
		}
		l, err := s.Reader.Listing(&c.Caller, r.Paths[i], after, r.GetNeedLocation())
		after = ""
		if err == nil && l == nil {
			err = notFound("Path %s does not exist", r.Paths[i])
		}
		parts = append(parts, part{i, l, err})
		if err != nil {
			continue
		}
		if r.GetNeedLocation() {
			locateEmpty(l.Entries)
		}
		count += len(l.Entries)
		if l.Remaining > 0 && len(l.Entries) > 0 {
			next = batchKey(sum, i, l.Entries[len(l.Entries)-1].Name)
			break
		}
	}
	e := newEncoder(c.Scratch())
	cursor := ""
	if next != nil {
		b, err := next.MarshalVT()
		if err != nil {
			return nil, err
		}
		cursor = string(b)
	}
	e.string(3, cursor)
	e.bool(2, next != nil)
	for i := len(parts) - 1; i >= 0; i-- {
		at := e.mark()
		if p := parts[i]; p.err != nil {
			class, message := Exception(p.err)
			in := e.mark()
			e.string(2, message)
			e.string(1, class)
			e.nest(3, in)
			e.uint(2, uint64(p.index))
		} else {
			e.uint(2, uint64(p.index))
			e.entries(1, p.listing.Entries)
		}
		e.nest(1, at)
	}
	reply(c, &e)
	return answered, nil
}

func pathsChecksum(paths []string) []byte {
	h := sha256.New()
	for _, p := range paths {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return h.Sum(nil)[:16]
}

// batchStart reads the cursor of a batched listing.
func batchStart(r *hdfspb.GetBatchedListingRequest, sum []byte) (from int, after string, err error) {
	if len(r.StartAfter) == 0 {
		return 0, "", nil
	}
	var key hdfspb.BatchedListingKey
	if err := key.UnmarshalVT(r.StartAfter); err != nil {
		return 0, "", &javaError{classBadRequest, "undecodable cursor: " + err.Error()}
	}
	if !bytes.Equal(key.Checksum, sum) || int(key.GetPathIndex()) >= len(r.Paths) {
		return 0, "", dfs.Errorf(dfs.RuntimeIllegal, "the cursor belongs to a listing of other paths")
	}
	return int(key.GetPathIndex()), string(key.StartAfter), nil
}

func batchKey(sum []byte, index int, after string) *hdfspb.BatchedListingKey {
	i := uint32(index)
	return &hdfspb.BatchedListingKey{Checksum: sum, PathIndex: &i, StartAfter: []byte(after)}
}

func (s *server) isFileClosed(c *hadooprpc.Call) {
	var r pathRequest
	if err := r.decode(c.Body); err != nil {
		refuse(c, err)
		return
	}
	ok, err := s.Reader.IsFileClosed(&c.Caller, r.src)
	replyBool(c, ok, err)
}

func u64[T ~int64 | ~int | ~uint64](v T) *uint64 {
	u := uint64(v)
	return &u
}

func u32[T ~uint8 | ~uint16 | ~uint32 | ~int](v T) *uint32 {
	u := uint32(v)
	return &u
}

func (s *server) contentSummary(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	sum, err := s.Reader.ContentSummary(&c.Caller, r.GetSrc())
	if err != nil {
		return nil, err
	}
	none, policy := uint64(0), ""
	if sum.Directories == 0 {
		policy = "Replicated" // what HDFS says of a file; of a directory nothing
	}
	return &hdfspb.GetContentSummaryResponse{Summary: &hdfspb.ContentSummary{
		Length:                 u64(sum.Length),
		FileCount:              u64(sum.Files),
		DirectoryCount:         u64(sum.Directories),
		Quota:                  u64(sum.NSQuota),
		SpaceConsumed:          u64(sum.Space),
		SpaceQuota:             u64(sum.DSQuota),
		SnapshotLength:         &none,
		SnapshotFileCount:      &none,
		SnapshotDirectoryCount: &none,
		SnapshotSpaceConsumed:  &none,
		ErasureCodingPolicy:    &policy,
		TypeQuotaInfos:         typeQuotas(&sum.TypeQuota, &sum.TypeSpace),
	}}, nil
}

// typeQuotas lists the media in HDFS's order, nil if none has a quota or bytes.
func typeQuotas(quota, used *dfs.TypeSpace) *hdfspb.StorageTypeQuotaInfos {
	var list []*hdfspb.StorageTypeQuotaInfo
	some := false
	for k, t := range dfs.QuotaTypes {
		some = some || quota[k] >= 0 || used[k] != 0
		list = append(list, &hdfspb.StorageTypeQuotaInfo{Type: new(hdfspb.StorageType(t)), Quota: u64(quota[k]), Consumed: u64(used[k])})
	}
	if !some {
		return nil
	}
	return &hdfspb.StorageTypeQuotaInfos{TypeQuotaInfo: list}
}

func (s *server) quotaUsage(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	sum, err := s.Reader.ContentSummary(&c.Caller, r.GetSrc())
	if err != nil {
		return nil, err
	}
	return &hdfspb.GetQuotaUsageResponse{Usage: &hdfspb.QuotaUsage{
		FileAndDirectoryCount: u64(sum.Files + sum.Directories),
		Quota:                 u64(sum.NSQuota),
		SpaceConsumed:         u64(sum.Space),
		SpaceQuota:            u64(sum.DSQuota),
		TypeQuotaInfos:        typeQuotas(&sum.TypeQuota, &sum.TypeUsed),
	}}, nil
}

func (s *server) preferredBlockSize(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	size, err := s.Reader.PreferredBlockSize(&c.Caller, r.GetSrc())
	return &hdfspb.Uint64Response{Value: u64(size)}, err
}

func (s *server) linkTarget(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	target, err := s.Reader.LinkTarget(&c.Caller, r.GetSrc())
	return &hdfspb.GetLinkTargetResponse{TargetPath: &target}, err
}

func (s *server) checkAccess(c *hadooprpc.Call, r *hdfspb.CheckAccessRequest) (hadooprpc.Marshaler, error) {
	if r.GetMode() > 7 {
		return nil, illegal("access mode %d is no set of rwx bits", r.GetMode())
	}
	return empty, s.Reader.CheckAccess(&c.Caller, r.GetPath(), dfs.Access(r.GetMode()))
}

func (s *server) storagePolicy(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	p, err := s.Reader.StoragePolicy(&c.Caller, r.GetSrc())
	return &hdfspb.GetStoragePolicyResponse{StoragePolicy: policyToWire(&p)}, err
}

func (s *server) storagePolicies(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	r := new(hdfspb.GetStoragePoliciesResponse)
	mover := s.movers.has(c)
	for i := range dfs.Policies {
		if mover && dfs.Policies[i].ID >= moverPolicies {
			continue
		}
		r.Policies = append(r.Policies, policyToWire(&dfs.Policies[i]))
	}
	return r, nil
}

func policyToWire(p *dfs.Policy) *hdfspb.BlockStoragePolicy {
	w := &hdfspb.BlockStoragePolicy{
		PolicyId:       u32(p.ID),
		Name:           &p.Name,
		CreationPolicy: typesToWire(p.Creation),
	}
	if len(p.CreationFallback) > 0 {
		w.CreationFallbackPolicy = typesToWire(p.CreationFallback)
	}
	if len(p.ReplicationFallback) > 0 {
		w.ReplicationFallbackPolicy = typesToWire(p.ReplicationFallback)
	}
	return w
}

func typesToWire(types []dfs.StorageType) *hdfspb.StorageTypes {
	w := new(hdfspb.StorageTypes)
	for _, t := range types {
		w.StorageTypes = append(w.StorageTypes, hdfspb.StorageType(t))
	}
	return w
}

// enclosingRoot answers where renames stay inside: without encryption zones, everywhere.
func (s *server) enclosingRoot(*hadooprpc.Call, *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	root := "/"
	return &hdfspb.GetEnclosingRootResponse{EnclosingRootPath: &root}, nil
}
