package vfs

const pageSize = 4096

// page holds a piece of a file in memory. A shared page belongs to several images and
// never changes again; the flag itself is set before the page gets its second owner.
type page struct {
	shared bool
	b      [pageSize]byte
}

// image is the contents of a file, copied on write page by page. A nil page is zeroes.
// Bytes past size in the last page are zero.
type image struct {
	pages []*page
	size  int64
}

func (im *image) readAt(p []byte, off int64) int {
	if off >= im.size {
		return 0
	}
	p = p[:min(int64(len(p)), im.size-off)]
	for done := 0; done < len(p); {
		i, in := pos(off + int64(done))
		dst := p[done:min(len(p), done+pageSize-in)]
		if pg := im.pages[i]; pg != nil {
			copy(dst, pg.b[in:])
		} else {
			clear(dst)
		}
		done += len(dst)
	}
	return len(p)
}

func (im *image) writeAt(p []byte, off int64) {
	im.grow(off + int64(len(p)))
	for len(p) > 0 {
		i, in := pos(off)
		n := copy(im.own(i).b[in:], p)
		p, off = p[n:], off+int64(n)
	}
}

func (im *image) grow(size int64) {
	if size <= im.size {
		return
	}
	im.size = size
	for int64(len(im.pages))*pageSize < size {
		im.pages = append(im.pages, nil)
	}
}

func (im *image) truncate(size int64) {
	if size >= im.size {
		im.grow(size)
		return
	}
	im.size = size
	i, in := pos(size)
	if in > 0 {
		if im.pages[i] != nil {
			clear(im.own(i).b[in:])
		}
		i++
	}
	clear(im.pages[i:])
	im.pages = im.pages[:i]
}

// own gives page i for writing.
func (im *image) own(i int) *page {
	pg := im.pages[i]
	switch {
	case pg == nil:
		pg = new(page)
	case pg.shared:
		pg = &page{b: pg.b}
	default:
		return pg
	}
	im.pages[i] = pg
	return pg
}

// take makes the bytes [from, to) as they are in src, whole pages at a time.
func (im *image) take(src *image, from, to int64) {
	for i, _ := pos(from); i < len(src.pages) && int64(i)*pageSize < to; i++ {
		if pg := src.pages[i]; pg != nil && !pg.shared {
			pg.shared = true
		}
		im.pages[i] = src.pages[i]
	}
}

// freeze marks all pages shared, so that a copy of the slice is a copy of the image.
func (im *image) freeze() {
	for _, pg := range im.pages {
		if pg != nil && !pg.shared {
			pg.shared = true
		}
	}
}

// clone copies an image whose pages are all shared.
func (im *image) clone() image {
	return image{pages: append([]*page(nil), im.pages...), size: im.size}
}

func pos(off int64) (index, in int) { return int(off / pageSize), int(off % pageSize) }
