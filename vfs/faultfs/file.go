package faultfs

import "redoubt/vfs"

type file struct {
	fs    *FS
	name  string
	inner vfs.File
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	fault := f.fs.enter(Op{Kind: Read, Name: f.name, Off: off, Len: len(p)})
	if fault.Err != nil {
		return 0, fault.Err
	}
	n, err := f.inner.ReadAt(p, off)
	if fault.Flip > 0 && fault.Flip <= n {
		p[fault.Flip-1] ^= 0xff
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	fault := f.fs.enter(Op{Kind: Write, Name: f.name, Off: off, Len: len(p)})
	if fault.Err == nil {
		return f.inner.WriteAt(p, off)
	}
	half := min(fault.Half, len(p))
	if half <= 0 {
		return 0, fault.Err
	}
	if n, err := f.inner.WriteAt(p[:half], off); err != nil {
		return n, err
	}
	return half, fault.Err
}

func (f *file) Sync() error {
	fault := f.fs.enter(Op{Kind: Sync, Name: f.name})
	if fault.Err == nil {
		return f.inner.Sync()
	}
	if d, ok := f.inner.(interface{ DropUnsynced() }); ok && fault.DropData {
		d.DropUnsynced()
	}
	return fault.Err
}

func (f *file) Truncate(size int64) error {
	if fault := f.fs.enter(Op{Kind: Truncate, Name: f.name, Off: size}); fault.Err != nil {
		return fault.Err
	}
	return f.inner.Truncate(size)
}

func (f *file) Size() (int64, error) {
	if fault := f.fs.enter(Op{Kind: Size, Name: f.name}); fault.Err != nil {
		return 0, fault.Err
	}
	return f.inner.Size()
}

func (f *file) Close() error {
	// A close that fails has still closed.
	fault := f.fs.enter(Op{Kind: Close, Name: f.name})
	err := f.inner.Close()
	if fault.Err != nil {
		return fault.Err
	}
	return err
}

// InPlace asks the file below.
func (f *file) InPlace() (bool, error) { return vfs.InPlace(f.inner) }
